//! Real children: well, failing, crashing, hanging, not startable; and that none is left.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

/// Longer than a script of a few lines takes on a busy machine.
const AMPLE: Duration = Duration::from_secs(30);

struct Scene {
    folder: tempfile::TempDir,
    plan: LaunchPlan,
}

/// A program of these bytes that may be executed.
fn program(bytes: &[u8]) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let executable = folder.path().join("agent");
    std::fs::write(&executable, bytes).unwrap();
    std::fs::set_permissions(&executable, std::fs::Permissions::from_mode(0o755)).unwrap();
    let plan = LaunchPlan {
        executable,
        args: Vec::new(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        called_as: None,
        cwd: folder.path().to_owned(),
    };
    Scene { folder, plan }
}

fn script(lines: &str) -> Scene {
    program(format!("#!/bin/sh\n{lines}\n").as_bytes())
}

impl Scene {
    async fn run(&self, within: Duration) -> Result<Trial, TrialError> {
        loop {
            let tried = self.plan.try_out(vec!["--version".into()], within).await;
            // A child of another test, on its way to its own program, may have inherited the descriptor it was written by.
            match tried {
                Err(TrialError::CannotStart { reason }) if reason.contains("being written") => {
                    tokio::task::yield_now().await;
                }
                tried => return tried,
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn is_there(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn a_program_that_is_well_is_heard_and_its_status_told() {
    let trial = script("echo \"$1 of $0\"; echo oh >&2; exit 3").run(AMPLE).await.unwrap();
    assert_eq!(trial.status, 3);
    assert!(trial.stdout.starts_with("--version of "), "{trial:?}");
    assert_eq!(trial.stderr, "oh");
}

#[tokio::test]
async fn the_child_cannot_pass_for_the_agent_and_has_the_rest_of_its_surroundings() {
    let mut scene = script("env; pwd; cat; echo group $(cut -d' ' -f5 /proc/$$/stat) of $$");
    for name in OF_THE_AGENT {
        scene.plan.env.push((name.into(), "1".into()));
    }
    scene.plan.env.push(("KEPT".into(), "kept".into()));
    let trial = scene.run(AMPLE).await.unwrap();
    assert!(trial.stdout.contains("KEPT=kept"), "{trial:?}");
    let words: Vec<&str> = trial.stdout.lines().last().unwrap().split(' ').collect();
    assert_eq!(words[1], words[3], "a process group of its own: {trial:?}");
    assert!(trial.stdout.contains(scene.folder.path().to_str().unwrap()), "{trial:?}");
    for name in OF_THE_AGENT {
        assert!(!trial.stdout.contains(&format!("{name}=")), "{name}: {trial:?}");
    }
}

#[tokio::test]
async fn a_program_that_crashes_is_told_by_the_name_of_the_signal() {
    let error = script("echo why >&2; kill -SEGV $$").run(AMPLE).await.unwrap_err();
    assert_eq!(error.to_string(), "was killed by SIGSEGV: why");
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_in_time_with_all_that_it_has_started() {
    let scene = script("sleep 1000 & echo $! >child; echo $$ >self; wait");
    let begun = crate::boottime();
    let error = scene.run(Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(error, TrialError::TimedOut(_)), "{error}");
    assert!(crate::boottime() - begun < AMPLE);
    for name in ["self", "child"] {
        let pid = std::fs::read_to_string(scene.path(name)).unwrap();
        // Whoever reaps orphans may take a moment, so that a zombie counts as gone.
        while is_there(&pid) {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn what_a_program_leaves_in_its_group_is_ended_with_it() {
    let scene = script("sleep 1000 & echo $! >child; exit 0");
    assert_eq!(scene.run(AMPLE).await.unwrap().status, 0);
    let pid = std::fs::read_to_string(scene.path("child")).unwrap();
    while is_there(&pid) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_trial_that_is_given_up_leaves_no_child() {
    let scene = script("echo $$ >self; exec sleep 1000");
    let written = scene.path("self");
    tokio::select! {
        ended = scene.run(AMPLE) => panic!("it hangs, but {ended:?}"),
        () = async { while std::fs::read(&written).map_or(true, |pid| pid.is_empty()) {
            tokio::task::yield_now().await;
        } } => {}
    }
    let pid = std::fs::read_to_string(&written).unwrap();
    // It was killed; on a busy machine it takes a moment to die.
    let gone = async {
        while is_there(&pid) {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(AMPLE, gone).await.is_ok(), "{pid} still runs");
}

#[tokio::test]
async fn more_than_a_pipe_holds_does_not_stop_the_child() {
    let trial = script("head -c 300000 /dev/zero; exit 0").run(AMPLE).await.unwrap();
    assert_eq!((trial.status, trial.stdout.len()), (0, MOST_KEPT));
}

#[tokio::test]
async fn what_the_kernel_does_not_start_is_told_with_its_meaning() {
    let refused = async |scene: &Scene| scene.run(AMPLE).await.unwrap_err().to_string();
    let garbage = refused(&program(b"\x7fELF and no more")).await;
    assert!(garbage.contains("damaged, or made for another kind of machine"), "{garbage}");
    let orphan = refused(&program(b"#!/nowhere/sh\n")).await;
    assert!(orphan.contains("loader or interpreter that it names is missing"), "{orphan}");
    let plain = script("exit 0");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&plain.plan.executable, mode).unwrap();
    let plain = refused(&plain).await;
    assert!(plain.contains("it may not be executed"), "{plain}");
    let mut gone = script("exit 0");
    gone.plan.executable = gone.path("gone");
    let gone = refused(&gone).await;
    assert!(gone.contains("No such file"), "{gone}");
}

#[tokio::test]
async fn a_working_directory_that_was_deleted_is_not_taken_for_a_missing_program() {
    let mut scene = script("exit 0");
    scene.plan.cwd = scene.path("deleted");
    assert_eq!(scene.run(AMPLE).await.unwrap().status, 0);
}
