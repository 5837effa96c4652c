//! The scans: which one is under way, which ones are wanted, and what is kept of them in the database.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::schedule::Schedule;
use crate::baseline::{Baseline, BaselineError};
use crate::change::Detected;
use crate::clock;
use crate::path_bytes::PathBytes;
use crate::rules::Rules;
use crate::scan::{Finding, Scan};
use crate::status::{Gap, ScanReason, ScanRecord};

/// Gaps that are kept.
const MOST_GAPS: usize = 20;
/// Batches of findings that may wait for the engine; the scan waits then.
const BATCHES: usize = 8;

/// All about scans.
pub(crate) struct Scanning {
    pub(super) running: Option<Running>,
    /// The scan that is to be made next, or to go on with.
    pub(super) wanted: VecDeque<Wanted>,
    pub(super) schedule: Schedule,
    /// The directories with a complete baseline, and since when.
    pub(super) complete: BTreeMap<PathBytes, i64>,
    pub(super) last: Option<ScanRecord>,
    pub(super) gaps: Vec<Gap>,
    pub(super) mounts: BTreeMap<PathBytes, (String, bool)>,
    pub(super) last_number: u64,
    due: Option<Instant>,
}

/// A scan that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(super) record: ScanRecord,
    pub(super) detected: Detected,
}

/// A scan under way.
pub(super) struct Running {
    pub(super) record: ScanRecord,
    pub(super) detected: Detected,
    pub(super) scan: Scan,
    pub(super) findings: mpsc::Receiver<Vec<Finding>>,
    pub(super) begun: Instant,
    /// What this instance's scans had found before.
    pub(super) found_before: u64,
    /// `Some(stopped)` when the last finding has come.
    pub(super) ended: Option<bool>,
}

/// A scan that has ended, and everything that it found was told.
#[derive(Debug)]
pub(crate) struct Done {
    pub(super) record: ScanRecord,
    pub(super) roots_completed: Vec<PathBytes>,
    pub(super) found_before: u64,
}

impl Scanning {
    /// What the database knows. Unless the watch was `unbroken` there is a gap, which a scan closes; it begins where the
    /// instance before has ended, or at `told_until` if that is later.
    pub(crate) fn begin(
        rules: &Rules,
        baseline: &Baseline,
        unbroken: bool,
        told_until: i64,
    ) -> Result<Self, BaselineError> {
        let json = |key: &str| baseline.meta(key).map(|bytes| bytes.unwrap_or_default());
        let scans: Vec<(ScanRecord, Detected)> =
            serde_json::from_slice(&json("scans")?).unwrap_or_default();
        let complete: Vec<_> = serde_json::from_slice(&json("complete")?).unwrap_or_default();
        let last: Option<ScanRecord> = serde_json::from_slice(&json("last_scan")?).ok();
        let records = scans.iter().map(|(record, _)| record).chain(&last);
        let last_number = records.map(|record| record.number).max();
        let mut scanning = Self {
            running: None,
            wanted: VecDeque::new(),
            schedule: Schedule::from_bytes(&json("schedule")?),
            complete: complete.into_iter().collect(),
            last,
            gaps: serde_json::from_slice(&json("gaps")?).unwrap_or_default(),
            mounts: BTreeMap::new(),
            last_number: last_number.unwrap_or(0),
            due: None,
        };
        let roots: Vec<PathBytes> = rules.roots().cloned().collect();
        scanning.complete.retain(|root, _| roots.contains(root));
        let begun_before = !scanning.complete.is_empty() || !scans.is_empty();
        for (index, (record, detected)) in scans.into_iter().enumerate() {
            let resumed = record.resumed + u32::from(index == 0);
            scanning
                .wanted
                .push_back(Wanted { record: ScanRecord { resumed, ..record }, detected });
        }
        if begun_before && !unbroken {
            let noted = serde_json::from_slice(&json("watched_until")?).ok();
            let scan = scanning.want(ScanReason::Gap, Detected::GapScan, Vec::new());
            scanning.gap(noted.max(Some(told_until)), "the module did not watch", scan);
            scanning.gap_first();
        }
        let unfinished = scanning.unfinished_roots(rules);
        if !unfinished.is_empty() && scanning.wanted.is_empty() {
            let roots = unfinished.into_iter().map(|(root, _)| root).collect();
            scanning.want(ScanReason::Baseline, Detected::Scan, roots);
        }
        scanning.settle_due(rules);
        Ok(scanning)
    }

