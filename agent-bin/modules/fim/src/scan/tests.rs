//! Scans of real trees, into a baseline that takes in what they find.

mod odd_names;
mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::baseline::{Baseline, Below, Op};
use crate::config::Directory;

/// A tree, and a baseline of it.
struct Fixture {
    tree: TempDir,
    _state: TempDir,
    baseline: Baseline,
    directory: Directory,
    own_folders: Vec<PathBuf>,
    /// Of the last list of changes.
    applied: u64,
}

#[expect(clippy::print_stderr, reason = "a person who runs the tests has to see it")]
fn skipped(name: &str, reason: &str) {
    eprintln!("skipped: {name}: {reason}");
}

fn bytes(path: &Path) -> PathBytes {
    PathBytes::new(path.as_os_str().as_bytes())
}

impl Fixture {
    fn new() -> Self {
        let tree = tempfile::Builder::new().prefix("fim-scan").tempdir().unwrap();
        let path = tree.path().canonicalize().unwrap();
        let state = tempfile::tempdir().unwrap();
        let baseline = Baseline::open(state.path()).unwrap().baseline;
        let directory = Directory { path, max_hash_size: 1_000_000, ..Directory::default() };
        Self { tree, _state: state, baseline, directory, own_folders: Vec::new(), applied: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path.join(name)
    }

    fn at(&self, name: &str) -> PathBytes {
        bytes(&self.path(name))
    }

    fn plan(&self, number: u64, paths: Vec<PathBytes>) -> Plan {
        let directories = vec![self.directory.clone()];
        let config = Arc::new(Config { directories, ..Config::default() });
        let rules = Arc::new(Rules::new(&config, |directory| bytes(&directory.path)));
        Plan { number, paths, rules, config, own_folders: self.own_folders.clone() }
    }

    /// What a scan finds, up to its end or until it is stopped after so many findings.
    fn find(&self, number: u64, paths: Vec<PathBytes>, most: usize) -> Vec<Finding> {
        let (to, mut from) = mpsc::channel(1);
        let reader = self.baseline.reader().unwrap();
        let scan = Scan::begin(self.plan(number, paths), reader, to).unwrap();
        let mut findings = Vec::new();
        while let Some(batch) = from.blocking_recv() {
            findings.extend(batch);
            if findings.len() > most || matches!(findings.last(), Some(Finding::End { .. })) {
                break;
            }
        }
        scan.stop();
        findings.truncate(most);
        findings
    }

    /// Moves the baseline by what was found.
    fn apply(&mut self, findings: &[Finding]) {
        let root = bytes(&self.directory.path);
        let op = |finding: &Finding| match finding.clone() {
            Finding::Differs { path, entry } => {
                let root = path == root;
                Some(Op::Put { path, entry, handle: None, root })
            }
            Finding::Gone { path } | Finding::Excluded { path } => Some(Op::Remove { path }),
            Finding::FolderDone { path, number } => Some(Op::Scanned { path, number }),
            Finding::Unreadable { .. } | Finding::Mount { .. } | Finding::End { .. } => None,
        };
        let ops: Vec<Op> = findings.iter().filter_map(op).collect();
        self.applied += 1;
        let applied = self.baseline.apply(self.applied, &ops, &[]).unwrap();
        assert_eq!(applied.ignored, 0, "what is in a folder is told after the folder");
    }

    /// A whole scan, taken in.
    fn scan(&mut self, number: u64) -> Vec<Finding> {
        let findings = self.find(number, Vec::new(), usize::MAX);
        assert_eq!(findings.last(), Some(&Finding::End { stopped: false }));
        self.apply(&findings);
        findings
    }

    /// All rows. Whether they are settled depends on when they were looked at.
    fn rows(&self) -> BTreeMap<PathBytes, Entry> {
        let mut rows = BTreeMap::new();
        for root in self.baseline.roots().unwrap() {
            rows.insert(root.clone(), self.baseline.find(&root).unwrap().unwrap());
            let mut below = Below::new(&self.baseline, &root).unwrap();
            rows.extend(below.next(&self.baseline, usize::MAX).unwrap());
        }
        rows.values_mut().for_each(|entry| entry.settled = false);
        rows
    }

    /// The rows of a baseline that is begun now.
    fn fresh_rows(&self) -> BTreeMap<PathBytes, Entry> {
        let state = tempfile::tempdir().unwrap();
        let baseline = Baseline::open(state.path()).unwrap().baseline;
        let tree = tempfile::tempdir().unwrap();
        let (directory, own_folders) = (self.directory.clone(), self.own_folders.clone());
        let mut fresh = Self { tree, _state: state, baseline, directory, own_folders, applied: 0 };
        fresh.scan(1);
        fresh.rows()
    }
}

fn differing(findings: &[Finding]) -> Vec<&PathBytes> {
    fn differs(finding: &Finding) -> Option<&PathBytes> {
        match finding {
            Finding::Differs { path, .. } => Some(path),
            Finding::Gone { .. }
            | Finding::Excluded { .. }
            | Finding::FolderDone { .. }
            | Finding::Unreadable { .. }
            | Finding::Mount { .. }
            | Finding::End { .. } => None,
        }
    }
    findings.iter().filter_map(differs).collect()
}

fn gone(findings: &[Finding]) -> Vec<&PathBytes> {
    fn gone(finding: &Finding) -> Option<&PathBytes> {
        match finding {
            Finding::Gone { path } => Some(path),
            Finding::Differs { .. }
            | Finding::Excluded { .. }
            | Finding::FolderDone { .. }
            | Finding::Unreadable { .. }
            | Finding::Mount { .. }
            | Finding::End { .. } => None,
        }
    }
    findings.iter().filter_map(gone).collect()
}

#[test]
fn a_folder_is_done_after_everything_that_was_found_in_it() {
    let mut fixture = Fixture::new();
    for number in 0..40 {
        let folder = fixture.path(&format!("folder{number}"));
        fs::create_dir(&folder).unwrap();
        (0..20).for_each(|file| fs::write(folder.join(format!("{file}")), "content").unwrap());
    }
    let findings = fixture.scan(7);
    let done = |at: &Finding| matches!(at, Finding::FolderDone { number: 7, .. });
    assert_eq!(findings.iter().filter(|finding| done(finding)).count(), 41);
    assert_eq!(differing(&findings).len(), 841);
    for (index, finding) in findings.iter().enumerate() {
        if let Finding::FolderDone { path, .. } = finding {
            let later = differing(&findings[index..]);
            let in_it =
                |other: &&&PathBytes| other.split().is_some_and(|(folder, _)| folder == *path);
            assert_eq!(later.iter().filter(in_it).count(), 0);
        }
    }
    let again = fixture.find(7, Vec::new(), usize::MAX);
    assert_eq!(differing(&again), Vec::<&PathBytes>::new(), "all of it was done by this scan");
}

#[test]
fn nothing_is_told_of_what_has_not_changed() {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.path("folder")).unwrap();
    fs::write(fixture.path("folder/file"), "content").unwrap();
    fixture.scan(1);
    // As if all of it were old.
    let settled = fixture.rows().into_iter().map(|(path, mut entry)| {
        let root = path == bytes(&fixture.directory.path);
        entry.settled = true;
        Op::Put { path, entry, handle: None, root }
    });
    let ops: Vec<_> = settled.collect();
    fixture.applied += 1;
    fixture.baseline.apply(fixture.applied, &ops, &[]).unwrap();
    let findings = fixture.find(2, Vec::new(), usize::MAX);
    assert!(!differing(&findings).contains(&&fixture.at("folder/file")), "{findings:?}");
    assert_eq!(gone(&findings), Vec::<&PathBytes>::new());
}

