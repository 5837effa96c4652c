//! What ended instances of a module leave behind: threads that hang.

use std::time::Duration;

use module_api::ModuleName;

use super::Supervisor;

impl Supervisor {
    /// How many threads of ended instances of a module still live; waits for them to end, for `within` at most, and
    /// returns at once when there are none. 0 for a module that does not exist.
    ///
    /// The threads of an instance need a moment to end. What remains after that hangs in a call and ends with the
    /// process only. Threads that a module started by other means than its runtime are not counted. Cancel safe.
    pub(crate) async fn left_behind(&self, name: &ModuleName, within: Duration) -> usize {
        let left = self.lock().get(name).map(|slot| slot.left.clone()).unwrap_or_default();
        let all_ended = async {
            for threads in &left {
                threads.until_none().await;
            }
        };
        match tokio::time::timeout(within, all_ended).await {
            Ok(()) => 0,
            Err(_) => left.iter().map(super::module_runtime::Threads::alive).sum(),
        }
    }
}
