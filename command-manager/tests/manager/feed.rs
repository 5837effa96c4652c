//! The feed of changes: from any number on, in this process and the next, nothing missing and nothing twice.

use std::task::Poll;
use std::time::Duration;

use command_manager::{CommandType, Finish, Settings, Status};

use crate::scene::{Scene, Scripted, id, succeed};

#[tokio::test]
async fn a_subscriber_that_goes_on_after_the_change_of_the_process_misses_nothing() {
    let (scene, clock) = Scene::with(Settings::default());
    let run = scene.run(&Scripted::executing(|_| succeed()));
    scene.order("a", CommandType::Reload).await;
    scene.finished("a").await;
    run.stop().await;
    let first = scene.manager.changes(0, 2).await.unwrap();
    let scene = scene.reopen_with(Settings::default(), &clock);
    scene.order("b", CommandType::CheckConfig).await;
    let last = first.changes.last().unwrap().change;
    let second = scene.manager.changes(last, 100).await.unwrap();
    assert!(!first.gap && !second.gap);
    let all: Vec<_> = first
        .changes
        .iter()
        .chain(&second.changes)
        .map(|it| (it.change, it.id.as_str(), it.kind, it.entry.status, it.entry.stage.as_str()))
        .collect();
    let (reload, check) = (CommandType::Reload, CommandType::CheckConfig);
    assert_eq!(
        all,
        [
            (1, "a", reload, Status::Pending, "accepted"),
            (2, "a", reload, Status::InProgress, "started"),
            (3, "a", reload, Status::Success, "finished"),
            (4, "b", check, Status::Pending, "accepted"),
        ]
    );
    assert_eq!(scene.manager.newest_change().await, Ok(4));
}

#[tokio::test]
async fn a_subscriber_waits_for_the_next_change() {
    let scene = Scene::new();
    assert_eq!(scene.manager.newest_change().await, Ok(0));
    let mut next = Box::pin(scene.manager.changes(0, 10));
    for _ in 0..5 {
        let poll = std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await;
        assert!(poll.is_pending(), "{poll:?}");
        scene.give_it_a_chance().await;
    }
    scene.order("a", CommandType::Reload).await;
    assert_eq!(next.await.unwrap().changes[0].id, id("a"));
}

#[tokio::test]
async fn the_end_in_the_feed_says_how() {
    let scene = Scene::new();
    scene.order("a", CommandType::Reload).await;
    let failure = Finish::failure(command_manager::ErrorCode::Degraded, "sca does not run");
    drop(scene.manager.finish(&id("a"), failure).await.unwrap());
    let errors = scene.manager.changes(0, 9).await.unwrap().changes;
    assert_eq!(errors.iter().map(|it| it.error).collect::<Vec<_>>(), [0, 6]);
    let shown = serde_json::to_value(&errors[1]).unwrap();
    assert_eq!((&shown["type"], &shown["text"]), (&"reload".into(), &"sca does not run".into()));
}

#[tokio::test]
async fn whoever_asks_for_changes_that_are_gone_is_told() {
    let settings = Settings { keep_for: Duration::ZERO, ..Settings::default() };
    let (scene, clock) = Scene::with(settings);
    scene.order("a", CommandType::Reload).await;
    drop(scene.manager.finish(&id("a"), Finish::success("done")).await.unwrap());
    clock.advance(10);
    let run = scene.run(&Scripted::executing(|_| succeed()));
    while !scene.manager.list(9).await.unwrap().is_empty() {
        scene.give_it_a_chance().await;
    }
    run.stop().await;
    assert_eq!(scene.manager.newest_change().await, Ok(3), "a number is never given twice");
    scene.order("b", CommandType::Reload).await;
    let gone = scene.manager.changes(0, 9).await.unwrap();
    assert_eq!((gone.gap, gone.changes[0].change), (true, 4));
    assert!(scene.manager.changes(2, 9).await.unwrap().gap);
    assert!(!scene.manager.changes(3, 9).await.unwrap().gap);
}
