//! The last restarts of the agent, in a file: how long each took, and when each module's events went on.

mod summary;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use restart::{Method, Outcome, ReplaceFileError, replace_file};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of the file that this version writes.
const FORMAT: u32 = 1;

/// How many restarts are kept. Enough for a p95 that is not the largest one, and a file that is written in a moment.
const MOST: usize = 100;

/// What is kept of one restart. Times are in milliseconds, moments in milliseconds since boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestartRecord {
    /// The commands that it answered.
    pub(crate) command_ids: Vec<String>,
    /// What it came to.
    pub(crate) outcome: Outcome,
    /// Whether the process was replaced by this restart. Only then its times tell how long a restart takes.
    pub(crate) as_asked: bool,
    /// How the process was replaced.
    pub(crate) method: Method,
    /// The generation of the process that was replaced: no two restarts of one folder have the same.
    pub(crate) old_generation: u64,
    /// From the modules closed to the modules running; `None` if the old process did not come that far.
    pub(crate) downtime_ms: Option<u64>,
    /// From the order to the confirmation.
    pub(crate) total_ms: Option<u64>,
    /// By module, when its events stopped and went on.
    pub(crate) events: BTreeMap<String, EventGap>,
}

/// The gap in the events of one module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EventGap {
    /// When the old process took the last event; `None` if it took none, or was killed before it had noted that.
    pub(crate) last_at_ms: Option<u64>,
    /// When the new process took the first one; `None` as long as there is none.
    pub(crate) first_at_ms: Option<u64>,
    /// From the last to the first. However long that is, it says nothing about a module that had nothing to report.
    pub(crate) gap_ms: Option<u64>,
}

impl EventGap {
    /// The old process took the last event then, on the clock of this boot.
    pub(crate) fn after(last_at_ms: Option<u64>) -> Self {
        Self { last_at_ms, first_at_ms: None, gap_ms: None }
    }

    /// The new process took its first event at `at_ms`. The first answer stays.
    fn went_on(&mut self, at_ms: u64) -> bool {
        if self.first_at_ms.is_some() {
            return false;
        }
        self.first_at_ms = Some(at_ms);
        self.gap_ms = self.last_at_ms.map(|last| at_ms.saturating_sub(last));
        true
    }
}

impl RestartRecord {
    /// The new process took the first event of these modules at these moments. Returns whether that is news.
    pub(crate) fn went_on(&mut self, first: impl Fn(&str) -> Option<u64>) -> bool {
        let mut news = false;
        for (module, gap) in &mut self.events {
            news |= first(module).is_some_and(|at_ms| gap.went_on(at_ms));
        }
        news
    }

    /// Whether a module has not published since.
    pub(crate) fn waits(&self) -> bool {
        self.events.values().any(|gap| gap.first_at_ms.is_none())
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    restarts: Vec<RestartRecord>,
}

/// The history. Its file is read when it is first needed, which the start of the agent does not wait for.
#[derive(Debug)]
pub(crate) struct RestartHistory {
    path: PathBuf,
    kept: OnceLock<Mutex<Vec<RestartRecord>>>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

impl RestartHistory {
    /// The history in the file `path`, which may be missing.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, kept: OnceLock::new(), writing: Mutex::default() }
    }

    /// Puts `record` in the place of what is kept of the same restart, or at the end. The oldest beyond [`MOST`] is dropped. A
    /// restart that is judged again, since the process that had judged it was killed, keeps the times that were measured first.
    pub(crate) fn put(&self, mut record: RestartRecord) {
        let mut kept = self.kept();
        match kept.iter_mut().find(|other| other.old_generation == record.old_generation) {
            Some(other) => {
                record.downtime_ms = other.downtime_ms.or(record.downtime_ms);
                record.total_ms = other.total_ms.or(record.total_ms);
                *other = record;
            }
            None => kept.push(record),
        }
        let excess = kept.len().saturating_sub(MOST);
        kept.drain(..excess);
    }

    /// The restart that the command `id` was answered with.
    pub(crate) fn of_command(&self, id: &str) -> Option<RestartRecord> {
        self.kept()
            .iter()
            .rev()
            .find(|record| record.command_ids.iter().any(|it| it == id))
            .cloned()
    }

    /// Numbers about all of them, as `GET /v1/status` answers them.
    pub(crate) fn summary(&self) -> Value {
        summary::summary(&self.kept())
    }

    /// Writes the file, durably. Blocks for that.
    ///
    /// # Errors
    /// Names the file and the step; the file is as it was before.
    pub(crate) fn store(&self) -> Result<(), ReplaceFileError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = File { format: FORMAT, restarts: self.kept().clone() };
        let text = serde_json::to_vec(&file).unwrap_or_default();
        replace_file(&self.path, &text, 0o600)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<RestartRecord>> {
        let kept = self.kept.get_or_init(|| Mutex::new(load(&self.path)));
        kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the file has. It serves for numbers alone, so one that is not understood is set aside with a warning in the log, and
/// the agent counts anew.
fn load(path: &Path) -> Vec<RestartRecord> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let file = path.display();
            tracing::warn!(%error, %file, "the history of restarts cannot be read; it begins anew");
            return Vec::new();
        }
    };
    let reason = match serde_json::from_slice(&bytes) {
        Ok(File { format: FORMAT, restarts }) => return restarts,
        Ok(File { format, .. }) => format!("it has format {format}, this version reads {FORMAT}"),
        Err(error) => error.to_string(),
    };
    let kept_as = path.with_extension("json.corrupt");
    let kept = match std::fs::rename(path, &kept_as) {
        Ok(()) => format!("it is kept as {}", kept_as.display()),
        Err(error) => format!("it could not be set aside: {error}"),
    };
    let file = path.display();
    tracing::warn!(%reason, %kept, %file, "the history of restarts is not understood; it begins anew");
    Vec::new()
}

#[cfg(test)]
mod tests;
