//! Clients that accept in a loop, all at once.

use std::sync::Arc;
use std::time::Duration;

use command_manager::CommandManager;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::cpu::{self, JournalCpu};
use crate::{on_a_worker, subject};

/// How long they go on.
const WINDOW: Duration = Duration::from_millis(500);

/// What one window showed.
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// µs of processor time that the journal's thread needs for a command, where the kernel tells.
    pub(crate) cpu_per_command: Option<f64>,
}

/// Lets `count` clients accept for one window; counted is what was answered, until the last answer.
pub(crate) fn rate(
    runtime: &Runtime,
    manager: &Arc<CommandManager>,
    count: usize,
) -> Result<Rate, String> {
    let manager = Arc::clone(manager);
    let thread = cpu::of_the_journal();
    let before = thread.as_ref().and_then(JournalCpu::used);
    let (commands, took) = on_a_worker(runtime, all_at_once(manager, count))?;
    let after = thread.as_ref().and_then(JournalCpu::used);
    let used = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    Ok(Rate {
        per_second: commands as f64 / took.as_secs_f64(),
        cpu_per_command: used.map(|used| used.as_secs_f64() * 1e6 / commands as f64),
    })
}

async fn all_at_once(
    manager: Arc<CommandManager>,
    count: usize,
) -> Result<(usize, Duration), String> {
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..count {
        clients.spawn(until(Arc::clone(&manager), began + WINDOW));
    }
    let mut commands = 0;
    while let Some(client) = clients.join_next().await {
        commands += client.map_err(|error| error.to_string())??;
    }
    Ok((commands, began.elapsed()))
}

async fn until(manager: Arc<CommandManager>, end: Instant) -> Result<usize, String> {
    let envelope = subject::envelope()?;
    let mut commands = 0;
    while Instant::now() < end {
        subject::accept(&manager, envelope.clone()).await?;
        commands += 1;
    }
    Ok(commands)
}
