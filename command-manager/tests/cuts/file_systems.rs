//! Real file systems that refuse: a small one that fills up, and one that is read-only, in a mount namespace of their own.
//!
//! The namespace, and all that was mounted in it, ends with its last process, however that ends.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::api::{Agent, Answer, effects_of, journal_of};
use crate::history::{BEGINNING, Delivery, deliver};

/// Names the folder to a child; a test that finds it unset was not started as a child.
const FOLDER: &str = "COMMAND_MANAGER_CUTS_MOUNTED";

/// Half a MiB is a few dozen commands.
const SMALL: &str = "mount -t tmpfs -o size=2m,mode=700 tmpfs \"$0\"";

const READ_ONLY: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";

/// Takes room until it is removed.
const BALLAST: &str = "ballast";

/// Runs the ignored test `child` of this file after the shell command `mount` on `folder`, and returns what it said. Where
/// nothing can be mounted, says so in the name of `test`.
fn within(mount: &str, folder: &Path, (test, child): (&str, &str)) -> Option<String> {
    let options = namespace(mount, test)?;
    let child = format!("{}::{child}", module_path!().split_once("::").unwrap().1);
    let mut command = unshare(options, &format!("{mount} && exec \"$@\""), folder);
    command.arg(env::current_exe().unwrap());
    let output = command
        .args(["--exact", &child, "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    let Output { status, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && stdout.contains("1 passed"), "{status}\n{stdout}\n{stderr}");
    Some(stdout.into_owned())
}

fn unshare(options: &str, script: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args([options, "--", "sh", "-c", script]).arg(folder);
    command
}

/// The options with which a namespace can be made here, as root or as somebody who becomes root in it.
fn namespace(mount: &str, test: &str) -> Option<&'static str> {
    let mut reason = String::new();
    for options in ["-m", "-rm"] {
        let folder = tempfile::tempdir().unwrap();
        match unshare(options, mount, folder.path()).output() {
            Ok(output) if output.status.success() => return Some(options),
            Ok(output) => {
                reason = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")
            }
            Err(error) => reason = format!("unshare: {error}"),
        }
    }
    skip(test, &reason);
    None
}

/// Says by name that a test was not run here, and why.
fn skip(test: &str, reason: &str) {
    println!("skipped: {test}: {reason}");
    if let Some(path) = env::var_os("WAZUH_TEST_SKIPS") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}\t{reason}").unwrap();
    }
}

fn folder_of_child() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// Takes all the room that is left but for `left` bytes.
fn take_room(folder: &Path, left: usize) {
    let mut ballast = fs::File::create(folder.join(BALLAST)).unwrap();
    let mut taken = 0;
    while ballast.write_all(&[7; 4096]).is_ok() {
        taken += 4096;
    }
    ballast.set_len(u64::try_from(taken.max(left) - left).unwrap()).unwrap();
}

/// Accepts until one is refused; says how many were accepted, and why not more.
async fn fill(agent: &Agent) -> (usize, String) {
    for number in 0.. {
        match agent.accept(&numbered(number)).await {
            Answer::New(_) => {}
            Answer::Refused(reason) => return (number, reason),
            other @ (Answer::Known(_) | Answer::Conflict) => panic!("{number}: {other:?}"),
        }
    }
    unreachable!("the disk is small")
}

fn numbered(number: usize) -> Delivery {
    deliver(String::leak(format!("c-{number}")))
}

#[tokio::test(start_paused = true)]
#[ignore = "a child of another test"]
async fn child_that_fills_its_disk() {
    let Some(folder) = folder_of_child() else { return };
    let agent = Agent::open(&folder, BEGINNING).unwrap();
    take_room(&folder, 200 * 1024);
    let (accepted, reason) = fill(&agent).await;
    assert!(accepted > 2 && reason.contains("database or disk is full"), "{accepted} {reason}");
    assert_eq!(agent.list().await.len(), accepted, "what was refused is not there");
    // An attempt that cannot be counted on disk is not made.
    let run = agent.run(&folder);
    for _ in 0..50 {
        drop(agent.list().await);
    }
    assert!(!effects_of(&folder).exists());
    fs::remove_file(folder.join(BALLAST)).unwrap();
    assert_eq!(agent.finished(numbered(0).id).await["attempts"], 1);
    assert!(matches!(agent.accept(&numbered(accepted)).await, Answer::New(_)));
    run.stop().await;
    agent.close();
    let agent = Agent::open(&folder, BEGINNING).unwrap();
    assert_eq!(agent.list().await.len(), accepted + 1);
    let run = agent.run(&folder);
    for number in 0..=accepted {
        assert_eq!(agent.finished(numbered(number).id).await["attempts"], 1);
    }
    run.stop().await;
    let effects = fs::read_to_string(effects_of(&folder)).unwrap();
    assert_eq!(effects.lines().count(), accepted + 1);
}

