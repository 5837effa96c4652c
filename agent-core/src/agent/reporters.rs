//! Where the results of commands go: an event in the spool, and whoever asks for results over the control API.

mod event;
mod stream;

use std::sync::Arc;

use command_manager::Reporter;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::core::Core;
pub(crate) use event::EventReporter;
pub(crate) use stream::ResultStream;

/// The names under which results are kept until they are acknowledged.
pub(crate) const NAMES: [&str; 2] = [EventReporter::NAME, ResultStream::NAME];

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
