//! Who carries commands out, and what it answers.

use async_trait::async_trait;
use serde_json::Value;

use crate::status::{Status, StatusEvent};
use crate::{CommandRecord, ErrorCode, ProgressSink};

/// Carries commands of some types out; [`Executors`](crate::Executors) says of which.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Carries `command` out, and reports its steps to `progress`. Its status and the number of the attempt are on disk
    /// already. Nothing that the command [excludes](crate::Scope::excludes) is under way meanwhile.
    ///
    /// It runs on a task of its own. When it takes longer than [`Settings::timeout`](crate::Settings::timeout) that is
    /// aborted at its next await, and the command ends as timeout; also when the task of
    /// [`CommandManager::run`](crate::CommandManager::run) is dropped, and then the command is judged at the next start. A
    /// panic is counted as failure.
    async fn execute(&self, command: &CommandRecord, progress: &ProgressSink) -> Execution;

    /// Says what became of `command`, which an earlier process had begun and not finished.
    ///
    /// Asked once for each such command at the start, in the order of acceptance, before anything is executed. Nothing
    /// is executed while it hangs. A panic ends the command as failure with [`ErrorCode::Interrupted`].
    async fn judge(&self, command: &CommandRecord) -> Judgement;
}

/// How far an executor got.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Execution {
    /// It is over.
    Finished(Finish),
    /// The process is about to be replaced. Nothing that the command excludes is begun until somebody calls
    /// [`CommandManager::finish`](crate::CommandManager::finish) for it, in this process or the next, or until its time is
    /// over.
    Deferred,
}

/// What became of a command that was in progress when the agent started.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Judgement {
    /// It is over.
    Finished(Finish),
    /// It had no effect and is begun again in its turn, if it has attempts left.
    Again,
    /// It is not known yet: somebody will call [`CommandManager::finish`](crate::CommandManager::finish). Nothing that the
    /// command excludes is begun before that, or before its time is over.
    Deferred,
}

/// The end of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// Which end.
    pub status: FinalStatus,
    /// In what way; [`ErrorCode::Ok`] for a plain success.
    pub error: ErrorCode,
    /// What a person is told.
    pub text: String,
    /// What a program is told; `None` when there is nothing more to say.
    pub result: Option<Value>,
}

/// The statuses in which a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinalStatus {
    /// Becomes [`Status::Success`].
    Success,
    /// Becomes [`Status::Failure`].
    Failure,
    /// Becomes [`Status::Timeout`].
    Timeout,
}

impl Finish {
    /// Done as asked.
    pub fn success(text: impl Into<String>) -> Self {
        let (status, error) = (FinalStatus::Success, ErrorCode::Ok);
        Self { status, error, text: text.into(), result: None }
    }

    /// Not done, in the way that `error` says.
    pub fn failure(error: ErrorCode, text: impl Into<String>) -> Self {
        Self { status: FinalStatus::Failure, error, text: text.into(), result: None }
    }

    /// Not done within its time.
    pub fn timeout(text: impl Into<String>) -> Self {
        let (status, error) = (FinalStatus::Timeout, ErrorCode::TimedOut);
        Self { status, error, text: text.into(), result: None }
    }

    /// Not begun within the time that it was given for.
    pub fn expired(text: impl Into<String>) -> Self {
        let (status, error) = (FinalStatus::Timeout, ErrorCode::Expired);
        Self { status, error, text: text.into(), result: None }
    }

    /// Adds what a program is told.
    #[must_use]
    pub fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }
}

impl FinalStatus {
    /// The event that leads there.
    pub(crate) fn event(self) -> StatusEvent {
        match self {
            Self::Success => StatusEvent::Succeeded,
            Self::Failure => StatusEvent::Failed,
            Self::Timeout => StatusEvent::TimedOut,
        }
    }
}

impl From<FinalStatus> for Status {
    fn from(status: FinalStatus) -> Self {
        match status {
            FinalStatus::Success => Self::Success,
            FinalStatus::Failure => Self::Failure,
            FinalStatus::Timeout => Self::Timeout,
        }
    }
}
