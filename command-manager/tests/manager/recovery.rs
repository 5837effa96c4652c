//! Recovery: what was in progress is judged, each by itself, before anything is begun.

use std::sync::Arc;

use command_manager::{ErrorCode, Execution, Finish, Judgement, Status};

use crate::scene::{Act, Scene, Scripted, all, id, succeed};

/// A new start with `a` in progress, after one attempt, and `b` waiting.
async fn with_a_broken_off() -> Scene {
    let scene = Scene::new();
    scene.accept("a").await;
    let executor = Scripted::executing(|_| Act::Answer(Execution::Deferred));
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    run.stop().await;
    let scene = scene.reopen();
    scene.accept("b").await;
    scene
}

#[tokio::test]
async fn a_judgement_can_be_the_end() {
    let scene = with_a_broken_off().await;
    let verdict = |_: &_| Judgement::Finished(Finish::success("restarted"));
    let executor = Scripted::new(|_| succeed(), verdict);
    scene.manager.recover(&all(&executor)).await.unwrap();
    let judged = scene.show("a").await;
    assert_eq!((judged.status, judged.attempts), (Status::Success, 1));
    assert_eq!(judged.history.last().unwrap().text, "restarted");
    let run = scene.run(&executor);
    scene.finished("b").await;
    assert_eq!(executor.notes(), ["judge a", "execute b #1"]);
    run.stop().await;
}

#[tokio::test]
async fn a_command_judged_to_be_done_again_keeps_its_place_in_the_queue() {
    let scene = with_a_broken_off().await;
    let executor = Scripted::new(|_| succeed(), |_| Judgement::Again);
    scene.manager.recover(&all(&executor)).await.unwrap();
    assert_eq!(scene.show("a").await.status, Status::InProgress, "it never goes back to pending");
    let run = scene.run(&executor);
    scene.finished("b").await;
    assert_eq!(executor.notes(), ["judge a", "execute a #2", "execute b #1"]);
    assert_eq!(scene.show("a").await.attempts, 2);
    run.stop().await;
}

#[tokio::test]
async fn what_was_judged_is_not_judged_again_and_a_run_judges_what_was_not() {
    let scene = with_a_broken_off().await;
    let executor = Scripted::new(|_| succeed(), |_| Judgement::Again);
    let run = scene.run(&executor);
    scene.finished("b").await;
    scene.manager.recover(&all(&executor)).await.unwrap();
    assert_eq!(executor.notes(), ["judge a", "execute a #2", "execute b #1"]);
    run.stop().await;
}

#[tokio::test]
async fn what_was_finished_before_the_judgement_needs_none() {
    let scene = with_a_broken_off().await;
    drop(scene.manager.finish(&id("a"), Finish::success("confirmed")).await.unwrap());
    let executor = Scripted::executing(|_| succeed());
    scene.manager.recover(&all(&executor)).await.unwrap();
    assert_eq!(executor.notes(), Vec::<String>::new());
    assert_eq!(scene.show("a").await.status, Status::Success);
}

#[tokio::test]
async fn a_judge_that_panics_ends_the_command_as_interrupted_and_harms_no_other() {
    let scene = with_a_broken_off().await;
    let executor = Scripted::new(|_| succeed(), |_| panic!("no idea"));
    let run = scene.run(&executor);
    assert_eq!(scene.finished("b").await.status, Status::Success);
    let judged = scene.show("a").await;
    assert_eq!((judged.status, judged.error), (Status::Failure, ErrorCode::Interrupted.code()));
    let text = &judged.history.last().unwrap().text;
    assert_eq!(text, "it was broken off, and judging it panicked: no idea");
    run.stop().await;
    assert_eq!(Arc::strong_count(&executor), 1);
}
