//! Joining: what is done together with another command is under way with it, and ends with it.

use std::sync::Arc;

use command_manager::{
    Cancelling, CommandType, ErrorCode, Finish, Judgement, Settings, Status, parse_command,
};
use serde_json::json;

use crate::scene::{Act, Scene, Scripted, id, succeed};

const RESTARTS: &[CommandType] = &[CommandType::RestartAgent];

async fn three_of_which_one_runs() -> (Scene, Arc<Scripted>, crate::scene::Run) {
    let scene = Scene::new();
    for text in ["a", "b", "c"] {
        scene.order(text, CommandType::RestartAgent).await;
    }
    let executor = Scripted::executing(|_| Act::Hang);
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    (scene, executor, run)
}

#[tokio::test]
async fn what_has_joined_is_under_way_without_an_attempt_and_cannot_be_cancelled() {
    let (scene, _executor, run) = three_of_which_one_runs().await;
    let ids = vec![id("a"), id("b"), id("unknown")];
    let joined = scene.manager.join(ids, "with a").await.unwrap();
    assert_eq!(joined, [id("b")], "a runs already");
    let record = scene.show("b").await;
    assert_eq!((record.status, record.attempts, record.text()), (Status::InProgress, 0, "with a"));
    let answer = scene.manager.cancel(&id("b"), None, None).await.unwrap();
    assert!(matches!(answer, Cancelling::UnderWay(_)), "{answer:?}");
    let waiting = scene.manager.waiting(RESTARTS).await.unwrap();
    assert_eq!(waiting.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["c"]);
    drop(scene.manager.finish(&id("b"), Finish::success("restarted")).await.unwrap());
    assert_eq!(scene.show("b").await.status, Status::Success);
    run.task.abort();
}

#[tokio::test]
async fn what_was_cancelled_first_does_not_join() {
    let (scene, _executor, run) = three_of_which_one_runs().await;
    drop(scene.manager.cancel(&id("b"), None, None).await.unwrap());
    assert_eq!(scene.manager.join(vec![id("b")], "with a").await, Ok(vec![]));
    assert_eq!(scene.show("b").await.error, ErrorCode::Cancelled.code());
    run.task.abort();
}

#[tokio::test]
async fn what_is_released_waits_for_its_own_turn() {
    let scene = Scene::new();
    scene.order("a", CommandType::RestartAgent).await;
    scene.manager.join(vec![id("a")], "with another").await.unwrap();
    drop(scene.manager.release(&id("a")).await.unwrap());
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    assert_eq!(scene.finished("a").await.status, Status::Success);
    assert_eq!(executor.notes(), ["execute a #1"]);
    run.stop().await;
}

#[tokio::test]
async fn what_has_joined_does_not_expire() {
    let (scene, clock) = Scene::with(Settings::default());
    let sent = json!({
        "id": "a", "command": {"type": "restart-agent"}, "expires_at": "2027-01-15T08:10:00Z"
    });
    let sent = parse_command(sent.to_string().as_bytes()).unwrap();
    drop(scene.manager.accept(sent, None).await.unwrap());
    scene.manager.join(vec![id("a")], "with another").await.unwrap();
    clock.advance(10_000);
    let run = scene.run(&Scripted::executing(|_| succeed()));
    scene.give_it_a_chance().await;
    assert_eq!(scene.show("a").await.status, Status::InProgress);
    run.stop().await;
}

#[tokio::test]
async fn waiting_restarts_end_together_however_many_commands_came_after_them() {
    let (scene, _executor, run) = three_of_which_one_runs().await;
    for number in 0..1_100 {
        scene.order(&format!("check-{number}"), CommandType::CheckConfig).await;
    }
    let end = Finish::failure(ErrorCode::OvertakenByStop, "the agent was stopped");
    let ended = scene.manager.finish_waiting(RESTARTS, end).await.unwrap();
    assert_eq!(ended.iter().map(|record| record.id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(scene.show("c").await.text(), "the agent was stopped");
    assert_eq!(scene.show("a").await.status, Status::InProgress);
    run.task.abort();
}

#[tokio::test]
async fn a_command_that_no_process_brings_to_its_end_is_given_up() {
    let (scene, clock) = Scene::with(Settings::default());
    scene.order("a", CommandType::RestartAgent).await;
    let deferring = Scripted::executing(|_| Act::Answer(command_manager::Execution::Deferred));
    let run = scene.run(&deferring);
    while scene.show("a").await.status != Status::InProgress {
        scene.give_it_a_chance().await;
    }
    run.stop().await;
    let mut scene = scene;
    for process in 1..=3 {
        scene = scene.reopen_with(Settings::default(), &clock);
        let executor = Scripted::new(|_| succeed(), |_| Judgement::Deferred);
        scene.manager.recover(&crate::scene::all(&executor)).await.unwrap();
        let record = scene.show("a").await;
        assert_eq!(record.status.is_finished(), process == 3, "process {process}: {record:?}");
    }
    let given_up = scene.show("a").await;
    assert_eq!(given_up.error, ErrorCode::GaveUp.code());
    assert_eq!(given_up.text(), "gave up: the agent ended 2 times before this came to an end");
}

#[tokio::test]
async fn only_what_an_earlier_process_accepted_is_inherited() {
    let scene = Scene::new();
    scene.accept("a").await;
    scene.accept("done").await;
    drop(scene.manager.finish(&id("done"), Finish::success("done")).await.unwrap());
    assert!(!scene.manager.is_inherited(&id("a")));
    let scene = scene.reopen();
    scene.accept("b").await;
    let inherited = ["a", "b", "done"].map(|text| scene.manager.is_inherited(&id(text)));
    assert_eq!(inherited, [true, false, false]);
}
