//! A manager in a folder of its own, and an executor that does what it is told and notes what it was asked.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use command_manager::{
    Acceptance, CommandId, CommandManager, CommandRecord, CommandType, Envelope, Execution,
    Executor, Executors, Finish, Judgement, ProgressSink, SetAside, Settings, WallClock,
    parse_envelope,
};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A clock that is one second later each time it is asked.
#[derive(Debug, Default)]
pub(crate) struct Ticking(AtomicI64);

impl Ticking {
    /// Lets time pass.
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl WallClock for Ticking {
    fn now(&self) -> Timestamp {
        let second = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }
}

pub(crate) fn id(text: &str) -> CommandId {
    CommandId::new(text).unwrap()
}

/// A stop, which every executor here takes for whatever its script says.
pub(crate) fn envelope(id: &str) -> Envelope {
    let sent = json!({"id": id, "command": {"type": "stop"}, "parameters": {"reason": "a test"}});
    parse_envelope(sent.to_string().as_bytes()).unwrap()
}

/// A command of this type.
pub(crate) fn order(id: &str, kind: CommandType) -> Envelope {
    let sent = json!({"id": id, "command": {"type": kind}, "parameters": {"data": "all"}});
    parse_envelope(sent.to_string().as_bytes()).unwrap()
}

pub(crate) fn open(path: &Path) -> (Arc<CommandManager>, Option<SetAside>) {
    let (manager, set_aside) =
        CommandManager::open(path, Arc::new(Ticking::default()), Settings::default()).unwrap();
    (Arc::new(manager), set_aside)
}

/// A manager whose journal lives as long as the scene.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) manager: Arc<CommandManager>,
}

impl Scene {
    /// A manager that treats commands as `settings` say, and its clock.
    pub(crate) fn with(settings: Settings) -> (Self, Arc<Ticking>) {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(Ticking::default()));
        let path = folder.path().join("commands.db");
        let (manager, _) = CommandManager::open(&path, Arc::clone(&clock) as _, settings).unwrap();
        (Self { folder, manager: Arc::new(manager) }, clock)
    }

    /// The same folder in the next process, with these settings and this clock.
    pub(crate) fn reopen_with(self, settings: Settings, clock: &Arc<Ticking>) -> Self {
        let (path, Self { folder, manager }) = (self.path(), self);
        Arc::into_inner(manager).expect("nobody else uses the manager any more");
        let (manager, _) = CommandManager::open(&path, Arc::clone(clock) as _, settings).unwrap();
        Self { folder, manager: Arc::new(manager) }
    }

    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let manager = open(&folder.path().join("commands.db")).0;
        Self { folder, manager }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("commands.db")
    }

    /// The next process: the journal is closed and opened again.
    pub(crate) fn reopen(self) -> Self {
        let (path, Self { folder, manager }) = (self.path(), self);
        Arc::into_inner(manager).expect("nobody else uses the manager any more");
        Self { manager: open(&path).0, folder }
    }

    pub(crate) async fn accept(&self, text: &str) -> CommandRecord {
        match self.manager.accept(envelope(text), None).await.unwrap() {
            Acceptance::New(record) => record,
            Acceptance::Known(record) => panic!("{} was known", record.id),
        }
    }

    /// Accepts a command of this type that was not known.
    pub(crate) async fn order(&self, id: &str, kind: CommandType) -> CommandRecord {
        match self.manager.accept(order(id, kind), None).await.unwrap() {
            Acceptance::New(record) => record,
            Acceptance::Known(record) => panic!("{} was known", record.id),
        }
    }

    pub(crate) async fn show(&self, text: &str) -> CommandRecord {
        self.manager.show(&id(text)).await.unwrap().unwrap()
    }

    /// The command once it is finished.
    pub(crate) async fn finished(&self, text: &str) -> CommandRecord {
        self.manager.wait(&id(text), u64::MAX).await.unwrap().unwrap()
    }

    pub(crate) fn run(&self, executor: &Arc<Scripted>) -> Run {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Arc::clone(&self.manager).run(all(executor), stopped));
        Run { stop, task }
    }

    /// Lets the queue take many turns, in which it could do what it must not.
    pub(crate) async fn give_it_a_chance(&self) {
        for _ in 0..50 {
            drop(self.manager.list(1).await.unwrap());
        }
    }
}

/// The executor for every type of command.
pub(crate) fn all(executor: &Arc<Scripted>) -> Executors {
    let executor: Arc<dyn Executor> = Arc::clone(executor) as _;
    Executors::all(&executor)
}

/// A running queue.
pub(crate) struct Run {
    pub(crate) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<()>,
}

impl Run {
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

/// What a scripted executor does with a command.
pub(crate) enum Act {
    Answer(Execution),
    Panic,
    Hang,
}

pub(crate) fn succeed() -> Act {
    Act::Answer(Execution::Finished(Finish::success("done")))
}

type Script = dyn Fn(&CommandRecord) -> Act + Send + Sync;
type Verdict = dyn Fn(&CommandRecord) -> Judgement + Send + Sync;

/// An executor that follows two scripts.
pub(crate) struct Scripted {
    script: Box<Script>,
    verdict: Box<Verdict>,
    notes: Mutex<Vec<String>>,
    noted: watch::Sender<usize>,
}

impl Scripted {
    pub(crate) fn new(
        script: impl Fn(&CommandRecord) -> Act + Send + Sync + 'static,
        verdict: impl Fn(&CommandRecord) -> Judgement + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (script, verdict) = (Box::new(script), Box::new(verdict));
        Arc::new(Self { script, verdict, notes: Mutex::default(), noted: watch::Sender::new(0) })
    }

    /// One that must not be asked for a judgement.
    pub(crate) fn executing(
        script: impl Fn(&CommandRecord) -> Act + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(script, |command| panic!("{} needs no judgement", command.id))
    }

    pub(crate) fn note(&self, text: String) {
        let mut notes = self.notes.lock().unwrap();
        notes.push(text);
        self.noted.send_replace(notes.len());
    }

    /// What happened so far: `execute ID #ATTEMPT`, `judge ID`, and what the test noted itself.
    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    /// Returns once there are `count` notes.
    pub(crate) async fn until_noted(&self, count: usize) {
        self.noted.subscribe().wait_for(|noted| *noted >= count).await.unwrap();
    }
}

#[async_trait]
impl Executor for Scripted {
    async fn execute(&self, command: &CommandRecord, _: &ProgressSink) -> Execution {
        self.note(format!("execute {} #{}", command.id, command.attempts));
        match (self.script)(command) {
            Act::Answer(execution) => execution,
            Act::Panic => panic!("as the script says"),
            Act::Hang => std::future::pending().await,
        }
    }

    async fn judge(&self, command: &CommandRecord) -> Judgement {
        self.note(format!("judge {}", command.id));
        (self.verdict)(command)
    }
}
