//! Kills: a child process is killed with SIGKILL, and the journal still tells the truth.

use std::env;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use command_manager::{ErrorCode, Judgement, Status};

use crate::scene::{Act, Scene, Scripted, open};

/// Names the folder of the journal to a child; a test that finds it unset was not started as a child.
const FOLDER: &str = "COMMAND_MANAGER_TEST_FOLDER";

/// A child process of this test binary. It is killed when it is dropped.
pub(crate) struct Killable {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Killable {
    /// Starts the ignored test `name` on the journal in `folder`.
    pub(crate) fn start(name: &str, folder: &Path) -> Self {
        Self::start_through(Command::new(env::current_exe().unwrap()), name, folder)
    }

    /// The same through another program, which has to become this test binary.
    pub(crate) fn start_through(mut program: Command, name: &str, folder: &Path) -> Self {
        let mut child = program
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for a line that starts with `sign` and returns the rest of it.
    pub(crate) fn until(&mut self, sign: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        let line = lines.find_map(|line| line.strip_prefix(sign).map(str::to_owned));
        line.unwrap_or_else(|| panic!("the child ended without saying {sign:?}"))
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// In a child: tells the parent. The parent kills right after it has read this.
pub(crate) fn say(line: &str) {
    // The first line would otherwise follow what the test runner has printed without a line break.
    println!("\n{line}");
    std::io::stdout().flush().unwrap();
}

pub(crate) fn folder_of_child() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// The scene of a parent, without a manager: that is the child's.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A folder for a child, within that of its parent: the child is killed and cleans nothing up.
fn within(folder: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in(folder).unwrap()
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_that_accepts_until_it_is_killed() {
    let Some(folder) = folder_of_child() else { return };
    let scene = Scene { manager: open(&folder.join("commands.db")).0, folder: within(&folder) };
    for number in 0.. {
        let record = scene.accept(&format!("c-{number}")).await;
        say(&format!("accepted {}", record.id));
    }
}

#[tokio::test]
async fn a_command_is_there_after_a_kill_right_after_its_acceptance() {
    let folder = folder();
    let accepted = {
        let mut child =
            Killable::start("crash::child_that_accepts_until_it_is_killed", folder.path());
        (0..5).map(|_| child.until("accepted ")).collect::<Vec<_>>()
    };
    let (manager, set_aside) = open(&folder.path().join("commands.db"));
    assert_eq!((accepted.last().unwrap().as_str(), set_aside), ("c-4", None));
    let mut listed = manager.list(usize::MAX).await.unwrap();
    listed.reverse();
    for (record, id) in listed.iter().zip(&accepted) {
        assert_eq!((record.id.as_str(), record.status), (id.as_str(), Status::Pending));
    }
    assert!(listed.len() >= accepted.len(), "{} of {}", listed.len(), accepted.len());
}

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_that_hangs_in_the_execution() {
    let Some(folder) = folder_of_child() else { return };
    let manager = open(&folder.join("commands.db")).0;
    let scene = Scene { manager, folder: within(&folder) };
    let executor = Scripted::new(
        |command| {
            say(&format!("executing {} #{}", command.id, command.attempts));
            Act::Hang
        },
        |_| Judgement::Again,
    );
    let run = scene.run(&executor);
    run.task.await.unwrap();
}

#[tokio::test]
async fn a_command_that_does_not_survive_two_attempts_is_given_up() {
    let scene = Scene::new();
    scene.accept("a").await;
    let (path, Scene { folder, manager }) = (scene.path(), scene);
    drop(manager);
    for attempt in 1..=2 {
        let mut child = Killable::start("crash::child_that_hangs_in_the_execution", folder.path());
        assert_eq!(child.until("executing "), format!("a #{attempt}"));
    }
    let scene = Scene { manager: open(&path).0, folder };
    scene.accept("b").await;
    let executor = Scripted::new(|_| crate::scene::succeed(), |_| Judgement::Again);
    let run = scene.run(&executor);
    let given_up = scene.finished("a").await;
    assert_eq!((given_up.status, given_up.error), (Status::Failure, ErrorCode::GaveUp.code()));
    assert_eq!(given_up.attempts, 2);
    assert_eq!(given_up.history.last().unwrap().text, "gave up after 2 attempts without an end");
    assert_eq!(scene.finished("b").await.status, Status::Success);
    assert_eq!(executor.notes(), ["judge a", "execute b #1"], "no third attempt was made");
    run.stop().await;
}
