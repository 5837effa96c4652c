//! A disk that refuses: what was accepted stays, what cannot be recorded is refused, and the queue waits.

use std::env;
use std::process::Command;

use command_manager::{AcceptError, Acceptance, ErrorCode, Finish, Status};
use rusqlite::Connection;
use serde_json::json;

use crate::crash::{Killable, folder_of_child, say};
use crate::scene::{Scene, Scripted, envelope, id, open, succeed};

#[tokio::test]
#[ignore = "a child of another test"]
async fn child_that_accepts_until_the_disk_is_full() {
    let Some(folder) = folder_of_child() else { return };
    let manager = open(&folder.join("commands.db")).0;
    for number in 0.. {
        let mut large = envelope(&format!("c-{number}"));
        large.received["padding"] = json!("x".repeat(20_000));
        match manager.accept(large, None).await {
            Ok(Acceptance::New(record)) => say(&format!("accepted {}", record.id)),
            Err(AcceptError::Storage { reason }) => {
                let first = manager.show(&id("c-0")).await.unwrap().unwrap();
                say(&format!("refused {} {reason}", first.status));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn on_a_full_disk_a_command_is_refused_and_those_accepted_stay() {
    let folder = tempfile::tempdir().unwrap();
    // The kernel refuses to let a file of the child grow, as a full disk would.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 800; exec \"$@\"", "sh"]);
    shell.arg(env::current_exe().unwrap());
    let name = "failing_disk::child_that_accepts_until_the_disk_is_full";
    let mut child = Killable::start_through(shell, name, folder.path());
    let mut accepted = Vec::new();
    let refused = loop {
        let line = child.until("");
        if let Some(id) = line.strip_prefix("accepted ") {
            accepted.push(id.to_owned());
        } else if let Some(refused) = line.strip_prefix("refused ") {
            break refused.to_owned();
        }
    };
    assert!(refused.starts_with("pending the command journal could not be"), "{refused}");
    drop(child);
    let manager = open(&folder.path().join("commands.db")).0;
    let scene = Scene { folder, manager };
    assert!(accepted.len() > 2, "{accepted:?}");
    for id in accepted {
        assert_eq!(scene.show(&id).await.status, Status::Pending);
    }
    scene.accept("when-there-is-room").await;
}

/// Makes the journal refuse changes of commands that meet `condition`, until it is dropped.
struct Refusal(Connection);

impl Refusal {
    fn start(scene: &Scene, condition: &str) -> Self {
        let connection = Connection::open(scene.path()).unwrap();
        let trigger = format!(
            "CREATE TRIGGER refusal BEFORE UPDATE ON commands WHEN {condition}
             BEGIN SELECT RAISE(ABORT, 'no space'); END"
        );
        connection.execute_batch(&trigger).unwrap();
        Self(connection)
    }
}

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.execute_batch("DROP TRIGGER refusal").unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn while_an_attempt_cannot_be_recorded_none_is_made() {
    let scene = Scene::new();
    scene.accept("a").await;
    let refusal = Refusal::start(&scene, "NEW.attempts > OLD.attempts");
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    scene.give_it_a_chance().await;
    assert_eq!(executor.notes(), Vec::<String>::new());
    drop(refusal);
    assert_eq!(scene.finished("a").await.attempts, 1);
    assert_eq!(executor.notes(), ["execute a #1"]);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_recorded_is_recorded_later_without_a_second_execution() {
    let scene = Scene::new();
    scene.accept("a").await;
    scene.accept("b").await;
    let refusal = Refusal::start(&scene, "NEW.finished_at IS NOT NULL");
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    scene.give_it_a_chance().await;
    let failure = Finish::failure(ErrorCode::Failed, "not done");
    let refused = scene.manager.finish(&id("b"), failure).await.unwrap_err();
    assert!(refused.to_string().ends_with("no space"), "{refused}");
    assert_eq!(scene.show("a").await.status, Status::InProgress);
    drop(refusal);
    assert_eq!(scene.finished("b").await.status, Status::Success);
    assert_eq!(executor.notes(), ["execute a #1", "execute b #1"]);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_waits_for_the_disk_can_be_stopped() {
    let scene = Scene::new();
    scene.accept("a").await;
    let refusal = Refusal::start(&scene, "true");
    let run = scene.run(&Scripted::executing(|_| succeed()));
    scene.give_it_a_chance().await;
    run.stop().await;
    drop(refusal);
    assert_eq!(scene.show("a").await.attempts, 0);
}
