//! Where the results of commands go: an event in the spool, and whoever asks for results over the control API.

mod event;
mod stream;

use std::sync::Arc;

use command_manager::{Reporter, Settings};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::core::Core;
pub(crate) use event::EventReporter;
pub(crate) use stream::ResultStream;

/// `settings` with the reporters of an agent. Whoever asks for results over the control API has them kept from then on;
/// before that nobody may ever take them.
pub(crate) fn kept_for(settings: Settings) -> Settings {
    Settings {
        reporters: vec![EventReporter::NAME.to_owned()],
        reporters_on_demand: vec![ResultStream::NAME.to_owned()],
        ..settings
    }
}

/// Starts to report, until `stopping`.
pub(crate) fn start(core: &Arc<Core>, stopping: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let reporters: [Arc<dyn Reporter>; 2] =
        [Arc::new(EventReporter::new(Arc::clone(&core.spool))), Arc::clone(&core.results) as _];
    let report = |reporter| {
        let commands = Arc::clone(&core.commands);
        tokio::spawn(commands.report_to(reporter, stopping.clone()))
    };
    reporters.map(report).into()
}
