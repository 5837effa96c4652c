//! Scopes and times: what runs side by side, what waits, and what is given up.

use std::sync::Arc;
use std::time::Duration;

use command_manager::{
    CommandType, Count, ErrorCode, Execution, Executor, Executors, Finish, Judgement, ProgressSink,
    Settings, Status, Step,
};
use tokio::sync::watch;

use crate::scene::{Act, Scene, Scripted, id, succeed};

/// Hangs with what is about modules, and ends everything else.
fn modules_hang() -> Arc<Scripted> {
    Scripted::executing(|command| {
        if command.kind == CommandType::RestartModule { Act::Hang } else { succeed() }
    })
}

#[tokio::test]
async fn a_check_runs_beside_a_restart_of_modules_and_a_reload_waits_for_it() {
    let scene = Scene::new();
    scene.order("modules", CommandType::RestartModule).await;
    scene.order("reload", CommandType::Reload).await;
    scene.order("check", CommandType::CheckConfig).await;
    let executor = modules_hang();
    let run = scene.run(&executor);
    assert_eq!(scene.finished("check").await.status, Status::Success);
    scene.give_it_a_chance().await;
    assert_eq!(executor.notes(), ["execute modules #1", "execute check #1"]);
    drop(scene.manager.finish(&id("modules"), Finish::success("done")).await.unwrap());
    assert_eq!(scene.finished("reload").await.status, Status::Success);
    run.task.abort();
}

#[tokio::test]
async fn what_comes_behind_a_restart_of_the_agent_runs_after_it_in_order() {
    let scene = Scene::new();
    scene.order("modules", CommandType::RestartModule).await;
    scene.order("agent", CommandType::RestartAgent).await;
    for (text, kind) in [
        ("check-1", CommandType::CheckConfig),
        ("reload", CommandType::Reload),
        ("check-2", CommandType::CheckConfig),
    ] {
        scene.order(text, kind).await;
    }
    let executor = modules_hang();
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    scene.give_it_a_chance().await;
    assert_eq!(executor.notes(), ["execute modules #1"], "nothing overtakes the restart");
    drop(scene.manager.finish(&id("modules"), Finish::success("done")).await.unwrap());
    scene.finished("check-2").await;
    scene.finished("reload").await;
    let notes = executor.notes();
    assert_eq!(notes[1], "execute agent #1");
    let place = |text: &str| notes.iter().position(|note| note.contains(text)).unwrap();
    assert!(place("check-1") < place("check-2") && place("agent") < place("reload"), "{notes:?}");
    run.task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_command_that_takes_too_long_ends_as_timeout_and_the_queue_goes_on() {
    let settings = Settings { timeout: Duration::from_secs(7), ..Settings::default() };
    let (scene, _) = Scene::with(settings);
    scene.order("slow", CommandType::RestartModule).await;
    scene.order("next", CommandType::Reload).await;
    let run = scene.run(&modules_hang());
    let late = scene.finished("slow").await;
    assert_eq!((late.status, late.error), (Status::Timeout, ErrorCode::TimedOut.code()));
    assert_eq!(late.text(), "not finished within 7s; what was begun may still take effect");
    assert_eq!(scene.finished("next").await.status, Status::Success);
    run.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deferred_command_that_nobody_finishes_ends_as_timeout_in_this_process_and_the_next() {
    let settings = Settings { timeout: Duration::from_secs(7), ..Settings::default() };
    let (scene, clock) = Scene::with(settings.clone());
    scene.order("a", CommandType::RestartAgent).await;
    scene.order("b", CommandType::RestartAgent).await;
    let deferring = || Scripted::new(|_| Act::Answer(Execution::Deferred), |_| Judgement::Deferred);
    let run = scene.run(&deferring());
    assert_eq!(scene.finished("a").await.error, ErrorCode::TimedOut.code());
    // Or the seven seconds of the next one would be over while it is looked at.
    tokio::time::resume();
    while scene.show("b").await.status != Status::InProgress {
        scene.give_it_a_chance().await;
    }
    run.stop().await;
    tokio::time::pause();
    let scene = scene.reopen_with(settings, &clock);
    let run = scene.run(&deferring());
    assert_eq!(scene.finished("b").await.error, ErrorCode::TimedOut.code());
    run.stop().await;
}

#[tokio::test]
async fn each_type_has_its_executor_and_one_without_is_refused() {
    let scene = Scene::new();
    for kind in [CommandType::Reload, CommandType::CheckConfig, CommandType::Stop] {
        scene.order(kind.as_str(), kind).await;
    }
    let (one, other) = (Scripted::executing(|_| succeed()), Scripted::executing(|_| succeed()));
    let executors = Executors::new()
        .with(&[CommandType::Reload], &(Arc::clone(&one) as Arc<dyn Executor>))
        .with(&[CommandType::CheckConfig], &(Arc::clone(&other) as Arc<dyn Executor>));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(Arc::clone(&scene.manager).run(executors, stopped));
    let refused = scene.finished("stop").await;
    assert_eq!(refused.error, ErrorCode::Refused.code());
    assert_eq!(refused.text(), "this program carries out no stop commands");
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(one.notes(), ["execute reload #1"]);
    assert_eq!(other.notes(), ["execute check-config #1"]);
}

/// Reports two counted steps.
struct Stepping;

#[async_trait::async_trait]
impl Executor for Stepping {
    async fn execute(
        &self,
        _: &command_manager::CommandRecord,
        progress: &ProgressSink,
    ) -> Execution {
        for (done, module) in [(1, "fim"), (2, "sca")] {
            let step = Step::new("stopped", "it has stopped").of_module(module).counted(done, 2);
            drop(progress.report(step).await.unwrap());
        }
        Execution::Finished(Finish::success("done"))
    }

    async fn judge(&self, command: &command_manager::CommandRecord) -> Judgement {
        panic!("{} needs no judgement", command.id)
    }
}

#[tokio::test]
async fn an_executor_streams_its_steps_with_module_and_count() {
    let scene = Scene::new();
    scene.order("a", CommandType::RestartModule).await;
    let (stop, stopped) = watch::channel(false);
    let executors = Executors::all(&(Arc::new(Stepping) as Arc<dyn Executor>));
    let task = tokio::spawn(Arc::clone(&scene.manager).run(executors, stopped));
    let record = scene.finished("a").await;
    let steps: Vec<_> = record
        .history
        .iter()
        .map(|entry| (entry.stage.as_str(), entry.module.as_deref(), entry.count))
        .collect();
    let count = |done| Some(Count { done, total: 2 });
    assert_eq!(
        steps,
        [
            ("accepted", None, None),
            ("started", None, None),
            ("stopped", Some("fim"), count(1)),
            ("stopped", Some("sca"), count(2)),
            ("finished", None, None),
        ]
    );
    stop.send_replace(true);
    task.await.unwrap();
}
