//! How far a command is, in steps that executors report while they work.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Change, CommandId, CommandManager, JournalError};

/// One step of a command under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which part of the work, as one word.
    pub stage: String,
    /// The module it is about, if it is about one.
    pub module: Option<String>,
    /// How many of how many are through this stage now, where there is something to count.
    pub count: Option<Count>,
    /// What a person is told.
    pub text: String,
}

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many are done.
    pub done: u32,
    /// How many there are.
    pub total: u32,
}

impl Step {
    /// A step of this stage, in words.
    #[must_use]
    pub fn new(stage: impl Into<String>, text: impl Into<String>) -> Self {
        Self { stage: stage.into(), module: None, count: None, text: text.into() }
    }

    /// The same about a module.
    #[must_use]
    pub fn of_module(self, module: impl Into<String>) -> Self {
        Self { module: Some(module.into()), ..self }
    }

    /// The same with how many of how many are done.
    #[must_use]
    pub fn counted(self, done: u32, total: u32) -> Self {
        Self { count: Some(Count { done, total }), ..self }
    }
}

/// Where the executor of one command reports its steps. Clones report for the same command.
#[derive(Clone)]
pub struct ProgressSink {
    manager: Arc<CommandManager>,
    id: CommandId,
}

impl ProgressSink {
    pub(crate) fn new(manager: Arc<CommandManager>, id: CommandId) -> Self {
        Self { manager, id }
    }

    /// Adds a step to the history of the command. On return it is on disk and subscribers are told. When the command has
    /// ended meanwhile, its history stays as it is, and the answer says so.
    ///
    /// # Errors
    /// [`JournalError`] when it could not be written. The work may go on all the same: a step decides nothing.
    pub async fn report(&self, step: Step) -> Result<Change, JournalError> {
        self.manager.progress(&self.id, step).await
    }
}

impl fmt::Debug for ProgressSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressSink").field("id", &self.id).finish_non_exhaustive()
    }
}
