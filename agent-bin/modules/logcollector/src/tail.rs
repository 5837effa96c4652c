//! Decides what to do with one open file after each look at it.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::position::FileId;
use crate::read::Look;

/// At least this long nothing may be written to a file that was rotated away before it counts as finished. Programs
/// that are told to open their log again (by a signal, after the rename) take about this long to do so.
const SHORTEST_GRACE: Duration = Duration::from_secs(2);
/// As many looks have to show no growth, where looks are rare.
const GRACE_LOOKS: u32 = 5;

/// How long a file that was rotated away has to be quiet before it counts as finished.
pub(crate) fn grace(read_interval: Duration) -> Duration {
    SHORTEST_GRACE.max(read_interval * GRACE_LOOKS)
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Whose position is in the book.
    pub(crate) id: FileId,
    /// Kept open, so that its inode means this file and no other.
    pub(crate) file: Arc<File>,
    /// Whether a path that a pattern matches leads to it.
    pub(crate) matched: bool,
    /// Whether a warning was published that it cannot be read.
    pub(crate) reported: bool,
    /// Since when its path leads to something else.
    leaving: Option<Instant>,
    /// Since when nothing was written.
    quiet_since: Instant,
    /// What the last complete pass was about.
    seen: Option<Look>,
    /// Whether there was more than the last pass could take.
    behind: bool,
}

/// What to do with a file now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Step {
    /// Nothing is new.
    Rest,
    /// Read what was there at the look.
    Read,
    /// The file is shorter than what was read of it.
    StartOver,
    /// It was rotated away and nothing comes any more: publish its last line even without a newline, and forget it
    /// unless a pattern matches its new name.
    Finish,
}

impl Tail {
    /// A file that was just opened.
    pub(crate) fn new(id: FileId, file: Arc<File>, matched: bool, now: Instant) -> Self {
        Self {
            id,
            file,
            matched,
            reported: false,
            leaving: None,
            quiet_since: now,
            seen: None,
            behind: false,
        }
    }

    /// Its path leads to something else now.
    pub(crate) fn leaves(&mut self, now: Instant) {
        self.leaving.get_or_insert(now);
    }

    /// Its path leads to it again.
    pub(crate) fn stays(&mut self) {
        self.leaving = None;
    }

    /// What to do, given that everything before `offset` is published.
    pub(crate) fn step(&mut self, now: Instant, offset: u64, look: Look, grace: Duration) -> Step {
        if look.size < offset {
            return Step::StartOver;
        }
        if self.seen != Some(look) {
            self.quiet_since = now;
            return Step::Read;
        }
        if self.behind {
            return Step::Read;
        }
        let has_rest = look.size > offset;
        if self.is_over(now, grace) && (has_rest || !self.matched) {
            return Step::Finish;
        }
        Step::Rest
    }

    /// A pass is done. `behind` says that it left complete lines, or bytes it did not look at.
    pub(crate) fn passed(&mut self, look: Look, behind: bool) {
        self.seen = Some(look);
        self.behind = behind;
        self.reported = false;
    }

    /// A pass failed: the next one begins without what was known.
    pub(crate) fn failed(&mut self) {
        self.seen = None;
        self.behind = false;
    }

    /// Whether bytes beyond `offset` were there at the last look.
    pub(crate) fn had_more_than(&self, offset: u64) -> bool {
        self.seen.is_some_and(|look| look.size > offset)
    }

    /// Whether the file that has its path now must wait, so that the lines of this one come first.
    pub(crate) fn goes_first(&self, now: Instant, offset: u64, grace: Duration) -> bool {
        self.behind || (self.had_more_than(offset) && !self.is_over(now, grace))
    }

    fn is_over(&self, now: Instant, grace: Duration) -> bool {
        self.leaving.is_some_and(|since| now >= since.max(self.quiet_since) + grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    const GRACE: Duration = Duration::from_secs(2);

    fn tail(now: Instant) -> Tail {
        let file = File::open("/dev/null").unwrap();
        Tail::new(FileId::fresh(), Arc::new(file), true, now)
    }

    fn look(size: u64, second: u64) -> Look {
        Look { size, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(second) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_when_its_size_or_time_changed_and_when_a_pass_left_something() {
        let now = Instant::now();
        let mut tail = tail(now);
        let step = |tail: &mut Tail, look| tail.step(now, 10, look, GRACE);
        assert_eq!(step(&mut tail, look(10, 1)), Step::Read);
        tail.passed(look(10, 1), false);
        assert_eq!(step(&mut tail, look(10, 1)), Step::Rest);
        assert_eq!(step(&mut tail, look(10, 2)), Step::Read, "it may have been written anew");
        tail.passed(look(20, 2), true);
        assert_eq!(step(&mut tail, look(20, 2)), Step::Read);
        assert_eq!(step(&mut tail, look(9, 2)), Step::StartOver);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_file_is_finished_after_a_quiet_grace() {
        let start = Instant::now();
        let mut tail = tail(start);
        tail.passed(look(10, 1), false);
        tail.matched = false;
        tail.leaves(start);
        let late = start + GRACE;
        assert_eq!(tail.step(late - Duration::from_millis(1), 10, look(10, 1), GRACE), Step::Rest);
        assert_eq!(tail.step(late, 10, look(10, 1), GRACE), Step::Finish);
        assert_eq!(tail.step(late, 10, look(12, 2), GRACE), Step::Read, "it still grows");
        tail.passed(look(12, 2), false);
        assert_eq!(tail.step(late + GRACE, 12, look(12, 2), GRACE), Step::Finish);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_file_whose_new_name_is_matched_finishes_its_last_line_only() {
        let start = Instant::now();
        let mut tail = tail(start);
        tail.passed(look(10, 1), false);
        tail.leaves(start);
        assert_eq!(tail.step(start + GRACE, 8, look(10, 1), GRACE), Step::Finish);
        assert_eq!(tail.step(start + GRACE, 10, look(10, 1), GRACE), Step::Rest);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_file_waits_for_lines_and_for_the_grace_of_an_unfinished_line() {
        let start = Instant::now();
        let mut tail = tail(start);
        tail.leaves(start);
        tail.passed(look(10, 1), true);
        assert!(tail.goes_first(start + GRACE, 10, GRACE));
        tail.passed(look(10, 1), false);
        assert!(tail.goes_first(start, 8, GRACE));
        assert!(!tail.goes_first(start + GRACE, 8, GRACE));
        assert!(!tail.goes_first(start, 10, GRACE));
    }

    #[test]
    fn rare_looks_make_a_longer_grace() {
        assert_eq!(grace(Duration::from_millis(200)), Duration::from_secs(2));
        assert_eq!(grace(Duration::from_secs(60)), Duration::from_secs(300));
    }
}
