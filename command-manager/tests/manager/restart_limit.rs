//! The limit of restarts within an hour: refused with the time to wait, and nothing is half accepted.

use command_manager::{
    AcceptError, Acceptance, CommandType, ErrorCode, Execution, Finish, RestartRoom, Settings,
};

use crate::scene::{Act, Scene, Scripted, id, order, succeed};

fn three_an_hour() -> Settings {
    Settings { max_restarts_per_hour: 3, ..Settings::default() }
}

async fn refusal(scene: &Scene, text: &str) -> (u32, u64) {
    let answer = scene.manager.accept(order(text, CommandType::RestartAgent), None).await;
    match answer {
        Err(AcceptError::TooManyRestarts { limit, wait }) => (limit, wait.as_secs()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_restart_more_than_allowed_is_refused_with_the_time_to_wait() {
    let (scene, clock) = Scene::with(three_an_hour());
    let run = scene.run(&Scripted::executing(|_| succeed()));
    for text in ["a", "b", "c"] {
        scene.order(text, CommandType::RestartAgent).await;
        scene.finished(text).await;
        clock.advance(600);
    }
    let (limit, wait) = refusal(&scene, "d").await;
    assert_eq!(limit, 3);
    assert!((1_700..=1_800).contains(&wait), "three times 600 s have passed: {wait}");
    assert_eq!(scene.manager.show(&id("d")).await, Ok(None));
    clock.advance(1_800);
    scene.order("d", CommandType::RestartAgent).await;
    run.stop().await;
}

#[tokio::test]
async fn the_limit_holds_across_a_restart_and_says_what_to_do() {
    let (scene, clock) = Scene::with(three_an_hour());
    let run = scene.run(&Scripted::executing(|_| succeed()));
    for text in ["a", "b", "c"] {
        scene.order(text, CommandType::RestartAgent).await;
        scene.finished(text).await;
    }
    run.stop().await;
    let scene = scene.reopen_with(three_an_hour(), &clock);
    let refused = scene.manager.accept(order("d", CommandType::RestartAgent), None).await;
    let text = refused.unwrap_err().to_string();
    let expected = "the agent may be restarted 3 times an hour (commands.max_restarts_per_hour): ask again in 35";
    assert!(text.starts_with(expected), "{text}");
}

#[tokio::test]
async fn restarts_that_wait_count_and_those_that_joined_another_do_not() {
    let (scene, _) = Scene::with(three_an_hour());
    for text in ["a", "b", "c"] {
        scene.order(text, CommandType::RestartAgent).await;
    }
    refusal(&scene, "d").await;
    for joined in ["a", "b"] {
        drop(scene.manager.finish(&id(joined), Finish::success("joined")).await.unwrap());
    }
    scene.order("d", CommandType::RestartAgent).await;
}

#[tokio::test]
async fn a_restart_that_the_checks_refused_does_not_count_and_one_that_failed_otherwise_does() {
    let (scene, _) = Scene::with(three_an_hour());
    let fails = |error, why: &str| Act::Answer(Execution::Finished(Finish::failure(error, why)));
    let refused = move |_: &_| fails(ErrorCode::Refused, "the disk is full");
    let run = scene.run(&Scripted::executing(refused));
    for text in ["a", "b", "c", "d"] {
        scene.order(text, CommandType::RestartAgent).await;
        scene.finished(text).await;
    }
    run.stop().await;
    let room = || async { scene.manager.restart_room().await.unwrap() };
    assert_eq!(room().await, RestartRoom { limit: 3, left: 3, wait: None });
    let run = scene.run(&Scripted::executing(move |_| fails(ErrorCode::Failed, "called off")));
    for (text, left) in [("e", 2), ("f", 1), ("g", 0)] {
        scene.order(text, CommandType::RestartAgent).await;
        scene.finished(text).await;
        assert_eq!(room().await.left, left);
    }
    run.stop().await;
    let wait = room().await.wait.map_or(0, |wait| wait.as_secs());
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    refusal(&scene, "h").await;
}

#[tokio::test]
async fn a_restart_that_is_known_is_answered_also_at_the_limit() {
    let (scene, _) = Scene::with(three_an_hour());
    for text in ["a", "b", "c"] {
        scene.order(text, CommandType::RestartAgent).await;
    }
    let again = scene.manager.accept(order("a", CommandType::RestartAgent), None).await;
    assert!(matches!(again, Ok(Acceptance::Known(_))), "{again:?}");
}

#[tokio::test]
async fn only_restarts_of_the_agent_are_limited_and_zero_is_no_limit() {
    let (scene, _) = Scene::with(Settings { max_restarts_per_hour: 1, ..Settings::default() });
    for number in 0..5 {
        scene.order(&format!("m-{number}"), CommandType::RestartModule).await;
    }
    let (scene, _) = Scene::with(Settings { max_restarts_per_hour: 0, ..Settings::default() });
    for number in 0..100 {
        scene.order(&format!("a-{number}"), CommandType::RestartAgent).await;
    }
}

#[tokio::test]
async fn a_restart_that_failed_before_it_began_does_not_count() {
    let (scene, _) = Scene::with(Settings { max_restarts_per_hour: 1, ..Settings::default() });
    scene.order("a", CommandType::RestartAgent).await;
    let refused = Finish::failure(ErrorCode::Refused, "unknown module");
    drop(scene.manager.finish(&id("a"), refused).await.unwrap());
    scene.order("b", CommandType::RestartAgent).await;
}
