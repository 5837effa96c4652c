//! Expiry: what came too late is never run, and says so.

use std::time::Duration;

use command_manager::{
    Acceptance, CommandType, ErrorCode, Judgement, Settings, Status, TimeToLive, parse_envelope,
};
use serde_json::json;

use crate::scene::{Act, Scene, Scripted, id, order, succeed};

fn within(seconds: u64) -> Settings {
    let reload = Duration::from_secs(seconds);
    Settings { time_to_live: TimeToLive { reload, ..TimeToLive::default() }, ..Settings::default() }
}

#[tokio::test]
async fn a_command_whose_turn_comes_too_late_is_not_run() {
    let (scene, clock) = Scene::with(within(100));
    let accepted = scene.order("a", CommandType::Reload).await;
    assert_eq!(accepted.expires_at.unwrap().as_second(), accepted.accepted_at.as_second() + 100);
    clock.advance(200);
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    let expired = scene.finished("a").await;
    assert_eq!((expired.status, expired.error), (Status::Timeout, ErrorCode::Expired.code()));
    let text =
        format!("expired at {}, before its turn came; it was not run", expired.expires_at.unwrap());
    assert_eq!(expired.text(), text);
    run.stop().await;
    assert_eq!(executor.notes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_command_whose_turn_comes_in_time_is_run() {
    let (scene, clock) = Scene::with(within(100));
    scene.order("a", CommandType::Reload).await;
    clock.advance(90);
    let run = scene.run(&Scripted::executing(|_| succeed()));
    assert_eq!(scene.finished("a").await.status, Status::Success);
    run.stop().await;
}

#[tokio::test]
async fn a_command_that_had_expired_before_it_came_is_finished_at_once() {
    let scene = Scene::new();
    for kind in CommandType::ALL {
        let sent = json!({
            "id": kind, "command": {"type": kind}, "parameters": {"data": "all"},
            "expires_at": "2027-01-15T07:00:00Z"
        });
        let sent = parse_envelope(sent.to_string().as_bytes()).unwrap();
        let Acceptance::New(record) = scene.manager.accept(sent.clone(), None).await.unwrap()
        else {
            panic!("it was not known");
        };
        assert_eq!((record.status, record.attempts), (Status::Timeout, 0), "{kind}");
        let again = scene.manager.accept(sent, None).await;
        assert_eq!(again, Ok(Acceptance::Known(record)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_behind_another_expires_while_it_waits() {
    let (scene, clock) = Scene::with(within(1_000));
    scene.order("busy", CommandType::RestartModule).await;
    scene.order("a", CommandType::Reload).await;
    let executor = Scripted::executing(|_| Act::Hang);
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    clock.advance(2_000);
    assert_eq!(scene.finished("a").await.error, ErrorCode::Expired.code());
    assert_eq!(executor.notes(), ["execute busy #1"]);
    run.task.abort();
}

#[tokio::test]
async fn a_command_that_was_broken_off_and_has_expired_is_not_begun_again() {
    let (scene, clock) = Scene::with(within(1_000));
    scene.order("a", CommandType::Reload).await;
    let executor = Scripted::executing(|_| Act::Hang);
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    run.task.abort();
    drop(run.task.await);
    clock.advance(2_000);
    let scene = scene.reopen_with(within(1_000), &clock);
    let executor = Scripted::new(|_| succeed(), |_| Judgement::Again);
    let run = scene.run(&executor);
    let expired = scene.finished("a").await;
    assert_eq!((expired.status, expired.attempts), (Status::Timeout, 1));
    assert!(expired.text().ends_with("it is not run again"), "{}", expired.text());
    run.stop().await;
    assert_eq!(executor.notes(), ["judge a"]);
}

#[tokio::test]
async fn a_stop_takes_effect_when_it_is_accepted_and_cannot_expire_later() {
    let (scene, clock) = Scene::with(Settings::default());
    let sent =
        json!({"id": "a", "command": {"type": "stop"}, "expires_at": "2027-01-15T09:00:00Z"});
    let sent = parse_envelope(sent.to_string().as_bytes()).unwrap();
    drop(scene.manager.accept(sent, None).await.unwrap());
    assert_eq!(scene.order("b", CommandType::Stop).await.expires_at, None);
    clock.advance(1_000_000);
    let run = scene.run(&Scripted::executing(|_| succeed()));
    for stop in ["a", "b"] {
        assert_eq!(scene.finished(stop).await.status, Status::Success);
    }
    run.stop().await;
}

#[tokio::test]
async fn the_same_id_with_another_expiry_is_refused_and_one_without_keeps_its_own() {
    let (scene, clock) = Scene::with(within(100));
    scene.order("a", CommandType::Reload).await;
    clock.advance(10);
    let again = scene.manager.accept(order("a", CommandType::Reload), None).await;
    assert!(matches!(again, Ok(Acceptance::Known(_))), "{again:?}");
    let mut other = order("a", CommandType::Reload);
    other.expires_at = scene.manager.show(&id("a")).await.unwrap().unwrap().expires_at;
    scene.manager.accept(other, None).await.unwrap_err();
}
