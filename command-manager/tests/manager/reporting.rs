//! Reporting: every result until it is acknowledged, in order, across processes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use command_manager::{CommandType, Finish, Report, ReportError, Reporter, Settings};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::scene::{Scene, id};

/// What a scripted receiver does with the next result.
enum Answer {
    Acknowledge,
    Unreachable,
    Refuse,
    Hang,
    Panic,
}

/// A receiver that answers by a script, and then acknowledges everything.
struct Receiver {
    script: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<(u64, String, Instant)>>,
    count: watch::Sender<usize>,
    back: Notify,
}

impl Receiver {
    fn new(script: impl Into<VecDeque<Answer>>) -> Arc<Self> {
        let (script, seen) = (Mutex::new(script.into()), Mutex::default());
        Arc::new(Self { script, seen, count: watch::Sender::new(0), back: Notify::new() })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(_, id, _)| id.clone()).collect()
    }

    fn pauses(&self) -> Vec<Duration> {
        let seen = self.seen.lock().unwrap();
        seen.windows(2).map(|pair| pair[1].2 - pair[0].2).collect()
    }

    async fn until_seen(&self, count: usize) {
        self.count.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
    }
}

#[async_trait]
impl Reporter for Receiver {
    fn name(&self) -> &str {
        "server"
    }

    async fn report(&self, report: &Report) -> Result<(), ReportError> {
        let seen = (report.change, report.record.id.to_string(), Instant::now());
        self.seen.lock().unwrap().push(seen);
        self.count.send_modify(|count| *count += 1);
        let answer = self.script.lock().unwrap().pop_front();
        match answer {
            None | Some(Answer::Acknowledge) => Ok(()),
            Some(Answer::Unreachable) => Err(ReportError::Unreachable { reason: "away".into() }),
            Some(Answer::Refuse) => Err(ReportError::Refused { reason: "unknown agent".into() }),
            Some(Answer::Hang) => std::future::pending().await,
            Some(Answer::Panic) => panic!("as the script says"),
        }
    }

    async fn reachable(&self) {
        self.back.notified().await;
    }
}

fn settings() -> Settings {
    Settings { reporters: vec!["server".to_owned()], ..Settings::default() }
}

async fn finished(scene: &Scene, ids: &[&str]) {
    for text in ids {
        scene.order(text, CommandType::Reload).await;
        drop(scene.manager.finish(&id(text), Finish::success("done")).await.unwrap());
    }
}

fn start(
    scene: &Scene,
    receiver: &Arc<Receiver>,
) -> (watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let (stop, stopped) = watch::channel(false);
    let reporter: Arc<dyn Reporter> = Arc::clone(receiver) as _;
    (stop, tokio::spawn(Arc::clone(&scene.manager).report_to(reporter, stopped)))
}

