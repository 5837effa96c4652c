//! The least that a service on tokio does: a runtime like the agent's, READY, and an end at SIGTERM. For the bench of restarts.

use std::io;

use restart::{Notifier, StartEnvironment};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> anyhow::Result<()> {
    let notifier = Notifier::from(&StartEnvironment::capture());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move { notifier.ready("a task runs") })
            .await
            .map_err(io::Error::other)??;
        terminate.recv().await;
        Ok(())
    })
}
