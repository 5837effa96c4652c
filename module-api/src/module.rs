//! The lifecycle that every module implements.

use async_trait::async_trait;

use serde_json::Value;

use crate::{
    AskError, ModuleError, ModuleName, Question, Readiness, SavedState, SensorFd, StartContext,
};

/// A part of the agent that can be started, drained, saved and stopped on its own.
///
/// What the agent guarantees: `start` is called once on an instance and before anything else; calls to one instance
/// never overlap, `ask` excepted; after `stop` has returned or was given up nothing is called any more; a failed or stopped module
/// is started again as a *new* instance.
///
/// What the module owes: every method may be **dropped at any await** when its budget is used up, which must leave the
/// module able to answer the next call. A method may be called again after it failed. A method that hangs costs its
/// budget and nothing else; a method that panics counts as failed.
// async_trait has to come first: below automock a mock could not hang.
#[async_trait]
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Module: Send + Sync {
    /// The name under which the module is configured; always the same.
    fn name(&self) -> &ModuleName;

    /// Starts the work and returns once the module really works.
    ///
    /// Owed: pick up at the state and checkpoints of `context`; start background work through `context.tasks` only.
    /// If it fails or hangs (budget `restart.start_timeout`): the module is reported as failed and a new
    /// instance is tried after a back-off.
    ///
    /// # Errors
    /// Why the module cannot work now.
    async fn start(&self, context: StartContext) -> Result<(), ModuleError>;

    /// Hands out the kernel objects that are to go on watching when this instance has ended. A module without any need not
    /// implement it.
    ///
    /// Asked once, right after `start` has succeeded and within its budget: the agent keeps copies from then on, so nothing is
    /// lost when the process is killed either, where the method of its start allows that. The answer replaces what earlier
    /// instances handed out; what is missing in it is closed. What changes later goes to the
    /// [keeper](crate::SensorKeeper) of the `StartContext`. Owed: copies (`try_clone`) of what the module works with,
    /// and no further read from them once `stop` has returned.
    ///
    /// # Errors
    /// Why they cannot be handed out; it counts as a start that failed.
    async fn sensors(&self) -> Result<Vec<SensorFd>, ModuleError> {
        Ok(Vec::new())
    }

    /// Answers a question about the module's own work, or does what it asks for: how far a scan is, begin one. A module that has
    /// nothing to tell need not implement it.
    ///
    /// The agent guarantees: it is called only after `start` has succeeded, and the call runs on the threads of the instance. It
    /// is the one call that **may overlap with others**: with `ready_for_shutdown`, `save_state`, `stop`, and with itself.
    /// Only who may submit commands can ask, so an answer may name files.
    ///
    /// Owed: nothing that the other calls have to wait for, so no lock is held over an await that may take long; what takes long
    /// is begun in a task, and the answer says that it was. It may be dropped at any await: at the end of its budget of 30 s,
    /// when the asker goes away, and when the instance ends. A hang or a panic costs the asker the answer and
    /// nothing else: the module is not taken for failed.
    ///
    /// # Errors
    /// [`AskError`], which the asker is shown.
    async fn ask(&self, question: Question) -> Result<Value, AskError> {
        Err(AskError::UnknownVerb { verb: question.verb, known: Vec::new() })
    }

    /// Says at once whether the module can be shut down now; it is asked again while it is busy.
    ///
    /// Owed: an immediate answer, and from the first question on no new long work until `stop` or `resume`. If it hangs
    /// or stays busy (budget `restart.ready_timeout`): noted, and the shutdown goes on with `save_state`.
    async fn ready_for_shutdown(&self) -> Readiness;

    /// The shutdown was called off: long work may be taken on again.
    ///
    /// Called only after `ready_for_shutdown`, never after `save_state`. If it hangs it is given up; the module has to
    /// work all the same.
    async fn resume(&self);

    /// Returns what the next instance needs to go on exactly here. A stateless module answers [`SavedState::none`].
    ///
    /// Owed: no event is published for work after the returned state, except with a checkpoint that supersedes it. If
    /// it fails or hangs (budget `restart.save_timeout`): noted, and the shutdown goes on with `stop`; the next
    /// instance finds the state saved before and the checkpoints.
    ///
    /// # Errors
    /// Why there is no state to save.
    async fn save_state(&self) -> Result<SavedState, ModuleError>;

    /// Ends the work; on return nothing of the module runs any more. `stop` on a stopped module is `Ok`.
    ///
    /// If it fails or hangs (budget `restart.stop_timeout`): it is called once more, then the module is abandoned, which
    /// aborts its tasks and closes its event sink.
    ///
    /// # Errors
    /// What could not be ended.
    async fn stop(&self) -> Result<(), ModuleError>;
}

#[cfg(all(test, feature = "mock"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_mock_can_hang_and_is_given_up_by_a_timeout() {
        let mut module = MockModule::new();
        module.expect_stop().returning(|| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
                Ok(())
            })
        });
        let given_up = tokio::time::timeout(Duration::from_secs(5), module.stop()).await;
        assert!(given_up.is_err());
    }
}
