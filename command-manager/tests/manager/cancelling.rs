//! Cancelling: only what was not begun can be cancelled, and then it never is.

use command_manager::{Cancelling, CommandType, ErrorCode, Finish, Peer, Status};

use crate::scene::{Act, Scene, Scripted, id, succeed};

#[tokio::test]
async fn a_pending_command_is_cancelled_and_never_run() {
    let scene = Scene::new();
    scene.order("a", CommandType::Reload).await;
    scene.order("b", CommandType::Reload).await;
    let peer = Peer { uid: 7, gid: 8, pid: Some(9), executable: None };
    let cancelled = scene.manager.cancel(&id("a"), Some(&peer), Some("a mistake")).await.unwrap();
    let Cancelling::Cancelled(record) = cancelled else { panic!("{cancelled:?}") };
    assert_eq!((record.status, record.error), (Status::Failure, ErrorCode::Cancelled.code()));
    assert_eq!(record.text(), "cancelled before its turn came by uid=7 gid=8 pid=9: a mistake");
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    assert_eq!(scene.finished("b").await.status, Status::Success);
    assert_eq!(executor.notes(), ["execute b #1"]);
    run.stop().await;
}

#[tokio::test]
async fn what_was_begun_goes_on() {
    let scene = Scene::new();
    scene.order("a", CommandType::Reload).await;
    let executor = Scripted::executing(|_| Act::Hang);
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    let answer = scene.manager.cancel(&id("a"), None, None).await.unwrap();
    let Cancelling::UnderWay(record) = answer else { panic!("{answer:?}") };
    assert_eq!(record.status, Status::InProgress);
    assert_eq!(scene.show("a").await, *record);
    run.task.abort();
}

#[tokio::test]
async fn a_stop_cannot_be_cancelled_because_it_waits_for_no_turn() {
    let scene = Scene::new();
    let accepted = scene.order("a", CommandType::Stop).await;
    let answer = scene.manager.cancel(&id("a"), None, None).await.unwrap();
    assert_eq!(answer, Cancelling::UnderWay(Box::new(accepted)));
}

#[tokio::test]
async fn what_is_finished_or_unknown_stays_so() {
    let scene = Scene::new();
    scene.order("a", CommandType::Reload).await;
    drop(scene.manager.finish(&id("a"), Finish::success("done")).await.unwrap());
    let finished = Box::new(scene.show("a").await);
    let answer = scene.manager.cancel(&id("a"), None, None).await.unwrap();
    assert_eq!(answer, Cancelling::AlreadyFinished(finished));
    assert_eq!(scene.manager.cancel(&id("b"), None, None).await, Ok(Cancelling::Unknown));
}