    /// Has a scan made, after those that are wanted already. The number of the scan that will have seen everything of it.
    pub(crate) fn want(
        &mut self,
        reason: ScanReason,
        detected: Detected,
        paths: Vec<PathBytes>,
    ) -> u64 {
        self.last_number += 1;
        let record = ScanRecord::new(self.last_number, reason, paths, clock::coarse());
        self.wanted.push_back(Wanted { record, detected });
        self.last_number
    }

    /// Notes a time in which nothing was told, and which the scan of this number closes.
    pub(crate) fn gap(&mut self, from: Option<i64>, reason: &str, scan: u64) {
        let to = clock::now();
        let gap = Gap { from, to, reason: reason.to_owned(), found: None, said: false, scan };
        self.gaps.push(gap);
        let surplus = self.gaps.len().saturating_sub(MOST_GAPS);
        self.gaps.drain(..surplus);
    }

    /// What has changed in a gap is said to be of the gap: its scan comes before regular ones that were cut.
    fn gap_first(&mut self) {
        let regular = |wanted: &Wanted| {
            matches!(wanted.record.reason, ScanReason::Interval | ScanReason::Request)
        };
        if let Some(at) = self.wanted.iter().position(regular)
            && let Some(gap) = self.wanted.pop_back()
        {
            self.wanted.insert(at, gap);
        }
    }

    /// The directories of which there is no complete baseline yet, and since when it is being made.
    pub(crate) fn unfinished_roots(&self, rules: &Rules) -> Vec<(PathBytes, i64)> {
        let running = self.running.as_ref().map(|running| &running.record);
        let records = running.into_iter().chain(self.wanted.iter().map(|wanted| &wanted.record));
        let since = records.map(|record| record.started_at).min().unwrap_or_else(clock::coarse);
        let unfinished = rules.roots().filter(|root| !self.complete.contains_key(*root));
        unfinished.map(|root| (root.clone(), since)).collect()
    }

    /// How what the running scan finds was noticed.
    pub(crate) fn detected(&self) -> Detected {
        self.running.as_ref().map_or(Detected::Scan, |running| running.detected)
    }

    /// Tells what the running scan finds from what others have found.
    pub(crate) fn mark(&self) -> String {
        let record = self.running.as_ref().map(|running| &running.record);
        record.map_or_else(String::new, |record| format!("{} {}", record.number, record.started_at))
    }

    /// Whether a scan is to be begun or to go on.
    pub(crate) fn wants_to_go_on(&self) -> bool {
        self.running.is_none() && !self.wanted.is_empty()
    }

