//! Retention: what is kept, for how long, and that a known id has no second effect long after its details are gone.

use std::time::Duration;

use command_manager::{AcceptError, Acceptance, CommandType, Finish, Peer, Settings, Status};
use serde_json::Value;

use crate::scene::{Scene, Scripted, Ticking, id, order, succeed};

const DAY: i64 = 24 * 60 * 60;

async fn finish(scene: &Scene, text: &str) {
    drop(scene.manager.finish(&id(text), Finish::success("done")).await.unwrap());
}

/// Starts the next process and lets it retire what is due.
async fn retire(scene: Scene, settings: &Settings, clock: &std::sync::Arc<Ticking>) -> Scene {
    let scene = scene.reopen_with(settings.clone(), clock);
    let run = scene.run(&Scripted::executing(|_| succeed()));
    let mut before = usize::MAX;
    loop {
        scene.give_it_a_chance().await;
        let kept = scene.manager.list(usize::MAX).await.unwrap().len();
        if kept == before {
            break;
        }
        before = kept;
    }
    run.stop().await;
    scene
}

async fn kept(scene: &Scene) -> Vec<String> {
    let records = scene.manager.list(usize::MAX).await.unwrap();
    records.iter().rev().map(|record| record.id.to_string()).collect()
}

#[tokio::test]
async fn the_newest_commands_are_kept_and_every_open_one() {
    let settings = Settings { keep_finished: 2, ..Settings::default() };
    let (scene, clock) = Scene::with(settings.clone());
    for number in 0..6 {
        scene.order(&format!("c-{number}"), CommandType::Reload).await;
        if number != 1 {
            finish(&scene, &format!("c-{number}")).await;
        }
    }
    let scene = scene.reopen_with(settings.clone(), &clock);
    // Without an executor for it, because it is to stay open.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let hanging = crate::scene::all(&Scripted::executing(|_| crate::scene::Act::Hang));
    let run = tokio::spawn(std::sync::Arc::clone(&scene.manager).run(hanging, stopped));
    while kept(&scene).await.len() > 3 {
        scene.give_it_a_chance().await;
    }
    assert_eq!(kept(&scene).await, ["c-1", "c-4", "c-5"]);
    run.abort();
    drop(stop);
}

#[tokio::test]
async fn old_commands_go_and_their_ids_stay_known_with_the_answer() {
    let settings = Settings::default();
    let (scene, clock) = Scene::with(settings.clone());
    let peer = Peer { uid: 1, gid: 1, pid: None, executable: None };
    drop(scene.manager.accept(order("a", CommandType::Reload), Some(peer)).await.unwrap());
    finish(&scene, "a").await;
    clock.advance(8 * DAY);
    let scene = retire(scene, &settings, &clock).await;
    assert_eq!(kept(&scene).await, Vec::<String>::new());
    let again = scene.manager.accept(order("a", CommandType::Reload), None).await.unwrap();
    let Acceptance::Known(left) = again else { panic!("{again:?}") };
    assert_eq!((left.status, left.text(), left.history.len()), (Status::Success, "done", 1));
    assert_eq!((left.requester.clone(), left.received.clone()), (None, Value::Null));
    assert_eq!(scene.manager.show(&id("a")).await, Ok(Some(left.clone())));
    assert_eq!(left.to_answer()["parameters"]["status"], "success");
    let mut other = order("a", CommandType::Reload);
    other.force = true;
    let refused = scene.manager.accept(other, None).await;
    assert_eq!(refused, Err(AcceptError::Conflict { id: id("a") }));
    let late = scene.manager.finish(&id("a"), Finish::timeout("late")).await.unwrap();
    assert_eq!(late, command_manager::Change::AlreadyFinished(Box::new(left)));
}

#[tokio::test]
async fn an_id_is_forgotten_after_its_time_and_not_before() {
    let settings = Settings::default();
    let (scene, clock) = Scene::with(settings.clone());
    scene.order("a", CommandType::Reload).await;
    finish(&scene, "a").await;
    clock.advance(29 * DAY);
    let scene = retire(scene, &settings, &clock).await;
    assert!(scene.manager.show(&id("a")).await.unwrap().is_some());
    clock.advance(2 * DAY);
    let scene = retire(scene, &settings, &clock).await;
    assert_eq!(scene.manager.show(&id("a")).await, Ok(None));
    scene.order("a", CommandType::Reload).await;
}

#[tokio::test]
async fn many_old_commands_are_retired_in_steps_and_none_of_the_ids_is_lost() {
    let keep_for = Duration::from_secs(60);
    let settings = Settings { keep_for, ..Settings::default() };
    let (scene, clock) = Scene::with(settings.clone());
    for number in 0..300 {
        scene.order(&format!("c-{number}"), CommandType::Reload).await;
        finish(&scene, &format!("c-{number}")).await;
    }
    clock.advance(10_000);
    let scene = retire(scene, &settings, &clock).await;
    assert_eq!(kept(&scene).await, Vec::<String>::new());
    for number in 0..300 {
        let known = scene.manager.show(&id(&format!("c-{number}"))).await.unwrap();
        assert_eq!(known.map(|record| record.status), Some(Status::Success));
    }
}

#[tokio::test]
async fn a_result_that_is_not_acknowledged_keeps_its_command() {
    let reporters = vec!["server".to_owned()];
    let settings = Settings { keep_for: Duration::ZERO, reporters, ..Settings::default() };
    let (scene, clock) = Scene::with(settings.clone());
    scene.order("a", CommandType::Reload).await;
    finish(&scene, "a").await;
    clock.advance(1_000);
    let scene = retire(scene, &settings, &clock).await;
    assert_eq!(kept(&scene).await, ["a"]);
    let nobody = Settings { reporters: Vec::new(), ..settings };
    let scene = retire(scene, &nobody, &clock).await;
    assert_eq!(kept(&scene).await, Vec::<String>::new());
}
