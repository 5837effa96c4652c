//! The start of an agent whose folder is full, beside the start of a minimal program.

use std::fs;

use serde_json::json;

use crate::agent::Agent;
use crate::minimal::minimal_start;
use crate::{Findings, ROUNDS, loaded_folder};

/// ms from the spawn to READY.
const START: f64 = 20.0;

pub(crate) fn measure(found: &mut Findings) -> Result<(), String> {
    eprintln!("filling a state folder");
    let mut agent = Agent::new("")?;
    loaded_folder::fill(&mut agent)?;
    let (state, kept) = (agent.path("state"), agent.path("kept"));
    fs::rename(&state, &kept).map_err(|error| error.to_string())?;
    eprintln!("measuring the start, {ROUNDS} times");
    let (mut agents, mut minimals) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        loaded_folder::copy(&kept, &state)
            .map_err(|error| format!("cannot copy the folder: {error}"))?;
        minimals.push(minimal_start(&agent.socket)?);
        agents.push(agent.start()?);
        is_full(&agent)?;
        agent.kill();
    }
    let apart: Vec<f64> =
        agents.iter().zip(&minimals).map(|(agent, minimal)| agent - minimal).collect();
    found.measures.extend([
        json!({ "name": "start with a full folder, to READY", "unit": "ms", "of": agents, "at_most": START }),
        json!({ "name": "start of a minimal tokio program, to READY", "unit": "ms", "of": minimals }),
        json!({ "name": "start / minimal program", "unit": "times", "of": agents, "per": minimals }),
        json!({ "name": "start - minimal program", "unit": "ms", "of": apart }),
    ]);
    Ok(())
}

/// Fails when something is missing that should have been there: it would be measured without.
fn is_full(agent: &Agent) -> Result<(), String> {
    let newest = agent.ask(&["commands", "list", "--limit", "1"])?;
    let file = fs::metadata(agent.path("state/events.db")).map_err(|error| error.to_string())?;
    let enough = file.len() / u64::from(loaded_folder::EVENTS) > 100;
    match newest["commands"].as_array().map(Vec::len) {
        Some(1) if enough => Ok(()),
        _ => Err(format!("the folder is not full: {newest}, {} bytes of events", file.len())),
    }
}
