//! The one place here that speaks to the crate: everything else knows commands by their ids and records as JSON.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use command_manager::{
    AcceptError, Acceptance, Change, CommandId, CommandManager, CommandRecord, Envelope, ErrorCode,
    Execution, Executor, Finish, Judgement, WallClock, parse_envelope,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::history::{Delivery, Plot, plot_of};

/// A clock that is one second later each time it is asked.
struct Ticking(AtomicI64);

impl WallClock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.fetch_add(1, Ordering::Relaxed)).unwrap()
    }
}

/// What became of a delivery; records as they are shown.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    New(Value),
    Known(Value),
    Conflict,
    /// It could not be recorded, for this reason.
    Refused(String),
}

/// A process' view of a journal.
pub(crate) struct Agent {
    manager: Arc<CommandManager>,
}

impl Agent {
    /// Opens the journal of `folder`, or says why not. The clock begins at `second`. A journal that is set aside is a
    /// failure here: no cut and no refusal may damage it.
    pub(crate) fn open(folder: &Path, second: i64) -> Result<Self, String> {
        let clock = Arc::new(Ticking(AtomicI64::new(second)));
        let (manager, set_aside) =
            CommandManager::open(&journal_of(folder), clock).map_err(|error| error.to_string())?;
        assert_eq!(set_aside, None, "the journal was taken for damaged");
        Ok(Self { manager: Arc::new(manager) })
    }

    pub(crate) async fn accept(&self, delivery: &Delivery) -> Answer {
        match self.manager.accept(envelope(delivery), None).await {
            Ok(Acceptance::New(record)) => Answer::New(shown(&record)),
            Ok(Acceptance::Known(record)) => Answer::Known(shown(&record)),
            Err(AcceptError::Conflict { .. }) => Answer::Conflict,
            Err(AcceptError::Storage { reason }) => Answer::Refused(reason),
        }
    }

    /// Every command there is, the newest first.
    pub(crate) async fn list(&self) -> Vec<Value> {
        self.manager.list(usize::MAX).await.unwrap().iter().map(shown).collect()
    }

    /// The command once it is finished.
    pub(crate) async fn finished(&self, id: &str) -> Value {
        shown(&self.manager.wait(&parsed(id), u64::MAX).await.unwrap().unwrap())
    }

    /// Ends a command that waits or is deferred, as success or as refused, or says why not.
    pub(crate) async fn finish(&self, id: &str, success: bool) -> Result<Value, String> {
        let finish = if success {
            done(id, "finished later")
        } else {
            Finish::failure(ErrorCode::Refused, "no longer wanted")
        };
        match self.manager.finish(&parsed(id), finish).await.map_err(|error| error.to_string())? {
            Change::Made(record) | Change::AlreadyFinished(record) => Ok(shown(&record)),
            Change::Unknown => panic!("{id} is not known"),
        }
    }

    /// Starts the queue.
    pub(crate) fn run(&self, folder: &Path) -> Run {
        let (stop, stopped) = watch::channel(false);
        let (tell, deferred) = mpsc::unbounded_channel();
        let manager = Arc::downgrade(&self.manager);
        let executor = Arc::new(Effecting { effects: effects_of(folder), manager, deferred: tell });
        Run { task: tokio::spawn(Arc::clone(&self.manager).run(executor, stopped)), stop, deferred }
    }

    /// Closes the journal.
    pub(crate) fn close(self) {
        drop(Arc::into_inner(self.manager).expect("nobody else uses the manager any more"));
    }
}

/// A running queue.
pub(crate) struct Run {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// The ids of commands whose execution was deferred.
    pub(crate) deferred: mpsc::UnboundedReceiver<String>,
}

impl Run {
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

pub(crate) fn journal_of(folder: &Path) -> PathBuf {
    folder.join("commands.db")
}

/// What the executor does, one id a line. It is no part of the journal and survives every cut: the world outside.
pub(crate) fn effects_of(folder: &Path) -> PathBuf {
    folder.join("effects")
}

/// Follows the plot of each command.
struct Effecting {
    effects: PathBuf,
    manager: Weak<CommandManager>,
    deferred: mpsc::UnboundedSender<String>,
}

impl Effecting {
    fn make_effect(&self, id: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.effects).unwrap();
        file.write_all(format!("{id}\n").as_bytes()).unwrap();
        file.sync_data().unwrap();
    }

    fn has_effect(&self, id: &str) -> bool {
        let lines = File::open(&self.effects).and_then(std::io::read_to_string).unwrap_or_default();
        lines.lines().any(|line| line == id)
    }

    async fn progress(&self, command: &CommandRecord, stage: &str) {
        let manager = self.manager.upgrade().unwrap();
        // A disk that refuses costs the entry and not the command.
        drop(manager.progress(&command.id, stage, Some("fim"), "so far").await);
    }

    fn defer(&self, id: &str) -> Execution {
        // The receiver is gone when the queue is about to stop.
        drop(self.deferred.send(id.to_owned()));
        Execution::Deferred
    }
}

#[async_trait]
impl Executor for Effecting {
    async fn execute(&self, command: &CommandRecord) -> Execution {
        let id = command.id.as_str();
        match plot_of(id) {
            Plot::Refused => panic!("{id} must not be executed"),
            Plot::Hopeless => return self.defer(id),
            Plot::SecondAttempt if command.attempts == 1 => return self.defer(id),
            Plot::Noted => {
                self.progress(command, "ready").await;
                self.make_effect(id);
                self.progress(command, "saving").await;
            }
            Plot::Deferred => {
                self.make_effect(id);
                return self.defer(id);
            }
            Plot::Plain | Plot::SecondAttempt => self.make_effect(id),
        }
        Execution::Finished(done(id, "done"))
    }

    async fn judge(&self, command: &CommandRecord) -> Judgement {
        let id = command.id.as_str();
        if self.has_effect(id) {
            Judgement::Finished(done(id, "its effect is there"))
        } else {
            Judgement::Again
        }
    }
}

/// The same for a program whoever says it; the text may differ.
fn done(id: &str, text: &str) -> Finish {
    Finish::success(text).with_result(json!({ "effect": id }))
}

/// The record, and the answer that goes back to the asker.
fn shown(record: &CommandRecord) -> Value {
    let mut shown = serde_json::to_value(record).unwrap();
    shown["answer"] = record.to_envelope();
    shown
}

fn parsed(id: &str) -> CommandId {
    CommandId::new(id).unwrap()
}

fn envelope(delivery: &Delivery) -> Envelope {
    let parameters = json!({"reason": delivery.reason, "data": "all"});
    let sent =
        json!({"id": delivery.id, "command": {"type": "restart-agent"}, "parameters": parameters});
    parse_envelope(sent.to_string().as_bytes()).unwrap()
}
