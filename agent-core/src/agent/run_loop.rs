//! One run of the shutdown loop over modules of the agent, with its steps in the journal and in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use command_manager::{CommandId, Step};
use module_api::ModuleName;
use restart::{
    Clock, Ending, Limits, Progress, Purpose, Shutdown, ShutdownOutcome, TokioClock, drive,
};
use tokio::sync::{Mutex, mpsc};

use super::CLOSE_STEP;
use super::core::Core;
use super::host::{HandOver, LoopHost};
use super::replace::Requests;
use crate::supervisor::ModuleState;

/// Runs the shutdown loop over `modules` and passes its progress on to the command's watchers. Modules that it ended are
/// marked as stopped.
pub(super) async fn run_loop(
    core: &Arc<Core>,
    purpose: Purpose,
    modules: Vec<ModuleName>,
    limits: Limits,
    command: Option<&CommandId>,
    hand_over: Arc<Mutex<HandOver>>,
    (requests, receiver): Requests,
) -> ShutdownOutcome {
    for name in &modules {
        core.supervisor.mark_stopping(name);
    }
    let (progress, steps) = mpsc::unbounded_channel();
    let total = u32::try_from(modules.len()).unwrap_or(u32::MAX);
    let watcher = tokio::spawn(pass_on(Arc::clone(core), command.cloned(), steps, total));
    let no_more = progress.clone();
    let host = Arc::new(LoopHost { core: Arc::clone(core), hand_over, requests, progress });
    let begun = Shutdown::begin(purpose, modules, limits, TokioClock.now());
    let outcome = drive(host, begun, &TokioClock, receiver).await;
    if outcome.ending == Ending::Ended || outcome.ending == Ending::StoppedInstead {
        for module in &outcome.modules {
            core.supervisor.end(&module.name, ModuleState::Stopped);
        }
    }
    // Said, because a module that blocks its thread keeps the host and so the channel. Nobody watches if it cannot be said.
    drop(no_more.send(None));
    if tokio::time::timeout(CLOSE_STEP, watcher).await.is_err() {
        tracing::warn!("not all steps of the shutdown are in the journal");
    }
    outcome
}

/// Writes each step into the journal and the log, with how many of the `total` modules are through its stage.
async fn pass_on(
    core: Arc<Core>,
    command: Option<CommandId>,
    mut steps: mpsc::UnboundedReceiver<Option<Progress>>,
    total: u32,
) {
    let mut through: BTreeMap<&str, u32> = BTreeMap::new();
    while let Some(Some(Progress { stage, through: is_through, module, text })) = steps.recv().await
    {
        let done = through.entry(stage).or_default();
        *done += u32::from(is_through);
        tracing::info!(stage, module = module.as_ref().map(|name| name.as_str()), "{text}");
        if let Some(id) = &command {
            let mut step = Step::new(stage, text);
            if is_through {
                step = step.counted(*done, total);
            }
            if let Some(module) = module {
                step = step.of_module(module.as_str());
            }
            core.progress(id, step).await;
        }
    }
}