async fn until_empty(scene: &Scene) {
    while scene.manager.unreported("server").await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn results_come_in_order_once_each_when_they_are_acknowledged() {
    let (scene, _) = Scene::with(settings());
    finished(&scene, &["a", "b"]).await;
    let receiver = Receiver::new([]);
    let (stop, task) = start(&scene, &receiver);
    receiver.until_seen(2).await;
    finished(&scene, &["c"]).await;
    receiver.until_seen(3).await;
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(receiver.seen(), ["a", "b", "c"]);
    let changes: Vec<u64> = receiver.seen.lock().unwrap().iter().map(|seen| seen.0).collect();
    assert!(changes.is_sorted_by(|one, other| one < other), "{changes:?}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_away_is_asked_again_with_growing_pauses() {
    let (scene, _) = Scene::with(settings());
    finished(&scene, &["a", "b"]).await;
    let away = [Answer::Unreachable, Answer::Panic, Answer::Unreachable, Answer::Unreachable];
    let receiver = Receiver::new(away);
    let (stop, task) = start(&scene, &receiver);
    receiver.until_seen(6).await;
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(receiver.seen(), ["a", "a", "a", "a", "a", "b"]);
    // Each pause is between half of its length and the whole; the journal's own thread runs in real time meanwhile.
    for (pause, whole) in receiver.pauses().into_iter().zip([1, 2, 4, 8]) {
        assert!(pause >= Duration::from_secs(whole) / 2, "{pause:?} of {whole} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_is_given_up_and_asked_again() {
    let (scene, _) = Scene::with(settings());
    finished(&scene, &["a"]).await;
    let receiver = Receiver::new([Answer::Hang]);
    let (stop, task) = start(&scene, &receiver);
    receiver.until_seen(2).await;
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert!(receiver.pauses()[0] >= Duration::from_secs(30), "{:?}", receiver.pauses());
}

#[tokio::test]
async fn a_receiver_that_comes_back_is_not_left_waiting() {
    let (scene, _) = Scene::with(settings());
    finished(&scene, &["a"]).await;
    let away: Vec<Answer> = (0..20).map(|_| Answer::Unreachable).collect();
    let receiver = Receiver::new(away);
    let (stop, task) = start(&scene, &receiver);
    // In real time: by their lengths alone these pauses would take days.
    for count in 1..=20 {
        receiver.until_seen(count).await;
        receiver.back.notify_one();
    }
    receiver.until_seen(21).await;
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
}

#[tokio::test]
async fn a_result_that_is_refused_does_not_keep_back_the_others() {
    let (scene, _) = Scene::with(settings());
    finished(&scene, &["a", "b"]).await;
    let receiver = Receiver::new([Answer::Refuse, Answer::Acknowledge]);
    let (stop, task) = start(&scene, &receiver);
    receiver.until_seen(2).await;
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(receiver.seen(), ["a", "b"]);
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_by_the_next_process_with_the_same_number() {
    let (scene, clock) = Scene::with(settings());
    finished(&scene, &["a", "b"]).await;
    let first = Receiver::new([Answer::Acknowledge, Answer::Hang]);
    let (stop, task) = start(&scene, &first);
    first.until_seen(2).await;
    stop.send_replace(true);
    task.await.unwrap();
    let scene = scene.reopen_with(settings(), &clock);
    let second = Receiver::new([]);
    let (stop, task) = start(&scene, &second);
    second.until_seen(1).await;
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!((first.seen(), second.seen()), (vec!["a".into(), "b".into()], vec!["b".into()]));
    let number = |receiver: &Receiver, index: usize| receiver.seen.lock().unwrap()[index].0;
    assert_eq!(number(&first, 1), number(&second, 0));
}

#[tokio::test]
async fn a_result_that_nobody_acknowledges_is_given_up_after_its_time() {
    let (scene, clock) = Scene::with(settings());
    finished(&scene, &["a"]).await;
    clock.advance(8 * 24 * 60 * 60);
    finished(&scene, &["b"]).await;
    let receiver = Receiver::new([]);
    let (stop, task) = start(&scene, &receiver);
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(receiver.seen(), ["b"]);
}

#[tokio::test]
async fn for_a_reporter_on_demand_results_are_kept_once_somebody_has_asked_and_until_nobody_takes_them()
 {
    let on_demand =
        Settings { reporters_on_demand: vec!["server".to_owned()], ..Settings::default() };
    let (scene, clock) = Scene::with(on_demand.clone());
    finished(&scene, &["before"]).await;
    assert_eq!(scene.manager.has_unreported("server").await, Ok(false));
    scene.manager.demand("server").await.unwrap();
    let scene = scene.reopen_with(on_demand, &clock);
    finished(&scene, &["a", "b"]).await;
    assert_eq!(scene.manager.unreported("server").await, Ok(2));
    clock.advance(8 * 24 * 60 * 60);
    let receiver = Receiver::new([]);
    let (stop, task) = start(&scene, &receiver);
    until_empty(&scene).await;
    stop.send_replace(true);
    task.await.unwrap();
    assert_eq!(receiver.seen(), Vec::<String>::new());
    finished(&scene, &["c"]).await;
    assert_eq!(scene.manager.unreported("server").await, Ok(0), "nobody has asked again");
}

#[tokio::test]
async fn nothing_is_kept_for_a_reporter_that_is_not_configured_any_more() {
    let (scene, clock) = Scene::with(settings());
    finished(&scene, &["a"]).await;
    assert_eq!(scene.manager.unreported("server").await, Ok(1));
    let scene = scene.reopen_with(Settings::default(), &clock);
    assert_eq!(scene.manager.unreported("server").await, Ok(0));
}
