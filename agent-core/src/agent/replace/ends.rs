//! The ends of a restart that does not take place, and what is taken back then.

use std::time::Duration;

use command_manager::{CommandId, ErrorCode, Finish};
use restart::ShutdownOutcome;
use serde_json::json;

use crate::agent::core::Core;
use crate::agent::host::{HandOver, Way};

/// How long the helper may take to say that it is still there. It has nothing else to do; a loaded machine may need a while.
const HELPER_PATIENCE: Duration = Duration::from_secs(2);

/// Asks the helper, if there is one, whether it will start the next agent: after this process nobody else does. One that
/// hangs is ended, since it would take the next agent for this one; and why it is lost is returned.
pub(super) async fn helper_lost(hand_over: &mut HandOver) -> Option<String> {
    let helper = hand_over.call_off.take()?;
    if helper.helper_answers(HELPER_PATIENCE).await {
        return None;
    }
    let reason = "the restart helper does not answer".to_owned();
    Some(match helper.call_off() {
        Ok(()) => reason,
        Err(error) => format!("{reason} and cannot be ended: {error}"),
    })
}

/// Ends a restart that an operator's stop has overtaken, with all that had joined it.
pub(super) async fn finish_at_the_end(core: &Core, id: &CommandId, joined: &[CommandId]) {
    for id in joined.iter().chain([id]) {
        core.finish_at_the_end(id, overtaken()).await;
    }
}

/// Takes back what was asked of the controller, and the ticket. Returns what had joined the restart.
pub(super) fn withdraw(hand_over: HandOver) -> Vec<CommandId> {
    if let Some(Way::Exec(_, Some(watchdog))) = hand_over.way {
        watchdog.disarm();
    }
    if let Some(call_off) = hand_over.call_off
        && let Err(error) = call_off.call_off()
    {
        tracing::warn!(%error, "the restart could not be called off at the controller");
    }
    if let Some(ticket) = hand_over.ticket
        && let Err(error) = ticket.withdraw()
    {
        tracing::error!(%error, "the ticket of a restart that was called off could not be removed");
    }
    hand_over.joined
}

pub(super) fn log_unclean(outcome: &ShutdownOutcome) {
    for module in outcome.modules.iter().filter(|module| !module.notes.is_empty()) {
        tracing::warn!(module = %module.name, notes = ?module.notes, "module did not end cleanly");
    }
}

/// The end of a restart that an operator's stop overtook.
pub(crate) fn overtaken() -> Finish {
    Finish::failure(ErrorCode::OvertakenByStop, "the agent was stopped")
        .with_result(json!({"outcome": "stopped_instead"}))
}

/// The end of a restart that did not take place; the agent runs on.
pub(crate) fn not_restarted(error: ErrorCode, reason: String) -> Finish {
    let result = json!({"outcome": "not_restarted", "reason": reason});
    Finish::failure(error, reason).with_result(result)
}
