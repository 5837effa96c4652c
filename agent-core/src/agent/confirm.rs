//! The confirmation of a restart: judges the ticket, waits until the modules run, and finishes the commands.

mod account;
mod first_events;

use std::sync::Arc;

use command_manager::{CommandId, ErrorCode, Finish};
use module_api::ModuleName;
use restart::{Outcome, Stamp, Ticket, Verdict};
use serde_json::json;

use super::core::Core;
use crate::supervisor::{ModuleState, ModuleStatus};
use account::{Account, NewProcess};

/// Confirms the restart that `ticket` stands for, and removes the ticket when its commands are finished.
pub(crate) async fn confirm(
    core: Arc<Core>,
    ticket: Ticket,
    verdict: Verdict,
    mut stamps: Vec<Stamp>,
) {
    let within = core.config().config.restart.confirm_timeout;
    // What is quarantined does not come back by itself, so it is not waited for.
    let settled = tokio::time::timeout(within, core.supervisor.until_settled());
    let statuses = settled.await.unwrap_or_else(|_| core.supervisor.statuses());
    let not_running = not_running(statuses);
    stamps.push(Stamp::now("confirmed"));
    let config_problem = core.config().instead_of.clone();
    let as_wanted = not_running.is_empty() && config_problem.is_none();
    let outcome = if as_wanted { verdict.outcome() } else { Outcome::Degraded };
    let new = NewProcess { pid: core.identity.pid, generation: core.generation };
    let account = Account {
        ticket: &ticket,
        verdict: &verdict,
        outcome,
        stamps: &stamps,
        not_running: &not_running,
        config_problem: config_problem.as_deref(),
        new,
    };
    let mut record = account.record(&core.supervisor.enabled());
    first_events::look(&core, &mut record);
    let result = account.result(&record.events);
    core.history.put(record.clone());
    let end = finish(outcome, &verdict, &not_running, config_problem.as_deref());
    let end = end.with_result(result.clone());
    tracing::info!(?outcome, why = why(&verdict), commands = ?ticket.command_ids, "restart judged");
    if outcome != Outcome::Restarted {
        core.warn("restart_not_clean", &end.text).await;
    }
    core.activity().last_restart = Some(result);
    // Before anybody is told: a process that is killed after that has its ticket judged by the next one, which cannot measure.
    first_events::store(&core).await;
    for id in ids(&ticket) {
        core.finish_for_sure(&id, end.clone()).await;
    }
    take_away(&core, &ticket);
    tokio::spawn(first_events::follow(core, record));
}

/// Ends a restart whose new process was stopped before it was confirmed.
pub(crate) async fn overtaken(core: &Core, ticket: &Ticket) {
    let end = Finish::failure(
        ErrorCode::OvertakenByStop,
        "the agent was stopped before the restart was confirmed",
    )
    .with_result(json!({"outcome": Outcome::StoppedInstead}));
    let mut all_written = true;
    for id in ids(ticket) {
        all_written &= core.finish_command(&id, end.clone()).await;
    }
    // With the ticket the next process can still judge what is not written.
    if all_written {
        take_away(core, ticket);
    }
}

/// The commands of the ticket, the one that was carried out last: when that is finished the queue goes on, and must not
/// find those that were joined to it still waiting.
fn ids(ticket: &Ticket) -> Vec<CommandId> {
    let parsed = ticket.command_ids.iter().rev().map(CommandId::new);
    parsed
        .filter_map(|id| {
            id.inspect_err(
                |error| tracing::error!(%error, "the ticket names a command that cannot exist"),
            )
            .ok()
        })
        .collect()
}

