//! The restart of one module does not touch the others: their instances, tasks and counts go on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use module_api::{
    Module, ModuleError, ModuleKind, ModuleName, Readiness, SavedState, SectionError, StartContext,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::scene::{Scene, WITHIN};

/// What a background task counted: the instance it belongs to, and its own count.
type Count = (u32, u64);

/// A module whose background task counts, in a variable of its own, for as long as it lives.
struct Counting {
    name: ModuleName,
    instance: u32,
    counts: watch::Sender<Vec<Count>>,
}

#[async_trait]
impl Module for Counting {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        let (instance, counts) = (self.instance, self.counts.clone());
        context.tasks.run("count", async move {
            let mut count = 0;
            loop {
                count += 1;
                counts.send_modify(|counts| counts.push((instance, count)));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Ok(())
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        Readiness::Ready
    }

    async fn resume(&self) {}

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        Ok(SavedState::none())
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        Ok(())
    }
}

struct CountingKind {
    name: ModuleName,
    built: Mutex<u32>,
    counts: watch::Sender<Vec<Count>>,
}

impl ModuleKind for CountingKind {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    fn build(&self, _: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        let mut built = self.built.lock().unwrap();
        *built += 1;
        let (name, counts) = (self.name.clone(), self.counts.clone());
        Ok(Arc::new(Counting { name, instance: *built, counts }))
    }
}

impl CountingKind {
    fn new(name: &str) -> Arc<Self> {
        let (name, counts) = (ModuleName::new(name).unwrap(), watch::Sender::default());
        Arc::new(Self { name, built: Mutex::default(), counts })
    }

    /// Returns once `instance` has counted `further` times more.
    async fn counts_on(&self, instance: u32, further: usize) {
        let of_instance =
            |counts: &Vec<Count>| counts.iter().filter(|count| count.0 == instance).count();
        let wanted = of_instance(&self.counts.borrow()) + further;
        let mut counts = self.counts.subscribe();
        counts.wait_for(|counts| of_instance(counts) >= wanted).await.unwrap();
    }

    /// All counts so far, by instance.
    fn by_instance(&self) -> BTreeMap<u32, Vec<u64>> {
        let mut all: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (instance, count) in self.counts.borrow().iter() {
            all.entry(*instance).or_default().push(*count);
        }
        all
    }
}

#[tokio::test]
async fn the_restart_of_one_module_leaves_the_instances_tasks_and_counts_of_others_alone() {
    let kinds = ["before", "restarted", "zulu"].map(CountingKind::new);
    let dynamic = kinds.clone().map(|kind| kind as Arc<dyn ModuleKind>);
    let mut scene = Scene::of(&dynamic, &json!({}));
    let [before, restarted, after] = &kinds;
    for kind in &kinds {
        scene.supervisor.start(&kind.name, WITHIN).await.unwrap();
    }
    let instance = |kind: &CountingKind| scene.supervisor.instance(&kind.name).unwrap();
    let others = [before, after].map(|kind| (kind, instance(kind)));

    for run in 2..=11 {
        let old = instance(restarted);
        scene.supervisor.start(&restarted.name, WITHIN).await.unwrap();
        assert!(!Arc::ptr_eq(&old, &instance(restarted)), "it is a new instance");
        restarted.counts_on(run, 2).await;
        for (other, same) in &others {
            other.counts_on(1, 2).await;
            assert!(Arc::ptr_eq(same, &instance(other)), "{}", other.name);
        }
    }

    let runs =
        scene.supervisor.statuses().into_iter().map(|status| {
            (status.name.to_string(), status.run, status.failures, status.last_error)
        });
    let expected = [("before", 1), ("restarted", 11), ("zulu", 1)];
    let expected = expected.map(|(name, run)| (name.to_owned(), run, 0, None));
    assert_eq!(runs.collect::<Vec<_>>(), expected);
    for (other, _) in &others {
        let counts = other.by_instance();
        let count = counts[&1].len() as u64;
        assert!(count >= 21, "twice in each of ten restarts, and once before");
        assert_eq!(counts, BTreeMap::from([(1, (1..=count).collect())]), "one task, without a gap");
    }
    let instances = restarted.by_instance();
    assert_eq!(instances.len(), 11);
    assert!(instances.values().all(|counts| counts[0] == 1), "each instance begins anew");
    assert!(scene.failures.try_recv().is_err(), "nobody failed");
}
