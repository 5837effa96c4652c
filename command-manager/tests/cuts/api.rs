//! The one place here that speaks to the crate: everything else knows commands by their ids and records as JSON.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use command_manager::{
    AcceptError, Acceptance, Change, CommandId, CommandManager, CommandRecord, Envelope, ErrorCode,
    Execution, Executor, Executors, Finish, Judgement, ProgressSink, Report, ReportError, Reporter,
    Settings, Step, TimeToLive, WallClock, parse_envelope,
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

/// Nothing here ends by its time: the clock jumps from process to process, and the time of the runtime is virtual and runs
/// ahead of the journal's thread.
fn patient() -> Settings {
    const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let time_to_live =
        TimeToLive { restart_agent: LONG, restart_module: LONG, reload: LONG, check_config: LONG };
    Settings {
        timeout: Duration::MAX,
        time_to_live,
        keep_for: LONG,
        remember_ids_for: LONG,
        report_for: LONG,
        reporters: vec![Receiver::NAME.to_owned()],
        ..Settings::default()
    }
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
        let (manager, set_aside) = CommandManager::open(&journal_of(folder), clock, patient())
            .map_err(|error| error.to_string())?;
        assert_eq!(set_aside, None, "the journal was taken for damaged");
        Ok(Self { manager: Arc::new(manager) })
    }

    pub(crate) async fn accept(&self, delivery: &Delivery) -> Answer {
        match self.manager.accept(envelope(delivery), None).await {
            Ok(Acceptance::New(record)) => Answer::New(shown(&record)),
            Ok(Acceptance::Known(record)) => Answer::Known(shown(&record)),
            Err(AcceptError::Conflict { .. }) => Answer::Conflict,
            Err(AcceptError::Storage { reason }) => Answer::Refused(reason),
            Err(error @ AcceptError::TooManyRestarts { .. }) => panic!("{error}"),
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
        let executor: Arc<dyn Executor> =
            Arc::new(Effecting { effects: effects_of(folder), deferred: tell });
        let executors = Executors::all(&executor);
        let task = tokio::spawn(Arc::clone(&self.manager).run(executors, stopped));
        Run { task, stop, deferred }
    }

    /// Brings every result to the receiver that has not acknowledged it.
    pub(crate) async fn report(&self, folder: &Path) {
        let (stop, stopped) = watch::channel(false);
        let receiver = Arc::new(Receiver { reports: reports_of(folder) });
        let task = tokio::spawn(Arc::clone(&self.manager).report_to(receiver, stopped));
        // A disk that refuses to be read is asked again.
        while self.manager.unreported(Receiver::NAME).await != Ok(0) {
            tokio::task::yield_now().await;
        }
        stop.send_replace(true);
        task.await.unwrap();
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

/// What the receiver of results was brought: a line of number and id for each. Outside, like the effects.
pub(crate) fn reports_of(folder: &Path) -> PathBuf {
    folder.join("reports")
}

/// Takes results and acknowledges each.
struct Receiver {
    reports: PathBuf,
}

impl Receiver {
    const NAME: &str = "receiver";
}

#[async_trait]
impl Reporter for Receiver {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn report(&self, report: &Report) -> Result<(), ReportError> {
        append(&self.reports, &format!("{} {}", report.change, report.record.id));
        Ok(())
    }
}

fn append(path: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
    file.sync_data().unwrap();
}

/// Follows the plot of each command.
struct Effecting {
    effects: PathBuf,
    deferred: mpsc::UnboundedSender<String>,
}

impl Effecting {
    fn make_effect(&self, id: &str) {
        append(&self.effects, id);
    }

    fn has_effect(&self, id: &str) -> bool {
        let lines = File::open(&self.effects).and_then(std::io::read_to_string).unwrap_or_default();
        lines.lines().any(|line| line == id)
    }

    fn defer(&self, id: &str) -> Execution {
        // The receiver is gone when the queue is about to stop.
        drop(self.deferred.send(id.to_owned()));
        Execution::Deferred
    }
}

#[async_trait]
impl Executor for Effecting {
    async fn execute(&self, command: &CommandRecord, progress: &ProgressSink) -> Execution {
        let id = command.id.as_str();
        match plot_of(id) {
            Plot::Refused => panic!("{id} must not be executed"),
            Plot::Hopeless => return self.defer(id),
            Plot::SecondAttempt if command.attempts == 1 => return self.defer(id),
            Plot::Noted => {
                note(progress, "ready", 1).await;
                self.make_effect(id);
                note(progress, "saving", 2).await;
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

/// A step of the command. A disk that refuses costs the entry and not the command.
async fn note(progress: &ProgressSink, stage: &str, done: u32) {
    drop(progress.report(Step::new(stage, "so far").of_module("fim").counted(done, 2)).await);
}

/// The same for a program whoever says it; the text may differ.
fn done(id: &str, text: &str) -> Finish {
    Finish::success(text).with_result(json!({ "effect": id }))
}

/// The record, and the answer that goes back to the asker.
fn shown(record: &CommandRecord) -> Value {
    let mut shown = serde_json::to_value(record).unwrap();
    shown["answer"] = record.to_answer();
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
