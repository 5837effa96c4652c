//! What the engine answers when it is asked, and what it says of itself in events.

use std::sync::atomic::Ordering;

use module_api::Event;
use serde_json::{Value, json};

use super::scanning::Done;
use super::{Ask, Engine};
use crate::baseline::Counts;
use crate::book::Book;
use crate::change::{Detected, differences};
use crate::config::Attribute;
use crate::entry::Entry;
use crate::event::{self, attributes, time, word};
use crate::path_bytes::PathBytes;
use crate::phase::Phase;
use crate::status::{Gap, ScanReason, ScanRecord};
use crate::tell::TellError;

impl Engine {
    /// Answers, unless whoever asked has gone away.
    pub(super) async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Status(reply) => drop(reply.send(self.status())),
            Ask::Scan(paths, reply) => drop(reply.send(self.scan_wanted(paths))),
            Ask::Check(path, reply) if self.book.is_none() => self.checks.push((path, reply)),
            Ask::Check(path, reply) => drop(reply.send(self.check(path).await)),
        }
    }

    /// Answers those who asked while the baseline was in use.
    pub(super) async fn check_waiting(&mut self) {
        for (path, reply) in std::mem::take(&mut self.checks) {
            drop(reply.send(self.check(path).await));
        }
    }

    fn scan_wanted(&mut self, paths: Vec<PathBytes>) -> Result<u64, String> {
        if *self.phase.borrow() != Phase::Open {
            return Err("the module is being shut down".to_owned());
        }
        if let Some(path) = paths.iter().find(|path| self.rules.of(path).is_none()) {
            return Err(format!("{path} is not watched"));
        }
        Ok(self.scanning.want(ScanReason::Request, Detected::Scan, paths))
    }

    async fn check(&mut self, path: PathBytes) -> Result<Value, String> {
        let Some(mut book) = self.book.take() else { return Err("try again".to_owned()) };
        let compared = tokio::task::spawn_blocking(move || {
            let compared = check(&mut book, &path);
            (book, compared)
        });
        let (book, compared) = compared.await.map_err(|error| error.to_string())?;
        self.book = Some(book);
        compared
    }

    fn status(&mut self) -> Value {
        // Those of before while the baseline is in use.
        let counted = self.book.as_ref().and_then(|book| book.baseline().counts().ok());
        let counts = counted.unwrap_or(self.counts);
        self.counts = counts;
        let created_at = self.scanning.complete.values().max().copied().map(time);
        let created_at =
            created_at.filter(|_| self.scanning.unfinished_roots(&self.rules).is_empty());
        let state = match (&self.scanning.running, self.scanning.wanted.is_empty()) {
            (Some(_), _) => "scanning",
            (None, false) => "waiting",
            (None, true) if self.under_way().is_some() => "busy",
            (None, true) => "idle",
        };
        json!({
            "state": state,
            "baseline": {
                "files": counts.files,
                "folders": counts.folders,
                "others": counts.others,
                "bytes": counts.bytes,
                "created_at": created_at,
            },
            "scan": self.scan_under_way(&counts),
            "last_scan": self.scanning.last.as_ref().map(finished_scan),
            "next_scan_at": self.scanning.schedule.next(&self.rules, crate::clock::now()).map(|(due, _)| time(due)),
            "watches": self.watches(),
            "gaps": self.scanning.gaps.iter().map(gap).collect::<Vec<_>>(),
            "problems": self.problems.iter().map(|(path, problem)| format!("{path}: {}", problem.text)).collect::<Vec<_>>(),
            "events": self.teller.counts.as_json(),
            "unhashed": counts.unhashed,
        })
    }

    fn scan_under_way(&self, counts: &Counts) -> Value {
        let Some(running) = &self.scanning.running else { return Value::Null };
        let (record, progress) = (&running.record, running.scan.progress());
        let expected =
            (counts.files > 0 && record.reason != ScanReason::Baseline && record.paths.is_empty())
                .then_some(counts.files);
        json!({
            "number": record.number,
            "reason": record.reason.as_str(),
            "started_at": time(record.started_at),
            "folders_done": record.folders + progress.folders.load(Ordering::Relaxed),
            "files_done": record.files + progress.files.load(Ordering::Relaxed),
            "bytes_done": record.bytes_hashed + progress.bytes.load(Ordering::Relaxed),
            "files_expected": expected,
            "resumed": record.resumed,
        })
    }

    fn watches(&self) -> Value {
        let watching = &self.watching;
        let kind = match (&watching.fanotify, &watching.inotify) {
            (Some(_), Some(_)) => "mixed",
            (Some(_), None) => "fanotify",
            (None, Some(_)) => "inotify",
            (None, None) => "none",
        };
        let filesystem = |filesystem: &super::watching::WatchedFilesystem| {
            json!({
                "mount_point": filesystem.mount_point.to_string(),
                "kind": filesystem.kind,
                "note": filesystem.note,
            })
        };
        let folders = watching.folder_watches.as_ref().and_then(|watches| watches.count());
        json!({
            "kind": kind,
            "filesystems": watching.filesystems.iter().map(filesystem).collect::<Vec<_>>(),
            "folders": folders,
            "queued_bytes": watching.queued_bytes(),
            "queued_events": watching.queued_events(),
            "queue_limit": watching.queue_limit(),
            "mounts": self.scanning.mounts.iter().map(mount).collect::<Vec<_>>(),
        })
    }

    /// Tells of the gaps of which nobody was told.
    pub(super) async fn say_gaps(&mut self) -> Result<(), TellError> {
        while let Some(index) = self.scanning.gaps.iter().position(|gap| !gap.said) {
            let Some(one) = self.scanning.gaps.get_mut(index) else { break };
            let message = format!("{}; what has changed meanwhile is found by a scan", one.reason);
            let mark = format!("{:?} {}", one.from, one.to);
            let event = event::state("gap", &mark, message, json!({ "gap": gap(one) }));
            self.teller.say(event).await?;
            one.said = true;
        }
        Ok(())
    }

    /// The events about the end of a scan.
    pub(super) fn scan_events(&self, done: &Done, changes: u64, counts: &Counts) -> Vec<Event> {
        let record = ScanRecord { changes, ..done.record.clone() };
        let mut events = Vec::new();
        let mark = format!("{} {}", record.number, record.started_at);
        for root in &done.roots_completed {
            let message = format!(
                "the first baseline of {root} is complete; what was there is taken as it was found ({} files, {} folders in all)",
                counts.files, counts.folders
            );
            let fim = json!({ "root": root.to_string(), "files": counts.files, "folders": counts.folders });
            events.push(event::state("baseline_created", &format!("{mark} {root}"), message, fim));
        }
        match record.reason {
            ScanReason::Gap | ScanReason::Overflow => {
                let message = format!("the gap is closed: {changes} changes were found");
                let fim = json!({ "scan": finished_scan(&record) });
                events.push(event::state("gap_closed", &mark, message, fim));
            }
            ScanReason::Baseline | ScanReason::Interval | ScanReason::Request => {}
        }
        events
    }
}

