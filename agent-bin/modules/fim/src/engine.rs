//! The task that does everything: the only one that reads the kernel's queues, runs scans and moves the baseline.

mod answering;
mod flush;
mod folder_watches;
mod inherited;
mod maintain;
mod scanning;
mod schedule;
mod scope;
mod shared;
mod starting;
mod watching;
mod window;

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use module_api::ModuleError;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::baseline::Counts;
use crate::book::{Book, BookError};
use crate::config::Config;
use crate::path_bytes::PathBytes;
use crate::phase::Phase;
use crate::rules::Rules;
use crate::tell::{TellError, Teller};

use flush::Flushed;
use scanning::Scanning;
use watching::Watching;
use window::Window;

pub(crate) use shared::{Ask, Shared};

type Flushing = Pin<Box<dyn Future<Output = Result<Flushed, TellError>> + Send>>;

/// The engine of one instance.
pub(crate) struct Engine {
    config: Arc<Config>,
    rules: Arc<Rules>,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    asks: mpsc::Receiver<Ask>,
    teller: Teller,
    /// Away while a window is worked off.
    book: Option<Book>,
    flushing: Option<Flushing>,
    watching: Watching,
    window: Window,
    scanning: Scanning,
    /// What a person should know: why something is not watched or cannot be read.
    problems: BTreeMap<PathBytes, Problem>,
    /// Who asked for a comparison while the book was away.
    checks: Vec<(PathBytes, oneshot::Sender<Result<Value, String>>)>,
    /// Of the baseline, when it was asked last.
    counts: Counts,
    /// When the reading of the queues was ended, in nanoseconds since 1970.
    watched_until: Option<i64>,
}

/// Something that a person should know of a path.
struct Problem {
    text: String,
    /// When it was met last, in nanoseconds since 1970.
    at: i64,
}

/// What has happened.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Happened {
    PhaseChanged,
    Asked(Ask),
    Told,
    WindowDue,
    Flushed(Result<Flushed, TellError>),
    Found(Vec<crate::scan::Finding>),
    ScanDue,
}

impl Engine {
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Works until the module is stopped. An error is a failure of the module: the next instance goes on from what is durable.
    pub(crate) async fn run(mut self) -> Result<(), ModuleError> {
        let ended = self.work().await;
        self.scanning.pause(self.teller.counts.found_by_scans()).await;
        if let Some(flushing) = self.flushing.take() {
            // Ends soon: it is told of the stop as well. Nothing may use the database when the task has ended.
            self.book = flushing.await.ok().map(|flushed| flushed.book);
        }
        match ended {
            Ok(()) | Err(TellError::Stopping) => {
                self.note_end().await;
                Ok(())
            }
            Err(error) => {
                if let TellError::Book(BookError::Baseline(damage)) = &error
                    && let Some(reason) = damage.damage()
                {
                    // The next instance begins a new one, or it would fail the same way.
                    self.watching.scope.reader.mark_damaged(&reason);
                }
                Err(ModuleError::caused_by("the watch cannot go on", error))
            }
        }
    }

    async fn work(&mut self) -> Result<(), TellError> {
        loop {
            if *self.phase.borrow_and_update() == Phase::Stopping {
                return Ok(());
            }
            self.settle_phase().await?;
            self.shared.set_busy(self.under_way());
            match self.next().await {
                Happened::PhaseChanged => {}
                Happened::Asked(ask) => self.answer(ask).await,
                Happened::Told => {
                    self.read()?;
                }
                Happened::WindowDue => self.begin_flush()?,
                Happened::Flushed(flushed) => self.flushed(flushed?).await?,
                Happened::Found(findings) => self.found(findings).await?,
                Happened::ScanDue => self.scan_due().await?,
            }
        }
    }

    async fn next(&mut self) -> Happened {
        let open = *self.phase.borrow() == Phase::Open;
        let idle = self.flushing.is_none();
        let due = self.window.due().filter(|_| idle);
        let scan_due = self.scanning.due().filter(|_| open && idle);
        tokio::select! {
            biased;
            changed = self.phase.changed() => {
                // The sender is shared with the module, which outlives its task.
                drop(changed);
                Happened::PhaseChanged
            }
            flushed = of(&mut self.flushing) => {
                self.flushing = None;
                Happened::Flushed(flushed)
            }
            Some(ask) = self.asks.recv() => Happened::Asked(ask),
            () = at(due) => Happened::WindowDue,
            () = self.watching.readable(), if open && self.watching.has_room() => Happened::Told,
            findings = self.scanning.findings(), if open && idle => Happened::Found(findings),
            () = at(scan_due) => Happened::ScanDue,
        }
    }

    /// What a shutdown has to wait for.
    fn under_way(&self) -> Option<String> {
        let looking = self.flushing.is_some() || !self.window.is_empty();
        looking.then(|| "looking at what has changed and publishing it".to_owned())
    }
}

async fn of(flushing: &mut Option<Flushing>) -> Result<Flushed, TellError> {
    match flushing {
        Some(flushing) => flushing.await,
        None => pending().await,
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}
