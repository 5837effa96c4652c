//! Results are offered until they are acknowledged, whoever comes first.

use command_manager::{
    Acceptance, Change, CommandManager, Finish, Settings, SystemWallClock, parse_command,
};

use super::*;

/// A journal with one result after the other in it, and the stream that offers them.
struct Scene {
    _folder: tempfile::TempDir,
    manager: Arc<CommandManager>,
    stream: Arc<ResultStream>,
    _stop: watch::Sender<bool>,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = super::super::kept_for(Settings::default());
        let path = folder.path().join("commands.db");
        let (manager, _) =
            CommandManager::open(&path, Arc::new(SystemWallClock), settings).unwrap();
        let (manager, stream) = (Arc::new(manager), Arc::new(ResultStream::new()));
        manager.demand(ResultStream::NAME).await.unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(Arc::clone(&manager).report_to(Arc::clone(&stream) as _, stopped));
        Self { _folder: folder, manager, stream, _stop: stop }
    }

    async fn result(&self) {
        let command = parse_command(br#"{"command":{"type":"reload"}}"#).unwrap();
        let Acceptance::New(record) = self.manager.accept(command, None).await.unwrap() else {
            panic!("it has a new id");
        };
        let done = self.manager.finish(&record.id, Finish::success("done")).await;
        assert!(matches!(done, Ok(Change::Made(_))), "{done:?}");
    }

    async fn acknowledge(&self, change: u64) -> bool {
        let was_there = self.manager.acknowledge(ResultStream::NAME, change).await.unwrap();
        self.stream.acknowledge(change);
        was_there
    }

    async fn next(&self) -> u64 {
        self.stream.next().await.unwrap().change
    }
}

#[tokio::test]
async fn a_result_is_offered_again_until_it_is_acknowledged_and_then_the_next() {
    let scene = Scene::new().await;
    scene.result().await;
    scene.result().await;
    let first = scene.next().await;
    assert_eq!(scene.next().await, first);
    assert!(scene.acknowledge(first).await);
    let second = scene.next().await;
    assert!(second > first);
    assert!(!scene.acknowledge(first).await, "acknowledged before, which harms nobody");
    assert_eq!(scene.next().await, second);
    assert!(scene.acknowledge(second).await);
    assert_eq!(scene.manager.unreported(ResultStream::NAME).await, Ok(0));
}

#[tokio::test]
async fn a_receiver_that_was_there_first_gets_the_result_when_it_comes() {
    let scene = Scene::new().await;
    let next = scene.next();
    let (change, ()) = tokio::join!(next, scene.result());
    assert!(scene.acknowledge(change).await);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_comes_after_hours_of_silence_is_not_left_waiting() {
    let scene = Scene::new().await;
    scene.result().await;
    // Virtual time: by now the pauses between two attempts are an hour long.
    tokio::time::sleep(Duration::from_secs(20 * 60 * 60)).await;
    let asked_at = tokio::time::Instant::now();
    let change = scene.next().await;
    assert!(asked_at.elapsed() < OFFERED_FOR, "{:?}", asked_at.elapsed());
    assert!(scene.acknowledge(change).await);
}
