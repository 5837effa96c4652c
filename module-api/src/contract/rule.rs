//! The rules of the contract, and what is said when one is broken.

use std::fmt;

/// One promise that a module makes by implementing [`Module`](crate::Module).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// `name` always says the same.
    NameIsStable,
    /// `start` returns well, and work is published after it.
    StartWorks,
    /// Background tasks do not fail as long as nothing is wrong.
    TasksDoNotFail,
    /// Ids, fields, checkpoints and saved state have the form that `module-api` asks for.
    WellFormed,
    /// `ready_for_shutdown` answers at once, as often as it is asked.
    ReadyAnswersAtOnce,
    /// A module without new work gets ready.
    BusyEnds,
    /// After `resume` the module works as before.
    ResumeGoesOn,
    /// `save_state` returns a state.
    SaveWorks,
    /// What is published after `save_state` has a checkpoint that supersedes the state.
    SaveIsFinal,
    /// `stop` returns well: after a save, without one, and while the sink does not answer.
    StopWorks,
    /// `stop` on a stopped module is `Ok`.
    StopAgainIsOk,
    /// When `stop` has returned nothing is published and nothing runs.
    StopIsFinal,
    /// All background work is started through the tasks of the start context: aborting them ends it.
    WorkIsInTasks,
    /// The next instance goes on where the last one ended: it repeats nothing and leaves nothing out.
    NextGoesOn,
    /// What the sink refused, or was not stored when the module was killed, is published later.
    NothingIsLost,
    /// Every call may be dropped at any await, and the next one is answered.
    CallsMayBeDropped,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameIsStable => "the name is always the same",
            Self::StartWorks => "a started module works",
            Self::TasksDoNotFail => "background tasks do not fail",
            Self::WellFormed => "events, checkpoints and states are well formed",
            Self::ReadyAnswersAtOnce => "ready_for_shutdown answers at once",
            Self::BusyEnds => "a busy module gets ready",
            Self::ResumeGoesOn => "a resumed module works as before",
            Self::SaveWorks => "save_state returns a state",
            Self::SaveIsFinal => "nothing is published after save_state without a checkpoint",
            Self::StopWorks => "stop returns well",
            Self::StopAgainIsOk => "stop on a stopped module is Ok",
            Self::StopIsFinal => "nothing runs after stop",
            Self::WorkIsInTasks => "work runs in the tasks of the start context only",
            Self::NextGoesOn => "the next instance goes on where the last one ended",
            Self::NothingIsLost => "no work is lost",
            Self::CallsMayBeDropped => "every call may be dropped at any await",
        })
    }
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}, but {seen}")]
pub struct Violation {
    /// Which one.
    pub rule: Rule,
    /// What was seen, as the end of a sentence.
    pub seen: String,
}

impl Violation {
    pub(super) fn new(rule: Rule, seen: impl Into<String>) -> Self {
        Self { rule, seen: seen.into() }
    }
}

/// All rules that a module broke, each with what was seen first.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    pub(super) fn add(&mut self, violation: Violation) {
        if self.0.iter().all(|known| known.rule != violation.rule) {
            self.0.push(violation);
        }
    }

    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the module breaks its contract:")?;
        self.0.iter().try_for_each(|violation| write!(f, "\n- {violation}"))
    }
}
