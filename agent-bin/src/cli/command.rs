//! Commands that a person gives to the agent: restart, reload, stop.

use std::time::Duration;

use agent_core::control::ControlClient;
use module_api::ModuleName;
use serde_json::{Value, json};

use super::envelope::envelope;
use super::error::CliError;
use super::follow::Follower;
use super::outcome_text::outcome;
use super::screen::Screen;
use crate::args::Following;
use crate::exit::Exit;

/// A command with an id of its own, and how long to follow it.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) envelope: Value,
    pub(super) timeout: Duration,
}

impl Order {
    /// A restart of `modules`, or of the whole agent if none is named.
    pub(super) fn restart(modules: &[ModuleName], force: bool, following: Following) -> Self {
        let names: Vec<&str> = modules.iter().map(ModuleName::as_str).collect();
        if names.contains(&ALL) {
            return Self::new("restart-module", json!(ALL), force, following);
        }
        let target = if names.is_empty() { json!(ALL) } else { json!(names) };
        Self::new("restart-agent", target, force, following)
    }

    /// A reload of the configuration.
    pub(super) fn reload(following: Following) -> Self {
        Self::new("reload", json!("all"), false, following)
    }

    /// A stop of the agent.
    pub(super) fn stop(following: Following) -> Self {
        Self::new("stop", json!("all"), false, following)
    }

    fn new(kind: &str, target: Value, force: bool, following: Following) -> Self {
        let id = uuid::Uuid::now_v7().to_string();
        let envelope = envelope(&id, kind, target, following.reason.as_deref(), force);
        Self { id, envelope, timeout: following.timeout }
    }
}

/// The word for the whole agent, and as a module for all modules; no module has it as its name.
const ALL: &str = "all";

/// Gives the agent an order and follows it to its end, or with `no_wait` only until it is accepted.
pub(super) async fn give(
    client: &ControlClient,
    order: Order,
    no_wait: bool,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    let mut follower = Follower::new(client, order.id.clone(), order.timeout, screen);
    let accepted = follower.submit(&order.envelope).await?;
    if no_wait {
        screen.answer(&accepted.body, |_| format!("accepted as {}\n", order.id));
        return Ok(Exit::Success);
    }
    let record = follower.until_finished().await?;
    screen.answer(record.value(), |paint| outcome(&record, paint));
    Ok(record.exit())
}
