//! Waiting for a command to move on.

use std::task::Poll;

use command_manager::{Finish, Status, Step};

use crate::scene::{Scene, id};

#[tokio::test]
async fn a_command_that_moved_on_already_is_returned_at_once() {
    let scene = Scene::new();
    scene.accept("a").await;
    let record = scene.manager.wait(&id("a"), 0).await.unwrap().unwrap();
    assert_eq!(record.last_seq(), 1);
}

#[tokio::test]
async fn a_finished_command_is_returned_at_once_whatever_was_seen() {
    let scene = Scene::new();
    scene.accept("a").await;
    drop(scene.manager.finish(&id("a"), Finish::success("done")).await.unwrap());
    let record = scene.manager.wait(&id("a"), u64::MAX).await.unwrap().unwrap();
    assert_eq!(record.status, Status::Success);
}

#[tokio::test]
async fn nobody_waits_for_a_command_that_is_not_known() {
    let scene = Scene::new();
    assert_eq!(scene.manager.wait(&id("a"), 0).await, Ok(None));
}

#[tokio::test]
async fn a_wait_goes_on_until_the_command_itself_moves() {
    let scene = Scene::new();
    scene.accept("a").await;
    let (command, other) = (id("a"), id("b"));
    let mut wait = Box::pin(scene.manager.wait(&command, 1));
    for step in 0..50 {
        // Changes of another command wake the wait and do not end it.
        if step == 10 {
            scene.accept("b").await;
            drop(scene.manager.progress(&other, Step::new("x", "")).await.unwrap());
        }
        let poll = std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
        assert!(poll.is_pending(), "{poll:?}");
        scene.show("a").await;
    }
    drop(scene.manager.progress(&command, Step::new("saving", "")).await.unwrap());
    let record = wait.await.unwrap().unwrap();
    assert_eq!((record.last_seq(), record.id.as_str()), (2, "a"));
}

#[tokio::test]
async fn a_wait_that_is_dropped_loses_nothing() {
    let scene = Scene::new();
    scene.accept("a").await;
    let command = id("a");
    for _ in 0..5 {
        let mut wait = Box::pin(scene.manager.wait(&command, 1));
        let poll = std::future::poll_fn(|context| Poll::Ready(wait.as_mut().poll(context))).await;
        assert!(poll.is_pending(), "{poll:?}");
    }
    drop(scene.manager.finish(&command, Finish::success("done")).await.unwrap());
    let record = scene.manager.wait(&command, 1).await.unwrap().unwrap();
    assert_eq!(record.status, Status::Success);
}
