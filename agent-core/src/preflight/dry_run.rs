//! The same checks without a restart: nothing is stopped, and nothing is written into the journal.

use std::sync::Arc;
use std::time::Duration;

use command_manager::{CommandId, RestartRoom};
use module_api::ModuleName;
use restart::{Decision, Scope};
use tokio::time::timeout;

use super::report::{Finding, Grade, Looked, Report};
use super::{OF_AGENT, of_agent, state_folder, timed};
use crate::agent::core::Core;

/// The word for all modules.
const ALL: &str = "all";

/// What would become of a restart of the agent, or of `modules` if there are any. Waits for its turn for as long as `wait`;
/// without it, and while a restart is under way, only that is looked at.
pub(crate) async fn dry_run(
    core: &Arc<Core>,
    modules: &[String],
    force: bool,
    wait: Duration,
) -> Report {
    let (under_way, scope) = under_way(core, modules);
    let idle = under_way.result == Grade::Ok;
    let mut checks = vec![under_way];
    match scope {
        Scope::Modules(_) => checks.push(for_modules(core, idle).await),
        Scope::Agent => {
            checks.push(timed("hourly_limit", hourly_limit(core)).await);
            let wait = if idle { wait } else { Duration::ZERO };
            let turn = Arc::clone(&core.preflights).lock_owned();
            match timeout(wait, turn).await {
                Ok(_turn) if !wait.is_zero() => checks.extend(of_agent(core).await.findings),
                Ok(_) | Err(_) => checks.extend(OF_AGENT.map(skipped)),
            }
        }
    }
    Report::decide(checks, force)
}

/// Whether a restart of the agent would be accepted. Only a dry run looks at it: a command has been accepted already.
async fn hourly_limit(core: &Core) -> Looked {
    match core.commands.restart_room().await {
        Ok(room) => room_left(room),
        Err(error) => {
            Looked::warning(format!("the journal does not tell how many are left: {error}"))
        }
    }
}

fn room_left(room: RestartRoom) -> Looked {
    const KEY: &str = "commands.max_restarts_per_hour";
    let RestartRoom { limit, left, wait } = room;
    match wait {
        _ if limit == 0 => Looked::ok(format!("there is no limit ({KEY} is 0)")),
        Some(wait) => Looked::refused(format!(
            "all {limit} restarts within an hour are used up ({KEY}): ask again in {} s",
            wait.as_secs() + 1
        )),
        None if left == 1 && limit > 1 => {
            Looked::warning(format!("it would be the last of {limit} within an hour ({KEY})"))
        }
        None => Looked::ok(format!("{left} of {limit} within an hour are left")),
    }
}

fn skipped(name: &'static str) -> Finding {
    Looked::skipped("something else is under way; ask again when it has ended")
        .of(name, Duration::ZERO)
}

/// What a restart of modules would do with the state folder. A state that cannot be saved is noted in its outcome and
/// refuses nothing, because the old instance has not gone yet.
async fn for_modules(core: &Core, idle: bool) -> Finding {
    const NAME: &str = "state_folder";
    if !idle {
        return skipped(NAME);
    }
    let finding = timed(NAME, state_folder(core)).await;
    let result = if finding.result == Grade::Refused { Grade::Warning } else { finding.result };
    Finding { result, may_be_forced: false, ..finding }
}

/// What the restart would meet, and what it covers.
fn under_way(core: &Core, modules: &[String]) -> (Finding, Scope) {
    let known = core.supervisor.enabled().into_iter().collect();
    let scope = if modules.is_empty() {
        Scope::Agent
    } else if modules.iter().any(|name| name == ALL) {
        Scope::Modules(std::collections::BTreeSet::clone(&known))
    } else {
        // A name that no module can have is not among the known ones either, and said so below.
        Scope::Modules(modules.iter().filter_map(|name| ModuleName::new(name).ok()).collect())
    };
    let impossible: Vec<&str> = modules
        .iter()
        .filter(|name| name.as_str() != ALL && ModuleName::new(name).is_err())
        .map(String::as_str)
        .collect();
    let looked = if impossible.is_empty() {
        let decision = core.arbiter().decide(&scope, &known);
        met(decision, core.activity().state)
    } else {
        Looked::refused(format!("no module can have the name {}", impossible.join(", ")))
    };
    (looked.of("under_way", Duration::ZERO), scope)
}

fn met(decision: Decision<CommandId>, state: &str) -> Looked {
    match decision {
        Decision::Denied(denial) => Looked::refused(denial.to_string()),
        Decision::Joined { to } => {
            Looked::warning(format!("it would join the restart under way, command {to}"))
        }
        Decision::Overtakes { what } => {
            Looked::warning(format!("it would overtake the restart of modules, command {what}"))
        }
        Decision::Accepted if state == "running" => Looked::ok("nothing else is under way"),
        Decision::Accepted => Looked::warning(format!("it would wait: the agent is {state}")),
    }
}

#[cfg(test)]
mod tests {
    use restart::Denial;

    use super::*;

    #[test]
    fn the_limit_refuses_when_the_command_would_be_and_warns_before_the_last_one() {
        let looked = |limit, left, wait: Option<u64>| {
            room_left(RestartRoom { limit, left, wait: wait.map(Duration::from_secs) })
        };
        assert_eq!(looked(60, 59, None), Looked::ok("59 of 60 within an hour are left"));
        assert_eq!(looked(60, 1, None).grade, Grade::Warning);
        assert_eq!(looked(1, 1, None).grade, Grade::Ok, "there is no other");
        assert_eq!(looked(0, 0, None).grade, Grade::Ok);
        let refused = looked(60, 0, Some(1_799));
        assert_eq!((refused.grade, refused.may_be_forced), (Grade::Refused, false));
        assert!(refused.text.ends_with("ask again in 1800 s"), "{}", refused.text);
    }

    #[test]
    fn only_a_stop_or_an_unknown_module_refuses() {
        let id = || CommandId::new("c-1").unwrap();
        let grade = |decision, state| met(decision, state).grade;
        assert_eq!(grade(Decision::Accepted, "running"), Grade::Ok);
        assert_eq!(grade(Decision::Accepted, "restarting"), Grade::Warning);
        assert_eq!(grade(Decision::Joined { to: id() }, "running"), Grade::Warning);
        assert_eq!(grade(Decision::Overtakes { what: id() }, "running"), Grade::Warning);
        let denied = met(Decision::Denied(Denial::Stopping), "running");
        assert_eq!((denied.grade, denied.may_be_forced), (Grade::Refused, false));
    }
}
