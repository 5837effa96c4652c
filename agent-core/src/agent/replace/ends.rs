//! The ends of a restart that does not take place, and what is taken back then.

use std::time::Duration;

use command_manager::{CommandId, ErrorCode, Finish};
use restart::{Ending, ShutdownOutcome};
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

/// How the loop ended, now that the controller's answer is known: a SIGTERM that came before an answer by which nobody sends
/// one was an operator's stop, and so was one before a refusal (`answered`, and no way).
pub(super) fn true_ending(outcome: &ShutdownOutcome, way: Option<&Way>, answered: bool) -> Ending {
    match way {
        Some(Way::Exec(..) | Way::ExitWith75) if outcome.unanswered_sigterm => {
            Ending::StoppedInstead
        }
        None if outcome.unanswered_sigterm && answered => Ending::StoppedInstead,
        Some(_) | None => outcome.ending.clone(),
    }
}

/// Why nobody starts the successor, if so: as the loop was told, or as the controller finds out now.
pub(super) async fn why_lost(
    core: &Core,
    outcome: &ShutdownOutcome,
    way: Option<&Way>,
) -> Option<String> {
    match (&outcome.replacement_lost, way) {
        (Some(reason), _) => Some(reason.clone()),
        (None, Some(Way::End)) => core.controller.why_lost().await,
        (None, _) => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sigterm_is_an_operators_if_the_controller_turns_out_to_send_none() {
        let ending_if = |unanswered_sigterm, way: Option<Way>, answered| {
            let outcome = ShutdownOutcome {
                ending: Ending::Ended,
                modules: Vec::new(),
                took: Duration::ZERO,
                late_answers: 0,
                replacement_lost: None,
                unanswered_sigterm,
            };
            true_ending(&outcome, way.as_ref(), answered)
        };
        let ending = |unanswered_sigterm, way| ending_if(unanswered_sigterm, way, true);
        assert_eq!(ending(true, Some(Way::ExitWith75)), Ending::StoppedInstead);
        assert_eq!(ending(true, Some(Way::End)), Ending::Ended, "it was the controller's");
        assert_eq!(ending(true, None), Ending::StoppedInstead, "nobody was asked: refused");
        assert_eq!(ending_if(true, None, false), Ending::Ended, "judged by what comes next");
        assert_eq!(ending(false, Some(Way::ExitWith75)), Ending::Ended);
    }
}
