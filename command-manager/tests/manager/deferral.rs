//! Deferral: while the process is being replaced, nothing else is begun.

use command_manager::{Execution, Finish, Judgement, Status, Step};

use crate::scene::{Act, Scene, Scripted, all, id, succeed};

fn defer_a() -> impl Fn(&command_manager::CommandRecord) -> Act + Send + Sync {
    |command| {
        if command.id == id("a") { Act::Answer(Execution::Deferred) } else { succeed() }
    }
}

#[tokio::test]
async fn after_a_deferral_nothing_is_begun_until_somebody_finishes_it() {
    let scene = Scene::new();
    scene.accept("a").await;
    scene.accept("b").await;
    let executor = Scripted::executing(defer_a());
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    scene.accept("c").await;
    drop(scene.manager.progress(&id("a"), Step::new("stopping", "")).await.unwrap());
    scene.give_it_a_chance().await;
    executor.note("finish a".into());
    drop(scene.manager.finish(&id("a"), Finish::success("restarted")).await.unwrap());
    scene.finished("c").await;
    assert_eq!(executor.notes(), ["execute a #1", "finish a", "execute b #1", "execute c #1"]);
    run.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_what_is_deferred() {
    let scene = Scene::new();
    scene.accept("a").await;
    let executor = Scripted::executing(defer_a());
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    run.stop().await;
    assert_eq!(scene.show("a").await.status, Status::InProgress);
}

#[tokio::test]
async fn a_judgement_that_is_deferred_holds_the_queue_up_too() {
    let scene = Scene::new();
    scene.accept("a").await;
    let first = Scripted::executing(defer_a());
    let run = scene.run(&first);
    first.until_noted(1).await;
    run.stop().await;

    let scene = scene.reopen();
    scene.accept("b").await;
    let executor = Scripted::new(|_| succeed(), |_| Judgement::Deferred);
    scene.manager.recover(&all(&executor)).await.unwrap();
    let run = scene.run(&executor);
    scene.give_it_a_chance().await;
    executor.note("finish a".into());
    drop(scene.manager.finish(&id("a"), Finish::success("restarted")).await.unwrap());
    scene.finished("b").await;
    assert_eq!(executor.notes(), ["judge a", "finish a", "execute b #1"]);
    run.stop().await;
}
