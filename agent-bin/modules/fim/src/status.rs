//! What the module tells about itself: counters, the scan under way and the last one, gaps.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::change::{Change, Detected, What};
use crate::path_bytes::PathBytes;

/// How many events of each sort this instance has published, or is about to.
#[derive(Debug, Default)]
pub(crate) struct EventCounts {
    created: AtomicU64,
    modified: AtomicU64,
    deleted: AtomicU64,
    moved: AtomicU64,
    found_by_scans: AtomicU64,
}

/// Why a scan is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScanReason {
    /// There is no baseline yet.
    Baseline,
    /// It was time.
    Interval,
    /// Somebody asked.
    Request,
    /// Nobody watched for a while.
    Gap,
    /// The kernel's queue had overflowed.
    Overflow,
}

/// A scan as it is kept in the database: the one under way, or the last one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScanRecord {
    pub(crate) number: u64,
    pub(crate) reason: ScanReason,
    /// Nanoseconds since 1970.
    pub(crate) started_at: i64,
    pub(crate) finished_at: Option<i64>,
    /// What is scanned; empty is everything.
    pub(crate) paths: Vec<PathBytes>,
    /// How often it was cut by the end of an instance and taken up again.
    pub(crate) resumed: u32,
    /// Time at work, without the pauses.
    pub(crate) duration_ms: u64,
    pub(crate) files: u64,
    pub(crate) folders: u64,
    pub(crate) bytes_hashed: u64,
    /// Those that it has found, also before it was cut by a restart. Those before it was cut by a kill are not counted.
    pub(crate) changes: u64,
}

/// A time in which nothing was told, closed by a scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gap {
    /// Nanoseconds since 1970; `None` when nobody knows.
    pub(crate) from: Option<i64>,
    pub(crate) to: i64,
    pub(crate) reason: String,
    /// How many changes the scan has found; `None` while it is under way.
    pub(crate) found: Option<u64>,
    /// Whether it was told.
    pub(crate) said: bool,
    /// The number of the scan that closes it.
    #[serde(default)]
    pub(crate) scan: u64,
}

impl EventCounts {
    /// Counts a change that is about to be published.
    pub(crate) fn count(&self, change: Option<&Change>) {
        let Some(change) = change else { return };
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        if change.detected != Detected::Realtime {
            count(&self.found_by_scans);
        }
        match &change.what {
            What::Created(_) => count(&self.created),
            What::Modified { .. } => count(&self.modified),
            What::Deleted(_) => count(&self.deleted),
            What::Moved { .. } => count(&self.moved),
            What::ShortLived { .. } => {
                count(&self.created);
                count(&self.deleted);
            }
        }
    }

    /// All changes of which the kernel did not tell.
    pub(crate) fn found_by_scans(&self) -> u64 {
        self.found_by_scans.load(Ordering::Relaxed)
    }

    /// As answers show them.
    pub(crate) fn as_json(&self) -> Value {
        let [created, modified, deleted, moved] =
            [&self.created, &self.modified, &self.deleted, &self.moved]
                .map(|counter| counter.load(Ordering::Relaxed));
        json!({ "created": created, "modified": modified, "deleted": deleted, "moved": moved })
    }
}

impl ScanRecord {
    /// A scan of which nothing was done yet.
    pub(crate) fn new(
        number: u64,
        reason: ScanReason,
        paths: Vec<PathBytes>,
        started_at: i64,
    ) -> Self {
        Self {
            number,
            reason,
            started_at,
            finished_at: None,
            paths,
            resumed: 0,
            duration_ms: 0,
            files: 0,
            folders: 0,
            bytes_hashed: 0,
            changes: 0,
        }
    }

    /// Whether it looks at `path`, if anybody does.
    pub(crate) fn covers(&self, path: &PathBytes) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|scanned| path.below(scanned).is_some())
    }
}

impl ScanReason {
    /// The word in answers and events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Interval => "interval",
            Self::Request => "request",
            Self::Gap => "gap",
            Self::Overflow => "overflow",
        }
    }
}
