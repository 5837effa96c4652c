//! A disk that refuses one operation, at each operation of an acceptance and of an opening.

use std::path::Path;

use tempfile::TempDir;

use crate::api::{Agent, Answer, journal_of};
use crate::fault::{Fault, Lasting, Refusal};
use crate::history::{BEGINNING, Delivery, deliver};
use crate::plan::Plan;
use crate::vfs::Watch;

/// More operations than an acceptance or an opening takes.
const ENOUGH: usize = 1000;

const CHANGES: [(Refusal, &str); 3] = [
    (Refusal::Changes, "disk I/O error"),
    (Refusal::Syncs, "disk I/O error"),
    (Refusal::Room, "database or disk is full"),
];

const LASTINGS: [Lasting; 2] = [Lasting::Once, Lasting::UntilLifted];

/// A journal whose disk can be made to refuse.
struct Scene {
    folder: TempDir,
    watch: Watch,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start(folder.path(), Plan::default());
        Self { folder, watch }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self) -> Agent {
        Agent::open(self.path(), BEGINNING).unwrap()
    }
}

/// The commands there are, the oldest first.
async fn ids(agent: &Agent) -> Vec<String> {
    let id = |record: &serde_json::Value| record["id"].as_str().unwrap().to_owned();
    agent.list().await.iter().rev().map(id).collect()
}

/// Delivers once more, and expects that it is there whole, from before or now.
async fn redeliver(agent: &Agent, delivery: &Delivery) {
    let there = ids(agent).await.contains(&delivery.id.to_owned());
    match agent.accept(delivery).await {
        Answer::New(_) => assert!(!there),
        Answer::Known(record) => {
            assert!(there);
            assert_eq!(record["history"].as_array().unwrap().len(), 1, "{record:#}");
        }
        other @ (Answer::Conflict | Answer::Refused(_)) => panic!("{other:?}"),
    }
}

/// Executes all that is there, and expects that each command has its effect once.
async fn execute(scene: &Scene, agent: &Agent, expected: [&str; 3]) {
    assert_eq!(ids(agent).await, expected);
    let run = agent.run(scene.path());
    for id in expected {
        assert_eq!(agent.finished(id).await["status"], "success");
    }
    run.stop().await;
    let effects = std::fs::read_to_string(crate::api::effects_of(scene.path())).unwrap();
    assert_eq!(effects.lines().collect::<Vec<_>>(), expected);
}

/// Has the disk refuse the operation number `at` of an acceptance; says whether there is one. With `restart`, the
/// journal is closed and opened again before anything else is asked of it.
async fn refuses_whole(
    refusal: (Refusal, &str),
    lasting: Lasting,
    at: usize,
    restart: bool,
) -> bool {
    let scene = Scene::new();
    let agent = scene.open();
    assert!(matches!(agent.accept(&deliver("plain")).await, Answer::New(_)));
    let (refusal, reason) = refusal;
    scene.watch.plan.refuse(Fault::new(refusal, lasting, at));
    let answer = agent.accept(&deliver("noted")).await;
    if !scene.watch.plan.lift() {
        assert!(matches!(answer, Answer::New(_)), "{answer:?}");
        return false;
    }
    let Answer::Refused(told) = answer else { panic!("{refusal:?} at {at}: {answer:?}") };
    assert!(told.contains(reason), "{told}");
    let agent = if restart {
        agent.close();
        scene.open()
    } else {
        assert_eq!(ids(&agent).await, ["plain"], "what was refused is not there");
        agent
    };
    redeliver(&agent, &deliver("noted")).await;
    assert!(matches!(agent.accept(&deliver("last")).await, Answer::New(_)));
    agent.close();
    let agent = scene.open();
    execute(&scene, &agent, ["plain", "noted", "last"]).await;
    agent.close();
    true
}

#[tokio::test]
async fn an_acceptance_that_the_disk_refuses_anywhere_is_refused_whole() {
    let mut count = 0;
    for refusal in CHANGES {
        for (lasting, restart) in LASTINGS.into_iter().flat_map(|one| [(one, false), (one, true)]) {
            let mut at = 1;
            while refuses_whole(refusal, lasting, at, restart).await {
                at += 1;
            }
            assert!((2..ENOUGH).contains(&at), "{refusal:?} {at}");
            count += at - 1;
        }
    }
    println!("{count} acceptances were refused");
}

/// Leaves a journal behind as a kill does: what was accepted is in the log only.
async fn left_behind(scene: &Scene) {
    let agent = scene.open();
    for id in ["plain", "noted"] {
        assert!(matches!(agent.accept(&deliver(id)).await, Answer::New(_)));
    }
    let journal = journal_of(scene.path());
    let names = ["", "-wal"].map(|suffix| {
        let name = journal.file_name().unwrap().to_str().unwrap();
        (
            journal.with_file_name(format!("{name}{suffix}")),
            journal.with_file_name(format!("kept{suffix}")),
        )
    });
    for (from, to) in &names {
        std::fs::copy(from, to).unwrap();
    }
    agent.close();
    for (to, from) in &names {
        std::fs::rename(from, to).unwrap();
    }
}

/// Has the disk refuse the operation number `at` of an opening; says whether there is one.
async fn opening_refused(refusal: Refusal, lasting: Lasting, at: usize, fresh: bool) -> bool {
    let scene = Scene::new();
    if !fresh {
        left_behind(&scene).await;
    }
    scene.watch.plan.refuse(Fault::new(refusal, lasting, at));
    let opened = Agent::open(scene.path(), BEGINNING);
    let struck = scene.watch.plan.lift();
    match opened {
        Ok(agent) => agent.close(),
        Err(reason) => {
            assert!(struck, "{reason}");
            let named = [
                "disk I/O error",
                "disk is full",
                "unable to open database file",
                // What the check of the whole file says of a page that cannot be read.
                "unable to get the page",
            ];
            assert!(named.iter().any(|one| reason.contains(one)), "{reason}");
        }
    }
    let agent = scene.open();
    let expected: &[&str] = if fresh { &[] } else { &["plain", "noted"] };
    assert_eq!(ids(&agent).await, expected, "{refusal:?} {lasting:?} at {at}");
    assert!(matches!(agent.accept(&deliver("last")).await, Answer::New(_)));
    agent.close();
    struck
}

/// Has the disk refuse each operation of an opening, and says how many there were.
async fn every_opening_refused(refusal: Refusal) -> usize {
    let mut count = 0;
    for (lasting, fresh) in LASTINGS.into_iter().flat_map(|one| [(one, false), (one, true)]) {
        let mut at = 1;
        while opening_refused(refusal, lasting, at, fresh).await {
            at += 1;
        }
        assert!(at < ENOUGH);
        count += at - 1;
    }
    count
}

#[tokio::test]
async fn an_opening_that_the_disk_refuses_anywhere_loses_nothing() {
    let mut count = 0;
    for (refusal, _) in CHANGES {
        count += every_opening_refused(refusal).await;
    }
    println!("{count} openings were refused a change, or closed after one was");
}

#[tokio::test]
async fn an_opening_that_cannot_read_is_refused_and_loses_nothing() {
    let count = every_opening_refused(Refusal::Reads).await;
    println!("{count} openings were refused a read");
}