/// Removes the ticket, after its commands are finished: a crash in between finishes them again, which changes nothing.
/// Only that ticket: if its commands had ended before, the next restart may have left its own by now.
fn take_away(core: &Core, ticket: &Ticket) {
    let found = Ticket::load(&core.paths.state(super::TICKET));
    if let Ok(Some(other)) = &found
        && other.command_ids != ticket.command_ids
    {
        tracing::info!(commands = ?other.command_ids, "the ticket belongs to the next restart and stays");
        return;
    }
    if let Err(error) = Ticket::close(&core.paths.state(super::TICKET)) {
        tracing::error!(%error, "the next start will judge the ticket again");
    }
}

/// The modules that should run and do not, each with the reason.
fn not_running(statuses: Vec<ModuleStatus>) -> Vec<(ModuleName, String)> {
    let wanted = |status: &ModuleStatus| status.enabled && status.state != ModuleState::Running;
    let reason = |status: ModuleStatus| {
        let late = || "it did not start in time".to_owned();
        let reason = status.last_error.unwrap_or_else(late);
        if status.state == ModuleState::Quarantined {
            return (status.name, format!("quarantined: {reason}"));
        }
        (status.name, reason)
    };
    statuses.into_iter().filter(wanted).map(reason).collect()
}

/// What the asker is told. Success is said only of a new process in which every wanted module runs.
fn finish(
    outcome: Outcome,
    verdict: &Verdict,
    not_running: &[(ModuleName, String)],
    config_problem: Option<&str>,
) -> Finish {
    match outcome {
        Outcome::Restarted => Finish::success("the agent was restarted"),
        Outcome::RestartedForced => {
            Finish::success(format!("the agent was restarted, by force: {}", why(verdict)))
        }
        Outcome::Degraded => {
            Finish::failure(ErrorCode::Degraded, what_is_missing(not_running, config_problem))
        }
        Outcome::NotRestarted
        | Outcome::StoppedInstead
        | Outcome::Rebooted
        | Outcome::StartedBySomeoneElse
        | Outcome::RolledBack => Finish::failure(ErrorCode::Failed, why(verdict)),
    }
}

/// What an agent that is back has not got, for people.
fn what_is_missing(not_running: &[(ModuleName, String)], config_problem: Option<&str>) -> String {
    let mut missing = Vec::new();
    if !not_running.is_empty() {
        let list: Vec<String> =
            not_running.iter().map(|(name, reason)| format!("{name} ({reason})")).collect();
        missing.push(format!("these modules do not run: {}", list.join(", ")));
    }
    missing.extend(config_problem.map(|why| {
        format!("the configuration broke after it was checked, and what was checked is used: {why}")
    }));
    format!("the agent is back, but {}", missing.join("; and "))
}

/// What the ticket shows, for people; empty when everything was as it should be.
fn why(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Restarted => String::new(),
        Verdict::RestartedForced { why } | Verdict::StartedBySomeoneElse { why } => why.clone(),
        Verdict::Rebooted => "the machine was booted before the restart was done".to_owned(),
        Verdict::SameProcess => "this process was not replaced".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wanted_module_that_does_not_run_is_named_with_the_reason() {
        let status = |name, state, enabled, error: Option<&str>| ModuleStatus {
            name: ModuleName::new(name).unwrap(),
            state,
            enabled,
            since: crate::wall_clock::now(),
            run: 1,
            failures: 1,
            last_error: error.map(ToOwned::to_owned),
            threads_left: 0,
        };
        let statuses = vec![
            status("fim", ModuleState::Quarantined, true, Some("no memory")),
            status("inventory", ModuleState::Failed, true, Some("no database")),
            status("logcollector", ModuleState::Running, true, Some("failed once")),
            status("rootcheck", ModuleState::Disabled, false, Some("failed before")),
            status("sca", ModuleState::Starting, true, None),
        ];
        let named = not_running(statuses).into_iter().map(|(name, why)| format!("{name}: {why}"));
        assert_eq!(
            named.collect::<Vec<_>>(),
            [
                "fim: quarantined: no memory",
                "inventory: no database",
                "sca: it did not start in time"
            ]
        );
    }
}
