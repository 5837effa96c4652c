//! The first events of the new process, which may come long after the confirmation: noted beside the restart when they come.

use std::sync::Arc;

use serde_json::json;

use super::Core;
use crate::restart_history::RestartRecord;

/// Notes what has come so far. Returns whether that is news.
pub(super) fn look(core: &Core, record: &mut RestartRecord) -> bool {
    let taken = core.spool.times().all();
    record.went_on(|module| taken.get(module).map(|taken| taken.first_ms))
}

/// Notes the first event of each module until none is missing, or the process ends.
pub(super) async fn follow(core: Arc<Core>, mut record: RestartRecord) {
    let mut modules = core.spool.times().watch();
    while record.waits() {
        if look(&core, &mut record) {
            core.history.put(record.clone());
            if let Some(last) = &mut core.activity().last_restart {
                last["events"] = json!(record.events);
            }
            store(&core).await;
        }
        if record.waits() && modules.changed().await.is_err() {
            return;
        }
    }
}

/// Writes the history, off the threads that must not wait.
pub(super) async fn store(core: &Arc<Core>) {
    let core = Arc::clone(core);
    let stored = tokio::task::spawn_blocking(move || core.history.store()).await;
    match stored {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(%error, "the restart is missing in the history of restarts");
        }
        Err(error) => tracing::error!(%error, "the history of restarts was not written"),
    }
}
