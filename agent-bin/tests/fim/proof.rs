//! A watched tree that is changed at random, and the judgement of what an agent reported of it.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::event::{Event, Reported};
use crate::mutator::{Mutator, Options};
use crate::replay::{Fault, Outcome, Problem, replay};
use crate::report::{report, summary};
use crate::snapshot::{Tree, snapshot};
use crate::support::PATIENCE;
use crate::table::write_down;

/// Names in a tree before anybody looks.
const NAMES: usize = 200;

/// What tells the agent of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watcher {
    Fanotify,
    Inotify,
}

impl Watcher {
    /// Why there is none here, if so.
    pub(crate) fn obstacle(self) -> Option<&'static str> {
        let allowed = self == Self::Inotify || rustix::process::geteuid().is_root();
        (!allowed).then_some("a fanotify mark of a file system takes root")
    }

    fn word(self) -> &'static str {
        match self {
            Self::Fanotify => "fanotify",
            Self::Inotify => "inotify",
        }
    }
}

/// The agent as the proof sees it.
pub(crate) trait Agent: Sync {
    /// Its event file.
    fn events(&self) -> PathBuf;
    /// What `fim status --json` prints, if it answers.
    fn fim_status(&self) -> Option<Value>;
    fn log(&self) -> String;
    /// Has it scan everything, and waits for the end.
    fn scan(&self);
    /// What has not come so long after all is said to be done does not come any more.
    fn grace(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// A tree, and how it was when the agent had its baseline.
pub(crate) struct Proof {
    pub(crate) mutator: Mutator,
    root: PathBuf,
    watcher: Watcher,
    before: Tree,
    sentinels: u32,
    /// Events that were there when it began.
    earlier: usize,
}

impl Proof {
    /// A tree and a folder beside it, in `folder`.
    pub(crate) fn new(folder: &Path, watcher: Watcher, seed: u64, most: usize) -> Self {
        Self::in_part(&folder.join("tree"), &folder.join("outside"), watcher, seed, most)
    }

    /// The folder `root`, and `outside` beside it.
    pub(crate) fn in_part(
        root: &Path,
        outside: &Path,
        watcher: Watcher,
        seed: u64,
        most: usize,
    ) -> Self {
        fs::create_dir(root).unwrap();
        fs::create_dir(outside).unwrap();
        let options = Options {
            chown: rustix::process::geteuid().is_root(),
            short_lived_in_old_folders: true,
            most,
        };
        let mut mutator = Mutator::new(seed, root, outside, options);
        mutator.populate(NAMES.min(most));
        Self {
            mutator,
            root: root.to_owned(),
            watcher,
            before: BTreeMap::new(),
            sentinels: 0,
            earlier: 0,
        }
    }

    /// The configuration that has it watched.
    pub(crate) fn config(&self) -> String {
        format!(
            "fim:\n  directories: [{{path: {}}}]\n  watcher: {}\nevents: {{file: {{rotate_size: 10GB}}}}\n\
             commands: {{max_restarts_per_hour: 0}}\n",
            self.root.display(),
            self.watcher.word()
        )
    }

    /// Waits for the first baseline, from which on everything has to be reported.
    pub(crate) fn begin(&mut self, agent: &dyn Agent) {
        until(agent, "the first baseline", || {
            reported(agent).states.contains_key("baseline_created")
        });
        self.before = snapshot(&self.root);
    }

    /// The same in a part of a tree that is watched already: all that comes from now on counts.
    pub(crate) fn begin_in_part(&mut self, agent: &dyn Agent) {
        self.until_through(agent);
        self.before = snapshot(&self.root);
        self.earlier = reported(agent).events.len();
    }

    /// Writes a last file and waits until the agent has told of it and has nothing more to do.
    fn until_through(&mut self, agent: &dyn Agent) {
        self.sentinels += 1;
        let sentinel = self.root.join(format!("sentinel-{}", self.sentinels));
        fs::write(&sentinel, "last").unwrap();
        let told = |reported: &Reported| reported.events.iter().any(|event| event.path == sentinel);
        until(agent, "the last file is reported", || told(&reported(agent)));
        until(agent, "it has nothing to do", || {
            agent.fim_status().is_some_and(|told| is_idle(&told))
        });
    }

    /// What the agent has told since the beginning.
    fn since_then(&self, agent: &dyn Agent) -> Reported {
        let mut reported = reported(agent);
        reported.events.drain(..self.earlier);
        reported
    }

    /// Waits until the agent is through, and judges; `short_lived` says whether it can have seen every file.
    pub(crate) fn judge(&mut self, agent: &dyn Agent, short_lived: bool) -> String {
        self.until_through(agent);
        let after = snapshot(&self.root);
        let files = if short_lived { self.mutator.short_lived() } else { &[] };
        let deadline = Instant::now() + agent.grace();
        let mut scanned = false;
        loop {
            let reported = self.since_then(agent);
            let mut outcome = replay(&self.before, &after, files, &reported);
            outcome.problems.extend(self.never_made(&reported));
            if outcome.problems.is_empty() {
                let summary = summary(&self.mutator, &reported, &outcome);
                eprintln!("{summary}");
                return summary;
            }
            if !scanned && self.only_a_scan_can_tell(&outcome) {
                scanned = true;
                agent.scan();
                continue;
            }
            let hopeless = outcome.count(Fault::Missed) < outcome.problems.len();
            if hopeless || Instant::now() > deadline {
                self.fail(agent, &reported, &outcome);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What is said to have come and gone, under names with which nothing was ever done.
    fn never_made(&self, reported: &Reported) -> Vec<Problem> {
        let touched = self.mutator.touched();
        // Links are swapped by a rename from such a name.
        let is_aside = |path: &Path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"swap"))
        };
        let made = |path: &Path| is_aside(path) || touched.is_about(path);
        let events = reported.events.iter().filter(|event| event.short_lived);
        let never =
            events.filter(|event| !event.path.starts_with(&self.root) || !made(&event.path));
        let problem = |event: &Event| Problem {
            fault: Fault::Invented,
            path: event.path.clone(),
            what: format!("short-lived ({}), and nothing was made there", event.id),
        };
        never.map(problem).collect()
    }

    /// inotify tells of a name in a folder. Of a file that is changed under a second name, which comes and goes within a
    /// moment, it says nothing under the first one, and nobody knows any more what the second one led to.
    fn only_a_scan_can_tell(&self, outcome: &Outcome) -> bool {
        let linked = self.mutator.linked();
        let is_such =
            |problem: &Problem| problem.fault == Fault::Missed && linked.contains(&problem.path);
        self.watcher == Watcher::Inotify && outcome.problems.iter().all(is_such)
    }

    fn fail(&self, agent: &dyn Agent, reported: &Reported, outcome: &Outcome) -> ! {
        let log = agent.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        panic!("{}\nthe agent's log:\n{last}", report(&self.mutator, reported, outcome))
    }
}

/// All that the agent has reported by now.
pub(crate) fn reported(agent: &dyn Agent) -> Reported {
    // A name that is not UTF-8 is base64 there, so the file is text.
    Reported::read(&fs::read_to_string(agent.events()).unwrap_or_default())
}

fn is_idle(status: &Value) -> bool {
    status["state"] == "idle" && status["scan"].is_null()
}

fn until(agent: &dyn Agent, what: &str, met: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        let status = || agent.fim_status().unwrap_or_default();
        assert!(Instant::now() < deadline, "never: {what}\n{:#}\n{}", status(), agent.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a proof as a cell of the table.
pub(crate) fn cell(row: &str, column: &str, proof: impl FnOnce() -> Result<String, String>) {
    match catch_unwind(AssertUnwindSafe(proof)) {
        Ok(Ok(word)) => write_down(row, column, "passed", &word),
        Ok(Err(reason)) => {
            crate::support::skip(row, &reason);
            write_down(row, column, "skipped", &reason);
        }
        Err(panic) => {
            write_down(row, column, "failed", "see the output of the test");
            resume_unwind(panic);
        }
    }
}