    /// When the next regular scan is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.running.is_none() && self.wanted.is_empty())
    }

    /// Says when the next regular scan is due.
    pub(crate) fn settle_due(&mut self, rules: &Rules) {
        let now = clock::now();
        self.due = self.schedule.next(rules, now).map(|(due, _)| {
            let wait = u64::try_from(due.saturating_sub(now)).unwrap_or(0);
            Instant::now() + Duration::from_nanos(wait)
        });
    }

    /// A regular scan is due now.
    pub(crate) fn want_regular(&mut self, rules: &Rules) {
        if let Some((_, paths)) = self.schedule.next(rules, clock::now()) {
            let all = paths.len() == rules.all().len();
            self.want(ScanReason::Interval, Detected::Scan, if all { Vec::new() } else { paths });
        }
    }

    /// The next batch of findings. Waits for ever while no scan runs.
    pub(crate) async fn findings(&mut self) -> Vec<Finding> {
        match &mut self.running {
            Some(running) if running.ended.is_none() => match running.findings.recv().await {
                Some(findings) => findings,
                // The scan's threads are gone without a word: they were stopped or have panicked.
                None => vec![Finding::End { stopped: true }],
            },
            Some(_) | None => std::future::pending().await,
        }
    }

    /// A batch of findings that waits already.
    pub(crate) fn waiting_findings(&mut self) -> Option<Vec<Finding>> {
        let running = self.running.as_mut().filter(|running| running.ended.is_none())?;
        running.findings.try_recv().ok()
    }

    /// Whether a scan is wanted that finds what an overflow has lost, and has not begun.
    pub(crate) fn overflow_is_due(&self) -> bool {
        self.wanted.iter().any(|wanted| wanted.record.reason == ScanReason::Overflow)
    }

    /// The scan has said that it is over.
    pub(crate) fn ended(&mut self, stopped: bool) {
        if let Some(running) = &mut self.running {
            running.ended = Some(stopped);
        }
    }

    /// Begins the scan that is wanted next; `found` is what scans had found before it.
    pub(super) fn run(
        &mut self,
        begin: impl FnOnce(&ScanRecord, mpsc::Sender<Vec<Finding>>) -> io::Result<Scan>,
        found: u64,
    ) -> io::Result<()> {
        let Some(Wanted { record, detected }) = self.wanted.pop_front() else { return Ok(()) };
        let (sender, findings) = mpsc::channel(BATCHES);
        let scan = begin(&record, sender)?;
        let begun = Instant::now();
        self.running = Some(Running {
            record,
            detected,
            scan,
            findings,
            begun,
            found_before: found,
            ended: None,
        });
        Ok(())
    }

    /// Stops the scan under way; it goes on where it was when it is begun again. `found` is what scans have found by now.
    pub(crate) async fn pause(&mut self, found: u64) {
        let Some(mut running) = self.running.take() else { return };
        running.findings.close();
        running.count();
        running.record.changes += found.saturating_sub(running.found_before);
        let Running { mut record, detected, scan, ended, .. } = running;
        // Its threads look whether they are to end before each file and each block of one.
        let stopped = tokio::task::spawn_blocking(move || scan.stop()).await;
        if let Err(error) = stopped {
            tracing::error!(%error, "a scan has panicked");
        }
        if ended.is_none_or(|stopped| stopped) {
            record.finished_at = None;
        }
        self.wanted.push_front(Wanted { record, detected });
    }

    /// The scan that is over and of which everything was told; `None` while there is none.
    pub(crate) fn finished(&mut self, rules: &Rules) -> Option<Done> {
        if self.running.as_ref().is_none_or(|running| running.ended != Some(false)) {
            return None;
        }
        let mut running = self.running.take()?;
        running.count();
        let mut record = running.record;
        record.finished_at = Some(clock::now());
        let unfinished = self.unfinished_roots(rules).into_iter().map(|(root, _)| root);
        let roots_completed = unfinished.filter(|root| record.covers(root)).collect();
        Some(Done { record, roots_completed, found_before: running.found_before })
    }

    /// Takes in that a scan is done, and says what is to be kept in the database.
    pub(crate) fn close(
        &mut self,
        rules: &Rules,
        done: &Done,
        changes: u64,
    ) -> Vec<(&'static str, Vec<u8>)> {
        let mut record = done.record.clone();
        record.changes = changes;
        let now = clock::now();
        for root in &done.roots_completed {
            self.complete.insert(root.clone(), now);
        }
        self.schedule.scanned(rules, &record.paths, now);
        if matches!(record.reason, ScanReason::Gap | ScanReason::Overflow) {
            for gap in self.gaps.iter_mut().filter(|gap| gap.scan == record.number) {
                gap.found = Some(record.changes);
            }
        }
        self.last = Some(record);
        self.settle_due(rules);
        self.meta()
    }

    /// Whether the scan that has ended has found all that was lost, so that none is to follow for that.
    pub(crate) fn has_found_lost(&self) -> bool {
        let closes = |reason: &ScanReason| matches!(reason, ScanReason::Gap | ScanReason::Overflow);
        self.last.as_ref().is_some_and(|last| closes(&last.reason))
            && !self.wanted.iter().any(|wanted| closes(&wanted.record.reason))
    }

    /// What is kept in the database.
    pub(crate) fn meta(&self) -> Vec<(&'static str, Vec<u8>)> {
        let under_way = self.running.iter().map(|running| (&running.record, running.detected));
        let wanted = self.wanted.iter().map(|wanted| (&wanted.record, wanted.detected));
        let scans: Vec<_> = under_way.chain(wanted).collect();
        let complete: Vec<_> = self.complete.iter().collect();
        let json = |value: serde_json::Result<Vec<u8>>| value.unwrap_or_default();
        vec![
            ("scans", json(serde_json::to_vec(&scans))),
            ("last_scan", json(serde_json::to_vec(&self.last))),
            ("complete", json(serde_json::to_vec(&complete))),
            ("schedule", self.schedule.to_bytes()),
            ("gaps", json(serde_json::to_vec(&self.gaps))),
            ("watched_until", json(serde_json::to_vec(&clock::now()))),
        ]
    }
}

impl Running {
    /// Adds to the record what was done since this part of the scan was begun.
    fn count(&mut self) {
        let progress = self.scan.progress();
        self.record.duration_ms +=
            u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.record.files += progress.files.load(Ordering::Relaxed);
        self.record.folders += progress.folders.load(Ordering::Relaxed);
        self.record.bytes_hashed += progress.bytes.load(Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