fn mount((path, (fstype, entered)): (&PathBytes, &(String, bool))) -> Value {
    json!({ "path": path.to_string(), "type": fstype, "scanned": entered })
}

fn gap(gap: &Gap) -> Value {
    json!({ "from": gap.from.map(time), "to": time(gap.to), "reason": gap.reason, "found": gap.found })
}

fn finished_scan(record: &ScanRecord) -> Value {
    let per_second = |count: u64| {
        (record.duration_ms > 0).then(|| count.saturating_mul(1_000) / record.duration_ms)
    };
    json!({
        "number": record.number,
        "reason": record.reason.as_str(),
        "started_at": time(record.started_at),
        "finished_at": record.finished_at.map(time),
        "duration_ms": record.duration_ms,
        "files": record.files,
        "bytes_hashed": record.bytes_hashed,
        "files_per_second": per_second(record.files),
        "bytes_per_second": per_second(record.bytes_hashed),
        "changes": record.changes,
        "resumed": record.resumed,
    })
}

/// Compares one path with the baseline, and changes nothing.
fn check(book: &mut Book, path: &PathBytes) -> Result<Value, String> {
    let rules = book.rules();
    let rule = rules.of(path);
    let why_not = rule
        .is_none()
        .then_some("no directory of the configuration holds for it, or it is excluded");
    let row = book.baseline().find(path).map_err(|error| error.to_string())?;
    let disk = match rule {
        Some(_) => book.look_again(path).map_err(|error| format!("{path}: {error}"))?,
        None => None,
    };
    let watched = rule.map_or(&[][..], |rule| &rule.attributes);
    let differing = match (&row, &disk) {
        (Some(row), Some(disk)) => differences(row, disk, watched),
        (Some(_) | None, _) => Vec::new(),
    };
    let shown = |entry: &Option<Entry>| entry.as_ref().map(|entry| attributes(path, entry));
    let (row_shown, disk_shown) = (shown(&row), shown(&disk));
    let value = |shown: &Option<serde_json::Map<String, Value>>, attribute: Attribute| {
        shown.as_ref().and_then(|shown| shown.get(key(attribute)).cloned())
    };
    let difference = |attribute: &Attribute| {
        json!({
            "attribute": word(*attribute),
            "baseline": value(&row_shown, *attribute),
            "disk": value(&disk_shown, *attribute),
        })
    };
    Ok(json!({
        "path": path.to_string(),
        "watched": rule.is_some(),
        "why_not": why_not,
        "in_baseline": row.is_some(),
        "on_disk": disk.is_some(),
        "differences": differing.iter().map(difference).collect::<Vec<_>>(),
        "baseline": row_shown,
        "disk": disk_shown,
    }))
}

/// Under which key the attribute is shown.
fn key(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Owner => "uid",
        Attribute::Group => "gid",
        Attribute::Target => "target_path",
        Attribute::Size
        | Attribute::Mode
        | Attribute::Mtime
        | Attribute::Inode
        | Attribute::Device
        | Attribute::Hash => word(attribute),
    }
}
