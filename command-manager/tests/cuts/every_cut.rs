//! The proof by enumeration: the history is cut at every operation on the journal's files, and goes on.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fastrand::Rng;

use crate::child;
use crate::history::{self, BEGINNING, Told, Tries};
use crate::plan::{Cut, How, Operation, Plan};
use crate::verdict::{self, Answers};
use crate::vfs::Watch;

/// How many histories are under way at once: more than two processors can do, because each waits for the disk too.
const AT_ONCE: usize = 3;

/// How much later the process begins that follows a cut, in seconds. A command that was lost and is accepted anew then
/// cannot look like the one that was there.
const LATER: i64 = 1_000_000;

/// A history that was not cut, and what was found out about those that were.
struct Proof {
    operations: Vec<Operation>,
    answers: Answers,
    /// Hashes of all that was left by a cut and told before.
    left: Mutex<HashSet<u64>>,
    /// Cuts that made a command's second attempt its last.
    given_up: AtomicUsize,
    /// Second cuts that came before the end.
    second_cuts: AtomicUsize,
}

impl Proof {
    fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uncut = child::perform(folder.path(), BEGINNING, None);
        let answers = verdict::answers(&uncut.told);
        assert_eq!(verdict::check(folder.path(), (&[], &uncut.told), &answers, 0), 0);
        Self {
            operations: uncut.operations.expect("it was not cut"),
            answers,
            left: Mutex::default(),
            given_up: AtomicUsize::new(0),
            second_cuts: AtomicUsize::new(0),
        }
    }

    /// Every cut.
    fn cuts(&self) -> Vec<Cut> {
        let cuts = How::ALL.into_iter().flat_map(|how| {
            let numbered = self.operations.iter().zip(1..);
            let those = numbered.filter(move |(operation, _)| differs(how, **operation));
            those.map(move |(_, at)| Cut { how, at })
        });
        cuts.collect()
    }

    /// Cuts a history, goes on and checks all.
    fn survives(&self, cut: Cut) {
        let folder = tempfile::tempdir().unwrap();
        let before = child::perform(folder.path(), BEGINNING, Some(cut));
        assert_eq!(before.operations, None, "it was not cut");
        // Many cuts leave the same, and what follows depends on nothing else.
        if self.left.lock().unwrap().insert(left(folder.path(), &before.told)) {
            self.goes_on(folder.path(), &before.told, 1);
        }
    }

    /// Kills a history, cuts the power while it goes on, goes on again and checks all.
    fn survives_twice(&self, at: usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut before =
            child::perform(folder.path(), BEGINNING, Some(Cut { how: How::Before, at }));
        let rest = self.operations.len() - at;
        let second = Cut { how: How::Power, at: 1 + Rng::with_seed(at as u64).usize(..=rest) };
        let between = child::perform(folder.path(), BEGINNING + LATER, Some(second));
        self.second_cuts.fetch_add(usize::from(between.operations.is_none()), Ordering::Relaxed);
        before.told.extend(between.told);
        self.goes_on(folder.path(), &before.told, 2);
    }

    fn goes_on(&self, folder: &Path, before: &[Told], cuts: i64) {
        let after = go_on(folder, BEGINNING + LATER * cuts);
        let given_up = verdict::check(folder, (before, &after), &self.answers, cuts);
        self.given_up.fetch_add(given_up, Ordering::Relaxed);
    }
}

/// Whether a cut leaves something else than those at the operations around it. After an operation and before the next
/// one the files are the same; a caller can have been told something in between, or an effect made, only where a commit
/// has ended, which is after a sync, or the journal was closed, which ends with a delete.
fn differs(how: How, operation: Operation) -> bool {
    match how {
        How::Before | How::Power | How::PowerWithSurvivors => true,
        How::After => matches!(operation, Operation::Sync | Operation::Delete),
        How::Torn => operation == Operation::Write,
    }
}

/// Goes on with a history in this process.
fn go_on(folder: &Path, second: i64) -> Vec<Told> {
    let _watch = Watch::start(folder, Plan::default());
    let mut told = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(history::perform(folder, second, Tries(1), |one| told.push(one)));
    told
}

/// A hash of what was told and of all files but the shared memory, which SQLite empties before it uses it again.
fn left(folder: &Path, told: &[Told]) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(told).unwrap().hash(&mut hasher);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| !path.to_str().unwrap().ends_with("-shm")) {
        (path.file_name(), fs::read(path).unwrap()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Performs `one` for each of `all`, several at once; the panic of one names it.
fn for_each_at_once<T: std::fmt::Display + Sync>(all: &[T], one: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(this) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    catch_unwind(AssertUnwindSafe(|| one(this))).unwrap_or_else(|panic| {
                        println!("failed: {this}");
                        resume_unwind(panic)
                    });
                }
            });
        }
    });
}

#[test]
fn a_history_that_is_cut_anywhere_goes_on_to_the_same_end() {
    let proof = Proof::begin();
    let cuts = proof.cuts();
    for_each_at_once(&cuts, |cut| proof.survives(*cut));
    println!("{} operations, {} cut points:", proof.operations.len(), cuts.len());
    for how in How::ALL {
        let count = cuts.iter().filter(|cut| cut.how == how).count();
        println!("{count:6} {} an operation", how.as_str());
    }
    let (left, given_up) = (proof.left.into_inner().unwrap().len(), proof.given_up.into_inner());
    println!("They left {left} different states, {given_up} after a second attempt.");
}

#[test]
fn a_history_that_is_cut_twice_comes_to_its_end() {
    let proof = Proof::begin();
    // Every fourteenth: each cut by itself is made above, and two in one history take as long as three alone.
    let at: Vec<usize> = (1..=proof.operations.len()).step_by(14).collect();
    for_each_at_once(&at, |at| proof.survives_twice(*at));
    let (cuts, given_up) = (proof.second_cuts.into_inner(), proof.given_up.into_inner());
    println!("{} cut points, {cuts} of them with a second one later:", at.len());
    println!("{given_up} commands were given up after a second attempt.");
}
