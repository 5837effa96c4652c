//! Writes a numbered line every millisecond, as an application would.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// The pace: one line a millisecond; lines that are due after a pause of the machine are made up for.
const PACE: Duration = Duration::from_millis(1);

/// A writer under way.
#[derive(Debug)]
pub(super) struct Writer {
    written: watch::Receiver<u64>,
    task: JoinHandle<Result<u64>>,
}

impl Writer {
    /// Starts writing to `path`, until `stopping` is true.
    pub(super) fn start(path: &Path, mut stopping: watch::Receiver<bool>) -> Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let (count, written) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                tokio::select! {
                    _ = pace.tick() => write_line(&mut file, &count)?,
                    _ = stopping.wait_for(|stop| *stop) => return Ok(*count.borrow()),
                }
            }
        });
        Ok(Self { written, task })
    }

    /// How many lines were written.
    pub(super) fn written(&self) -> u64 {
        *self.written.borrow()
    }

    /// Returns when `lines` were written, or none will be any more.
    pub(super) async fn wait_for(&self, lines: u64) {
        // The sender is gone only when writing failed, which `finish` reports.
        drop(self.written.clone().wait_for(|written| *written >= lines).await);
    }

    /// The number of lines, once the writer has ended.
    pub(super) async fn finish(self) -> Result<u64> {
        self.task.await?
    }
}

fn write_line(file: &mut File, count: &watch::Sender<u64>) -> Result<()> {
    let number = *count.borrow() + 1;
    writeln!(file, "line {number}").context("the demonstration's log cannot be written")?;
    count.send_replace(number);
    Ok(())
}