#[test]
fn a_scan_of_some_paths_leaves_all_others_alone() {
    let mut fixture = Fixture::new();
    for name in ["a", "b"] {
        fs::create_dir(fixture.path(name)).unwrap();
        fs::write(fixture.path(name).join("file"), "content").unwrap();
    }
    fixture.scan(1);
    for name in ["a", "b"] {
        fs::remove_file(fixture.path(name).join("file")).unwrap();
        fs::write(fixture.path(name).join("new"), "content").unwrap();
    }
    let paths = vec![fixture.at("a"), fixture.at("none"), fixture.at("b/new")];
    let findings = fixture.find(2, paths, usize::MAX);
    assert_eq!(gone(&findings), [&fixture.at("a/file")]);
    let mut differ = differing(&findings);
    differ.sort();
    assert_eq!(differ, [&fixture.at("a"), &fixture.at("a/new"), &fixture.at("b/new")]);
    let gone_root = fixture.find(3, vec![fixture.at("b/file")], usize::MAX);
    assert_eq!(gone(&gone_root), [&fixture.at("b/file")]);
}

#[test]
fn what_the_configuration_excludes_now_is_not_told_as_gone() {
    let mut fixture = Fixture::new();
    fs::create_dir_all(fixture.path("a/deep/deeper")).unwrap();
    fs::write(fixture.path("a/file.log"), "content").unwrap();
    fixture.scan(1);
    fixture.directory.exclude = vec!["*.log".to_owned()];
    fixture.directory.recursion = Some(1);
    fs::remove_file(fixture.path("a/file.log")).unwrap();
    let findings = fixture.scan(2);
    assert_eq!(gone(&findings), Vec::<&PathBytes>::new());
    for name in ["a/file.log", "a/deep/deeper"] {
        assert!(findings.contains(&Finding::Excluded { path: fixture.at(name) }), "{findings:?}");
    }
    assert_eq!(fixture.rows(), fixture.fresh_rows());
}

