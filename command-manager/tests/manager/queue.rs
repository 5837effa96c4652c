//! The queue: one at a time, in the order of acceptance, each attempt on disk first.

use std::sync::Arc;

use command_manager::{ErrorCode, Execution, Finish, Status};
use rusqlite::{Connection, OpenFlags};

use crate::scene::{Act, Scene, Scripted, all, id, succeed};

#[tokio::test]
async fn commands_are_executed_in_the_order_of_acceptance() {
    let scene = Scene::new();
    for text in ["z", "a", "m"] {
        scene.accept(text).await;
    }
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    scene.finished("m").await;
    scene.accept("b").await;
    let last = scene.finished("b").await;
    assert_eq!(executor.notes(), ["execute z #1", "execute a #1", "execute m #1", "execute b #1"]);
    let stages: Vec<_> = last.history.iter().map(|entry| entry.stage.as_str()).collect();
    assert_eq!(stages, ["accepted", "started", "finished"]);
    run.stop().await;
}

#[tokio::test]
async fn the_attempt_is_on_disk_before_it_is_made() {
    let scene = Scene::new();
    scene.accept("a").await;
    let path = scene.path();
    let executor = Scripted::executing(move |_| {
        let disk = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let row: (String, u32) = disk
            .query_row("SELECT status, attempts FROM commands", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        Act::Answer(Execution::Finished(Finish::success(format!("{row:?}"))))
    });
    let run = scene.run(&executor);
    let text = scene.finished("a").await.history.pop().unwrap().text;
    assert_eq!(text, r#"("in_progress", 1)"#);
    run.stop().await;
}

#[tokio::test]
async fn a_panic_of_the_executor_ends_only_its_command() {
    let scene = Scene::new();
    scene.accept("a").await;
    scene.accept("b").await;
    let executor =
        Scripted::executing(|command| if command.id == id("a") { Act::Panic } else { succeed() });
    let run = scene.run(&executor);
    let panicked = scene.finished("a").await;
    assert_eq!((panicked.status, panicked.error), (Status::Failure, ErrorCode::Failed.code()));
    let text = &panicked.history.last().unwrap().text;
    assert_eq!(text, "the executor panicked: as the script says");
    assert_eq!(scene.finished("b").await.status, Status::Success);
    run.stop().await;
}

#[tokio::test]
async fn a_command_that_ended_while_it_waited_is_not_executed() {
    let scene = Scene::new();
    for text in ["a", "b", "c"] {
        scene.accept(text).await;
    }
    let refused = Finish::failure(ErrorCode::OvertakenByStop, "a stop came first");
    drop(scene.manager.finish(&id("b"), refused).await.unwrap());
    let executor = Scripted::executing(|_| succeed());
    let run = scene.run(&executor);
    scene.finished("c").await;
    assert_eq!(executor.notes(), ["execute a #1", "execute c #1"]);
    assert_eq!(scene.show("b").await.attempts, 0);
    run.stop().await;
}

#[tokio::test]
async fn an_end_recorded_by_somebody_else_during_the_execution_stands() {
    let scene = Scene::new();
    scene.accept("a").await;
    let (manager, handle) = (Arc::clone(&scene.manager), tokio::runtime::Handle::current());
    let executor = Scripted::executing(move |command| {
        let (manager, command) = (Arc::clone(&manager), command.id.clone());
        // On a thread of its own, because the script is not async.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let timeout = Finish::timeout("too late");
                drop(handle.block_on(manager.finish(&command, timeout)).unwrap());
            });
        });
        succeed()
    });
    let run = scene.run(&executor);
    assert_eq!(scene.finished("a").await.status, Status::Timeout);
    scene.accept("b").await;
    scene.finished("b").await;
    assert_eq!(scene.show("a").await.status, Status::Timeout);
    run.stop().await;
}

#[tokio::test]
async fn a_stop_begins_nothing_and_an_idle_queue_ends_at_once() {
    let scene = Scene::new();
    let executor = Scripted::executing(|_| succeed());
    let idle = scene.run(&executor);
    scene.give_it_a_chance().await;
    idle.stop().await;
    scene.accept("a").await;
    let stopped = scene.run(&executor);
    // On this single-threaded runtime the task has not been polled before the stop.
    stopped.stop().await;
    let orphan = scene.run(&executor);
    drop(orphan.stop);
    orphan.task.await.unwrap();
    assert_eq!(executor.notes(), Vec::<String>::new());
    assert_eq!(scene.show("a").await.status, Status::Pending);
}

#[tokio::test]
async fn a_stop_waits_for_the_command_under_way() {
    let scene = Scene::new();
    scene.accept("a").await;
    scene.accept("b").await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let stop = Arc::new(stop);
    let asker = Arc::clone(&stop);
    let executor = Scripted::executing(move |_| {
        asker.send_replace(true);
        succeed()
    });
    Arc::clone(&scene.manager).run(all(&executor), stopped).await;
    assert_eq!(executor.notes(), ["execute a #1"]);
    assert_eq!(scene.show("a").await.status, Status::Success);
    assert_eq!(scene.show("b").await.status, Status::Pending);
    drop(stop);
}

#[tokio::test]
async fn a_dropped_run_breaks_the_command_under_way_off() {
    let scene = Scene::new();
    scene.accept("a").await;
    let executor = Scripted::executing(|_| Act::Hang);
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    run.task.abort();
    assert!(run.task.await.unwrap_err().is_cancelled());
    // The executor's task holds the last other reference; it ends because it was aborted.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&executor), 1, "the execution goes on");
    assert_eq!(scene.show("a").await.status, Status::InProgress);
}