#[test]
fn on_a_full_disk_a_command_is_refused_and_nothing_is_begun_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let test = "on_a_full_disk_a_command_is_refused_and_nothing_is_begun_until_there_is_room";
    within(SMALL, folder.path(), (test, "child_that_fills_its_disk"));
}

/// Opens with all the room taken but for a little, a little more each time, until it succeeds.
async fn open_with_more_and_more_room(folder: &Path, afterwards: impl AsyncFn(Agent)) {
    for left in (0..).step_by(4096) {
        take_room(folder, left);
        let opened = Agent::open(folder, BEGINNING).map(Agent::close);
        fs::remove_file(folder.join(BALLAST)).unwrap();
        afterwards(Agent::open(folder, BEGINNING).unwrap()).await;
        let Err(reason) = opened else { return };
        // That there is no room for the shared memory is an I/O error in the words of SQLite.
        let named = ["database or disk is full", "No space left on device", "disk I/O error"];
        assert!(named.iter().any(|one| reason.contains(one)), "{reason}");
    }
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_that_opens_on_a_full_disk() {
    let Some(folder) = folder_of_child() else { return };
    let journal = journal_of(&folder);
    let begun_anew = async |agent: Agent| {
        agent.close();
        fs::remove_file(&journal).unwrap();
    };
    open_with_more_and_more_room(&folder, begun_anew).await;
    let agent = Agent::open(&folder, BEGINNING).unwrap();
    assert!(matches!(agent.accept(&deliver("plain")).await, Answer::New(_)));
    agent.close();
    let has_all = async |agent: Agent| {
        assert_eq!(agent.list().await.len(), 1);
        agent.close();
    };
    open_with_more_and_more_room(&folder, has_all).await;
}

#[test]
fn a_journal_without_room_is_not_opened_until_there_is_some_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let test = "a_journal_without_room_is_not_opened_until_there_is_some_and_loses_nothing";
    within(SMALL, folder.path(), (test, "child_that_opens_on_a_full_disk"));
}

#[test]
#[ignore = "a child of another test"]
fn child_that_opens_read_only() {
    let Some(folder) = folder_of_child() else { return };
    let reason = Agent::open(&folder, BEGINNING).map(Agent::close).unwrap_err();
    let file = format!("{} cannot be opened", journal_of(&folder).display());
    assert!(reason.contains(&file), "{reason}");
    println!("refused: {reason}");
}

#[test]
fn where_nothing_can_be_written_no_journal_is_begun_and_the_reason_is_named() {
    let test = "where_nothing_can_be_written_no_journal_is_begun_and_the_reason_is_named";
    let folder = tempfile::tempdir().unwrap();
    let Some(said) = within(READ_ONLY, folder.path(), (test, "child_that_opens_read_only")) else {
        return;
    };
    assert!(said.contains("Read-only file system"), "{said}");
}

/// Opens a journal read-only that has a command, and says what the child said.
async fn open_read_only(test: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let agent = Agent::open(folder.path(), BEGINNING).unwrap();
    assert!(matches!(agent.accept(&deliver("plain")).await, Answer::New(_)));
    agent.close();
    let said = within(READ_ONLY, folder.path(), (test, "child_that_opens_read_only"))?;
    let agent = Agent::open(folder.path(), BEGINNING).unwrap();
    assert_eq!(agent.list().await.len(), 1);
    agent.close();
    Some(said)
}

#[tokio::test]
async fn on_a_read_only_file_system_the_journal_is_refused_and_stays_as_it_is() {
    open_read_only("on_a_read_only_file_system_the_journal_is_refused_and_stays_as_it_is").await;
}

#[tokio::test]
async fn the_reason_of_a_journal_that_is_read_only_says_so() {
    let test = "the_reason_of_a_journal_that_is_read_only_says_so";
    let Some(said) = open_read_only(test).await else { return };
    assert!(said.to_lowercase().contains("read-only"), "{said}");
}
