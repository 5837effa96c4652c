//! Finishing: a command ends once.

use command_manager::{Change, Count, ErrorCode, FinalStatus, Finish, Status, Step};
use serde_json::json;

use crate::scene::{Scene, id};

#[tokio::test]
async fn a_finish_is_recorded_with_all_it_says() {
    let scene = Scene::new();
    scene.accept("a").await;
    let finish = Finish {
        status: FinalStatus::Failure,
        error: ErrorCode::Degraded,
        text: "sca did not start".into(),
        result: Some(json!({"failed": ["sca"]})),
    };
    let Change::Made(record) = scene.manager.finish(&id("a"), finish).await.unwrap() else {
        panic!("it was open");
    };
    assert_eq!((record.status, record.error), (Status::Failure, 6));
    assert_eq!(record.result, Some(json!({"failed": ["sca"]})));
    let last = record.history.last().unwrap();
    assert_eq!((last.stage.as_str(), last.text.as_str()), ("finished", "sca did not start"));
    assert_eq!(record.finished_at, Some(last.at));
    let answer = record.to_answer();
    assert_eq!(answer["parameters"]["status"], "failure");
    assert_eq!(*record, scene.reopen().show("a").await);
}

#[tokio::test]
async fn a_finished_command_stays_as_it_is_and_the_answer_says_so() {
    let scene = Scene::new();
    scene.accept("a").await;
    let Change::Made(ended) =
        scene.manager.finish(&id("a"), Finish::timeout("too late")).await.unwrap()
    else {
        panic!("it was open");
    };
    assert_eq!((ended.status, ended.error), (Status::Timeout, ErrorCode::TimedOut.code()));
    let again = scene.manager.finish(&id("a"), Finish::success("done")).await.unwrap();
    assert_eq!(again, Change::AlreadyFinished(ended.clone()));
    let late = scene.manager.progress(&id("a"), Step::new("saving", "late")).await.unwrap();
    assert_eq!(late, Change::AlreadyFinished(ended.clone()));
    assert_eq!(scene.show("a").await, *ended);
}

#[tokio::test]
async fn a_command_that_is_not_known_cannot_be_changed() {
    let scene = Scene::new();
    let finished = scene.manager.finish(&id("a"), Finish::success("done")).await;
    assert_eq!(finished, Ok(Change::Unknown));
    assert_eq!(scene.manager.progress(&id("a"), Step::new("x", "")).await, Ok(Change::Unknown));
    assert_eq!(scene.manager.list(9).await, Ok(vec![]));
}

#[tokio::test]
async fn a_waiting_command_that_is_done_with_another_was_in_progress_too() {
    let scene = Scene::new();
    scene.accept("a").await;
    let Change::Made(record) =
        scene.manager.finish(&id("a"), Finish::success("joined")).await.unwrap()
    else {
        panic!("it was open");
    };
    let statuses: Vec<_> = record.history.iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [Status::Pending, Status::InProgress, Status::Success]);
    assert_eq!(record.attempts, 0);
}

#[tokio::test]
async fn progress_is_recorded_in_order_and_changes_no_status() {
    let scene = Scene::new();
    scene.accept("a").await;
    let steps = [
        Step::new("ready", "so far").of_module("fim").counted(1, 2),
        Step::new("saving", "so far"),
    ];
    for step in steps {
        let change = scene.manager.progress(&id("a"), step).await.unwrap();
        assert!(matches!(change, Change::Made(_)), "{change:?}");
    }
    let record = scene.reopen().show("a").await;
    let notes: Vec<_> = record
        .history
        .iter()
        .map(|entry| {
            let (stage, module) = (entry.stage.as_str(), entry.module.as_deref());
            (entry.seq, stage, module, entry.count, entry.status)
        })
        .collect();
    assert_eq!(
        notes,
        [
            (1, "accepted", None, None, Status::Pending),
            (2, "ready", Some("fim"), Some(Count { done: 1, total: 2 }), Status::Pending),
            (3, "saving", None, None, Status::Pending),
        ]
    );
}