#[test]
fn the_agents_own_folder_is_not_entered_and_its_files_are_not_read_elsewhere() {
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.path("state")).unwrap();
    fs::write(fixture.path("state/database"), "locked").unwrap();
    fs::hard_link(fixture.path("state/database"), fixture.path("link")).unwrap();
    fixture.own_folders = vec![fixture.path("state")];
    let findings = fixture.scan(1);
    let mut differ = differing(&findings);
    differ.sort();
    assert_eq!(differ, [&bytes(&fixture.directory.path), &fixture.at("link")]);
    let link = fixture.baseline.find(&fixture.at("link")).unwrap().unwrap();
    assert_eq!(link.unhashed, Some(crate::entry::Unhashed::OwnFile));
    assert_eq!(fixture.find(2, vec![fixture.at("state/database")], 100).len(), 1);
}

#[test]
fn what_cannot_be_read_is_not_told_as_gone() {
    if rustix::process::geteuid().is_root() {
        skipped("what_cannot_be_read_is_not_told_as_gone", "root reads everything");
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let mut fixture = Fixture::new();
    fs::create_dir(fixture.path("folder")).unwrap();
    fs::write(fixture.path("folder/file"), "content").unwrap();
    fixture.scan(1);
    fs::set_permissions(fixture.path("folder"), fs::Permissions::from_mode(0o000)).unwrap();
    let findings = fixture.find(2, Vec::new(), usize::MAX);
    fs::set_permissions(fixture.path("folder"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(gone(&findings), Vec::<&PathBytes>::new());
    let path = fixture.at("folder");
    let unreadable =
        |finding: &Finding| matches!(finding, Finding::Unreadable { path: at, .. } if *at == path);
    assert!(findings.iter().any(unreadable), "{findings:?}");
    assert!(!findings.contains(&Finding::FolderDone { path, number: 2 }));
}

#[test]
fn a_receiver_that_is_gone_does_not_hang_a_scan() {
    let fixture = Fixture::new();
    (0..2_000).for_each(|name| fs::write(fixture.path(&format!("{name}")), "").unwrap());
    let begin = |to| {
        let reader = fixture.baseline.reader().unwrap();
        Scan::begin(fixture.plan(1, Vec::new()), reader, to).unwrap()
    };
    let (to, from) = mpsc::channel(1);
    let scan = begin(to);
    drop(from);
    scan.stop();
    let (to, _from) = mpsc::channel(1);
    let scan = begin(to);
    scan.stop();
}
