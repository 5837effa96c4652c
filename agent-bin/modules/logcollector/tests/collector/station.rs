//! A folder of logs, a spool, and instances of the module that come and go.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use logcollector::LogcollectorKind;
use module_api::{
    Module, ModuleKind, NoKeeper, Readiness, Restored, StartContext, Task, TaskSpawner,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::spool::{Spool, Stored, within_patience};

/// Starts tasks on the test's runtime and keeps their handles.
#[derive(Default)]
pub(crate) struct Tasks {
    handles: Mutex<Vec<JoinHandle<Result<(), module_api::ModuleError>>>>,
}

impl TaskSpawner for Tasks {
    fn spawn(&self, _label: &'static str, task: Task) {
        self.handles.lock().unwrap().push(tokio::spawn(task));
    }
}

impl Tasks {
    fn take(&self) -> Vec<JoinHandle<Result<(), module_api::ModuleError>>> {
        std::mem::take(&mut self.handles.lock().unwrap())
    }
}

pub(crate) struct Station {
    pub(crate) dir: TempDir,
    pub(crate) spool: Arc<Spool>,
    pub(crate) config: Value,
    /// What the last orderly end left.
    pub(crate) state: Restored,
    running: Option<(Arc<dyn Module>, Arc<Tasks>)>,
}

impl Station {
    /// A station for `*.log` with files begun at their beginning.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pattern = dir.path().join("*.log");
        Self {
            config: json!({ "files": [pattern], "start_at": "beginning", "max_line_bytes": 256 }),
            dir,
            spool: Arc::new(Spool::new()),
            state: Restored::Nothing,
            running: None,
        }
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub(crate) fn truncate(&self, name: &str) {
        fs::OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(0).unwrap();
    }

    pub(crate) fn inode(&self, name: &str) -> String {
        fs::metadata(self.path(name)).unwrap().ino().to_string()
    }

    pub(crate) fn module(&self) -> &dyn Module {
        self.running.as_ref().unwrap().0.as_ref()
    }

    pub(crate) async fn start(&mut self) {
        assert!(self.running.is_none(), "one instance at a time");
        let module = LogcollectorKind::new().build(&self.config).unwrap();
        let tasks = Arc::new(Tasks::default());
        let context = StartContext {
            state: self.state.clone(),
            checkpoints: self.spool.stored().checkpoints,
            sensors: Vec::new(),
            keeper: Arc::new(NoKeeper),
            // The module keeps no files.
            folder: PathBuf::new(),
            own_folders: Vec::new(),
            events: Arc::<Spool>::clone(&self.spool),
            tasks: Arc::<Tasks>::clone(&tasks),
        };
        within_patience("the start", module.start(context)).await.unwrap();
        self.running = Some((module, tasks));
    }

    /// An orderly end: drained, saved, stopped.
    pub(crate) async fn save_and_stop(&mut self) {
        let drained = async {
            while self.module().ready_for_shutdown().await != Readiness::Ready {
                tokio::task::yield_now().await;
            }
        };
        within_patience("readiness", drained).await;
        self.save().await;
        self.stop().await;
    }

    pub(crate) async fn save(&mut self) {
        let saved = self.module().save_state().await.unwrap();
        let (version, bytes) = saved.payload().unwrap();
        self.state = Restored::Found { version, bytes: bytes.to_vec() };
    }

    /// Stops the instance and checks that its task has ended well.
    pub(crate) async fn stop(&mut self) {
        let (module, tasks) = self.running.take().unwrap();
        within_patience("the stop", module.stop()).await.unwrap();
        module.stop().await.unwrap();
        for task in tasks.take() {
            within_patience("the end of the task", task).await.unwrap().unwrap();
        }
    }

    /// Ends the instance at whatever it is doing; nothing is saved.
    pub(crate) async fn kill(&mut self) {
        let (_module, tasks) = self.running.take().unwrap();
        for task in tasks.take() {
            task.abort();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
    }

    /// The results of the tasks that ended by themselves.
    pub(crate) async fn ended(&self) -> Vec<Result<(), module_api::ModuleError>> {
        let mut results = Vec::new();
        for task in self.running.as_ref().unwrap().1.take() {
            results.push(within_patience("the end of the task", task).await.unwrap());
        }
        results
    }

    /// Waits until exactly these lines were published, in this order.
    pub(crate) async fn expect_lines(&self, expected: &[&str]) {
        let enough = |count: usize| count >= expected.len();
        self.spool.until(&format!("{expected:?}"), |stored| enough(stored.lines().len())).await;
        assert_eq!(self.spool.stored().texts(), expected);
    }

    /// Waits until the collector knows the file under this name and has stored that it does.
    pub(crate) async fn expect_known(&self, name: &str) {
        let inode = self.inode(name);
        let known = |stored: &Stored| stored.inodes().contains(&inode);
        self.spool.until(&format!("a position of {name}"), known).await;
    }

    /// Waits until it is stored which patterns are watched.
    pub(crate) async fn expect_known_patterns(&self) {
        let known = |stored: &Stored| stored.checkpoints.contains_key("patterns");
        self.spool.until("the patterns", known).await;
    }

    /// Waits until a file is forgotten.
    pub(crate) async fn expect_forgotten(&self, inode: &str) {
        let forgotten = |stored: &Stored| !stored.inodes().iter().any(|known| known == inode);
        self.spool.until(&format!("no position of inode {inode}"), forgotten).await;
    }

    /// Nothing was published twice.
    pub(crate) fn expect_no_repeats(&self) {
        assert_eq!(self.spool.stored().repeated, Vec::<String>::new());
    }
}
