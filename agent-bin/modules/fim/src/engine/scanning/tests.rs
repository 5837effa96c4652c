//! Which scan comes first, and which gap it closes.

use std::path::PathBuf;

use super::*;
use crate::config::{Config, Directory};

struct Fixture {
    rules: Rules,
    baseline: Baseline,
    _folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = Directory { path: PathBuf::from("/w"), ..Directory::default() };
        let config = Config { directories: vec![directory], ..Config::default() };
        let rules = Rules::new(&config, |_| PathBytes::new("/w"));
        let folder = tempfile::tempdir().unwrap();
        let baseline = Baseline::open(folder.path()).unwrap().baseline;
        Self { rules, baseline, _folder: folder }
    }

    /// The next instance after one that has left `scanning`.
    fn after(&mut self, scanning: &Scanning, unbroken: bool, told_until: i64) -> Scanning {
        let number = self.baseline.number().unwrap() + 1;
        self.baseline.apply(number, &[], &scanning.meta()).unwrap();
        Scanning::begin(&self.rules, &self.baseline, unbroken, told_until).unwrap()
    }

    fn first(&self) -> Scanning {
        let mut scanning = Scanning::begin(&self.rules, &self.baseline, false, 0).unwrap();
        scanning.wanted.clear();
        scanning.complete.insert(PathBytes::new("/w"), 1);
        scanning
    }
}

fn reasons(scanning: &Scanning) -> Vec<&'static str> {
    scanning.wanted.iter().map(|wanted| wanted.record.reason.as_str()).collect()
}

/// Takes out the scan that is wanted next, as if it had found `changes`.
fn close(scanning: &mut Scanning, rules: &Rules, changes: u64) {
    let record = scanning.wanted.pop_front().unwrap().record;
    let done = Done { record, roots_completed: Vec::new(), found_before: 0 };
    scanning.close(rules, &done, changes);
}

#[test]
fn there_is_no_gap_before_the_first_baseline() {
    let fixture = Fixture::new();
    let scanning = Scanning::begin(&fixture.rules, &fixture.baseline, false, 0).unwrap();
    assert_eq!((reasons(&scanning), scanning.gaps.len()), (vec!["baseline"], 0));
}

#[test]
fn the_scan_of_a_gap_comes_before_regular_ones_that_were_cut() {
    let mut fixture = Fixture::new();
    let mut cut = fixture.first();
    cut.want(ScanReason::Baseline, Detected::Scan, Vec::new());
    cut.want(ScanReason::Interval, Detected::Scan, Vec::new());
    assert_eq!(reasons(&fixture.after(&cut, true, 0)), ["baseline", "interval"]);
    assert_eq!(reasons(&fixture.after(&cut, false, 0)), ["baseline", "gap", "interval"]);
}

#[test]
fn a_gap_begins_where_the_last_word_was_heard() {
    let mut fixture = Fixture::new();
    let old = fixture.first();
    let before = clock::now();
    let noted = fixture.after(&old, false, 0).gaps[0].from.unwrap();
    assert!(noted >= before);
    let later = noted + 1_000_000_000_000;
    assert_eq!(fixture.after(&old, false, later).gaps[0].from, Some(later));
}

#[test]
fn a_scan_closes_the_gaps_that_it_was_made_for() {
    let mut fixture = Fixture::new();
    let old = fixture.first();
    let mut scanning = fixture.after(&old, false, 0);
    let number = scanning.want(ScanReason::Overflow, Detected::OverflowScan, Vec::new());
    scanning.gap(None, "the kernel's queue overflowed", number);
    let found = |scanning: &Scanning| -> Vec<Option<u64>> {
        scanning.gaps.iter().map(|gap| gap.found).collect()
    };
    close(&mut scanning, &fixture.rules, 3);
    assert_eq!(found(&scanning), [Some(3), None]);
    assert!(!scanning.has_found_lost());
    close(&mut scanning, &fixture.rules, 5);
    assert_eq!(found(&scanning), [Some(3), Some(5)]);
    assert!(scanning.has_found_lost());
}
