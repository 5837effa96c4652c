//! A child process that performs the history until it is cut, and tells its parent what it was told.

use std::env;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::history::{self, Told, Tries};
use crate::plan::{Cut, Operation, Plan};
use crate::vfs::Watch;

/// Names the folder of the history; a test that finds it unset was not started as a child.
const FOLDER: &str = "COMMAND_MANAGER_CUTS_FOLDER";

/// When the history begins or goes on, in seconds.
const SECOND: &str = "COMMAND_MANAGER_CUTS_SECOND";

/// Names the cut; without it the history goes on to its end.
const CUT: &str = "COMMAND_MANAGER_CUTS_CUT";

/// What a line to the parent begins with, to tell it from what the test runner prints.
const SIGN: &str = "told ";

/// What a child leaves.
pub(crate) struct Ended {
    pub(crate) told: Vec<Told>,
    /// The operations on the files of the journal, if it came to the end.
    pub(crate) operations: Option<Vec<Operation>>,
}

/// A line to the parent.
#[derive(Serialize, Deserialize)]
enum Line {
    Told(Told),
    /// The last one.
    Operations(Vec<Operation>),
}

/// Performs the history in a child, from `second` on, and waits for its end: the cut, or that of the history if it comes
/// first.
pub(crate) fn perform(folder: &Path, second: i64, cut: Option<Cut>) -> Ended {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child::child_that_performs_the_history", "--ignored", "--nocapture"]);
    command.arg("--test-threads=1").env(FOLDER, folder).env(SECOND, second.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cut) = cut {
        command.env(CUT, cut.to_string());
    }
    let output = command.output().unwrap();
    let mut ended = Ended { told: Vec::new(), operations: None };
    for line in output.stdout.split_inclusive(|byte| *byte == b'\n') {
        // What a kill left without its end was not told.
        let line = line.strip_prefix(SIGN.as_bytes()).and_then(|line| line.strip_suffix(b"\n"));
        match line.map(|line| serde_json::from_slice(line).unwrap()) {
            None => {}
            Some(Line::Told(told)) => ended.told.push(told),
            Some(Line::Operations(operations)) => ended.operations = Some(operations),
        }
    }
    let cut_off = cut.is_some() && output.status.signal() == Some(Signal::SIGKILL as i32);
    if !(cut_off || output.status.success() && ended.operations.is_some()) {
        let [out, err] = [output.stdout, output.stderr].map(|one| String::from_utf8(one).unwrap());
        panic!("the child ended with {}\n{out}\n{err}", output.status);
    }
    ended
}

/// Tells the parent, in one write.
fn tell(line: &Line) {
    // The first line would otherwise follow what the test runner has printed without a line break.
    let line = format!("\n{SIGN}{}\n", serde_json::to_string(line).unwrap());
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_that_performs_the_history() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let second = env::var(SECOND).unwrap().parse().unwrap();
    let plan =
        env::var(CUT).map_or_else(|_| Plan::default(), |cut| Plan::cut(cut.parse().unwrap()));
    let watch = Watch::start(&folder, plan);
    history::perform(&folder, second, Tries(1), |told| tell(&Line::Told(told))).await;
    tell(&Line::Operations(watch.plan.done()));
}
