//! The vocabulary of the shutdown loop: what happened (events), what to do (effects), how it ended (outcome).

use std::time::Duration;

use module_api::ModuleName;
use serde::{Deserialize, Serialize};

/// The three calls that the loop makes to a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// `ready_for_shutdown`.
    Ask,
    /// `save_state`, and making durable what it returned.
    Save,
    /// `stop`.
    Stop,
}

/// What came back from a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Ready, saved or stopped.
    Done,
    /// Not ready yet, and why. Only an answer to [`Call::Ask`].
    Busy(String),
    /// The call failed or panicked, and why.
    Failed(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A call has come back. `attempt` is the one of the [`Effect::Call`] that it answers.
    Answered {
        /// Who answers.
        module: ModuleName,
        /// Which call of the loop to this module, counted from 1 over all kinds of calls.
        attempt: u32,
        /// What came back.
        answer: Answer,
    },
    /// The controller has taken the request; SIGTERM will come.
    ReplacementAccepted,
    /// The controller has taken the request and waits for nothing: close now.
    ReplacementUnconditional,
    /// The process will not be replaced, and why.
    ReplacementRefused(String),
    /// SIGTERM: from the controller when it has accepted a request, from an operator otherwise.
    Terminated,
    /// An operator wants the agent to stop; this overtakes a restart.
    StopRequested,
    /// Somebody is in a hurry: nobody is waited for to get ready any more. Saving and stopping keep their budgets.
    Hurried,
    /// The same request again, with force: go to the end of the ladder.
    Forced,
    /// The time of `next_deadline` has come.
    DeadlinePassed,
}

/// Something to be done, in the given order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Call the module and answer with [`Event::Answered`].
    Call {
        /// Whom.
        module: ModuleName,
        /// What.
        call: Call,
        /// To be given back in the answer.
        attempt: u32,
    },
    /// Drop the running call: its budget is used up.
    GiveUp {
        /// Whose call.
        module: ModuleName,
        /// Which one.
        attempt: u32,
    },
    /// The module has stopped by itself: let go of the instance.
    Release {
        /// Whom.
        module: ModuleName,
    },
    /// Abort what the module still runs and close its event sink.
    Abandon {
        /// Whom.
        module: ModuleName,
    },
    /// Tell the module that the shutdown was called off.
    Resume {
        /// Whom.
        module: ModuleName,
    },
    /// Commit the ticket and ask the controller to replace the process.
    RequestReplacement,
    /// Tell whoever watches.
    Report(Progress),
}

/// One step of progress, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// `drain`, `hand_over`, `call_off`, `close`, `save`, `stop` or `late`. `close`, of no module, marks the point of no
    /// return; `late` is an answer that nobody waits for any more.
    pub stage: &'static str,
    /// Whether the module is through that stage now, which happens once for each module that enters it.
    pub through: bool,
    /// Which module, or `None` for the agent as a whole.
    pub module: Option<ModuleName>,
    /// What happened.
    pub text: String,
}

/// What the loop is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The process is to be replaced: all modules are drained before the controller is asked, and nothing is saved or
    /// stopped before the controller has agreed.
    Replace,
    /// The modules are to end, each at its own pace: a plain stop, or the restart of single modules.
    End,
}

/// How the loop ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Every module is stopped or abandoned; what was asked for can go on.
    Ended,
    /// Every module is stopped or abandoned because an operator's stop overtook the restart.
    StoppedInstead,
    /// The replacement was refused; the modules run on.
    CalledOff(String),
}

/// The result of the whole loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownOutcome {
    /// How it ended.
    pub ending: Ending,
    /// Per module, in the order of `begin`.
    pub modules: Vec<ModuleOutcome>,
    /// From the order to the end.
    pub took: Duration,
    /// Answers to calls that had been given up, or from nobody that was asked; they changed nothing.
    pub late_answers: u32,
    /// Why nobody will start the successor, if the controller said so after it had agreed.
    pub replacement_lost: Option<String>,
    /// SIGTERM opened the gate, and the controller had not answered when the loop was over. Its answer tells whose SIGTERM
    /// it was: the controller's own if it is [`Event::ReplacementAccepted`], an operator's stop if it is anything else.
    pub unanswered_sigterm: bool,
}

impl ShutdownOutcome {
    /// Whether every module saved and stopped by itself within its time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.modules.iter().all(|module| module.notes.is_empty())
    }
}

/// What happened to one module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleOutcome {
    /// Whose outcome this is.
    pub name: ModuleName,
    /// Where the module is now.
    pub ended: ModuleEnd,
    /// From the order to ready or given up, in milliseconds.
    pub ready_ms: Option<u64>,
    /// From ready until `save_state` was called or the shutdown was called off, in milliseconds: the time for the other
    /// modules and for the controller. `None` if the module never got that far; the same holds for what follows.
    pub waited_ms: Option<u64>,
    /// The time of `save_state` and of writing what it returned, in milliseconds.
    pub save_ms: Option<u64>,
    /// The time of all calls of `stop`, in milliseconds.
    pub stop_ms: Option<u64>,
    /// From the order until it had ended, or until the shutdown was called off, in milliseconds: the sum of the above.
    pub ended_ms: u64,
    /// Answers to calls that had been given up; they changed nothing.
    pub late_answers: u32,
    /// Everything that did not go as it should, in order; empty for a clean shutdown.
    pub notes: Vec<String>,
}

/// Where a module is after the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleEnd {
    /// It runs: the shutdown was called off.
    Running,
    /// It stopped by itself.
    Stopped,
    /// It did not stop and was aborted.
    Abandoned,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_note_of_one_module_makes_the_outcome_unclean() {
        let module = |notes: &[&str]| ModuleOutcome {
            name: ModuleName::new("fim").unwrap(),
            ended: ModuleEnd::Stopped,
            ready_ms: Some(0),
            waited_ms: Some(0),
            save_ms: Some(0),
            stop_ms: Some(0),
            ended_ms: 0,
            late_answers: 0,
            notes: notes.iter().map(ToString::to_string).collect(),
        };
        let outcome = |modules| ShutdownOutcome {
            ending: Ending::Ended,
            modules,
            took: Duration::ZERO,
            late_answers: 0,
            replacement_lost: None,
            unanswered_sigterm: false,
        };
        assert!(outcome(vec![module(&[]), module(&[])]).is_clean());
        assert!(!outcome(vec![module(&[]), module(&["save timeout"])]).is_clean());
    }
}
