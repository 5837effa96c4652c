//! A watched folder, a spool in memory, and instances that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fim::FimKind;
use module_api::{
    Batch, Event, EventSink, Module, ModuleError, ModuleKind, NoKeeper, PublishError, Readiness,
    Restored, SensorFd, StartContext, Task, TaskSpawner,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stores whole batches, or none.
#[derive(Debug, Default)]
struct Spool {
    stored: Mutex<Stored>,
    refuses: watch::Sender<bool>,
    /// Grows with every call.
    calls: watch::Sender<u64>,
    /// Batches that were refused.
    refused: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Stored {
    events: Vec<Event>,
    checkpoints: BTreeMap<String, Vec<u8>>,
    ids: BTreeSet<String>,
}

#[async_trait]
impl EventSink for Spool {
    async fn publish(&self, batch: Batch) -> Result<(), PublishError> {
        if *self.refuses.borrow() {
            self.refused.send_modify(|refused| *refused += 1);
            return Err(PublishError::Storage { reason: "the disk is full".to_owned() });
        }
        let mut stored = self.stored.lock().unwrap();
        for event in batch.events {
            // As the agent's spool does it: the same event again is stored once.
            if stored.ids.insert(event.id.0.clone()) {
                stored.events.push(event);
            }
        }
        for checkpoint in batch.checkpoints {
            match checkpoint.value {
                Some(value) => drop(stored.checkpoints.insert(checkpoint.key, value)),
                None => drop(stored.checkpoints.remove(&checkpoint.key)),
            }
        }
        drop(stored);
        self.calls.send_modify(|calls| *calls += 1);
        Ok(())
    }
}

/// Starts tasks and keeps their handles.
#[derive(Debug, Default)]
struct Tasks(Mutex<Vec<JoinHandle<Result<(), ModuleError>>>>);

impl TaskSpawner for Tasks {
    fn spawn(&self, _label: &'static str, task: Task) {
        self.0.lock().unwrap().push(tokio::spawn(task));
    }
}

pub(crate) struct Station {
    watched: TempDir,
    /// Where that really is.
    root: PathBuf,
    agent: TempDir,
    spool: Arc<Spool>,
    watcher: &'static str,
    sensors: Vec<SensorFd>,
    running: Option<(Arc<dyn Module>, Arc<Tasks>)>,
}

impl Station {
    /// `None` where this watcher cannot be used; then it has said so.
    pub(crate) fn new(watcher: &'static str) -> Option<Self> {
        // Root of another user namespace may not use it either, which the start says; this is the usual case.
        if watcher == "fanotify" && !rustix::process::geteuid().is_root() {
            eprintln!("skipped: adoption of fanotify: it needs root");
            return None;
        }
        let [watched, agent] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir(agent.path().join("fim")).unwrap();
        let (spool, sensors) = (Arc::default(), Vec::new());
        let root = watched.path().canonicalize().unwrap();
        Some(Self { watched, root, agent, spool, watcher, sensors, running: None })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.watched.path().join(name)
    }

    /// Writes a file beside the watched folder and moves it there, so that nobody sees it half-written.
    pub(crate) fn write(&self, name: &str, content: &str) {
        let spare = self.agent.path().join("spare");
        fs::write(&spare, content).unwrap();
        if self.path(name).exists() {
            fs::write(self.path(name), content).unwrap();
        } else {
            fs::rename(spare, self.path(name)).unwrap();
        }
    }

    pub(crate) async fn start(&mut self) {
        let section = json!({
            "directories": [{ "path": self.watched.path() }],
            "settle": "10ms",
            "watcher": self.watcher,
        });
        let module = FimKind::new().build(&section).unwrap();
        let tasks = Arc::new(Tasks::default());
        let checkpoints = self.spool.stored.lock().unwrap().checkpoints.clone();
        let agent = self.agent.path().canonicalize().unwrap();
        let context = StartContext {
            state: Restored::Nothing,
            checkpoints,
            sensors: std::mem::take(&mut self.sensors),
            keeper: Arc::new(NoKeeper),
            folder: agent.join("fim"),
            own_folders: vec![agent],
            events: Arc::<Spool>::clone(&self.spool),
            tasks: Arc::<Tasks>::clone(&tasks),
        };
        module.start(context).await.unwrap();
        // Copies that stay when the instance is gone, as the agent and systemd have them.
        for sensor in module.sensors().await.unwrap() {
            let copy = sensor.as_fd().try_clone_to_owned().unwrap();
            self.sensors.push(SensorFd::new(sensor.name(), copy).unwrap());
        }
        self.running = Some((module, tasks));
    }

    /// An orderly end.
    pub(crate) async fn stop(&mut self) {
        let (module, tasks) = self.running.take().unwrap();
        let drained = async {
            while module.ready_for_shutdown().await != Readiness::Ready {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, drained).await.unwrap();
        module.save_state().await.unwrap();
        timeout(PATIENCE, module.stop()).await.unwrap().unwrap();
        let handles = std::mem::take(&mut *tasks.0.lock().unwrap());
        for task in handles {
            timeout(PATIENCE, task).await.unwrap().unwrap().unwrap();
        }
    }

    /// Ends the instance at whatever it is doing.
    pub(crate) async fn kill(&mut self) {
        let (_module, tasks) = self.running.take().unwrap();
        let handles = std::mem::take(&mut *tasks.0.lock().unwrap());
        for task in handles {
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    }

    pub(crate) fn lose_sensors(&mut self) {
        self.sensors.clear();
    }

    /// Whether the spool refuses what is published.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.spool.refuses.send_replace(refuse);
    }

    pub(crate) async fn until_refused(&self) {
        let mut refused = self.spool.refused.subscribe();
        timeout(PATIENCE, refused.wait_for(|refused| *refused > 0)).await.unwrap().unwrap();
    }

    /// Waits until the first baseline is complete.
    pub(crate) async fn until_scanned(&self) {
        self.until("a baseline", || self.states("baseline_created") > 0).await;
    }

    /// Waits for exactly these actions and names, in whatever order.
    pub(crate) async fn until_told(&self, expected: &[(&str, &str)]) {
        let expected: Vec<(String, String)> =
            expected.iter().map(|(action, name)| ((*action).into(), (*name).into())).collect();
        self.until("events", || self.told().len() >= expected.len()).await;
        assert_eq!(self.told(), expected);
    }

    /// Whether this was told, among other things.
    pub(crate) fn knows(&self, action: &str, name: &str) -> bool {
        self.told().contains(&(action.to_owned(), name.to_owned()))
    }

    pub(crate) async fn until_known(&self, action: &str, name: &str) {
        self.until("event", || self.knows(action, name)).await;
    }

    /// Removes the watched folder and what is in it.
    pub(crate) fn remove_root(&self) {
        fs::remove_dir_all(self.watched.path()).unwrap();
    }

    /// Moves the watched folder into that of the agent.
    pub(crate) fn move_root(&self) {
        fs::rename(&self.root, self.agent.path().join("elsewhere")).unwrap();
    }

    pub(crate) async fn until_root_is_deleted(&self) {
        let wanted = ("deleted".to_owned(), Some(self.root.clone()));
        self.until("deletion of the root", || self.actions().contains(&wanted)).await;
    }

    /// Waits until a gap is closed.
    pub(crate) async fn until_closed(&self) {
        self.until("end of a gap", || self.states("gap_closed") > 0).await;
    }

    /// How many gaps the module has told of.
    pub(crate) fn gaps(&self) -> usize {
        self.states("gap")
    }

    async fn until(&self, what: &str, wanted: impl Fn() -> bool) {
        let mut calls = self.spool.calls.subscribe();
        let waited = timeout(PATIENCE, calls.wait_for(|_| wanted())).await;
        assert!(waited.is_ok(), "no {what}; told: {:#?}", self.told());
    }

    /// The actions of all events, with the path where there is one.
    fn actions(&self) -> Vec<(String, Option<PathBuf>)> {
        let stored = self.spool.stored.lock().unwrap();
        let action = |event: &Event| {
            let path = event.fields.get("file").and_then(|file| file["path"].as_str());
            let action = event.fields["event"]["action"].as_str().unwrap();
            (action.to_owned(), path.map(PathBuf::from))
        };
        stored.events.iter().map(action).collect()
    }

    fn states(&self, wanted: &str) -> usize {
        self.actions().iter().filter(|(action, _)| action == wanted).count()
    }

    /// What was told of files: actions and names, sorted. That the time of the watched folder itself has moved says nothing more.
    fn told(&self) -> Vec<(String, String)> {
        let name =
            |path: PathBuf| path.strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
        let told =
            self.actions().into_iter().filter_map(|(action, path)| Some((action, name(path?))));
        let mut told: Vec<_> = told.filter(|(_, name)| !name.is_empty()).collect();
        told.sort();
        told
    }
}
