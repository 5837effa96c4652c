//! An agent that watches something, and what its module `fim` tells.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::agent::Agent;

/// Longer than any scan takes here.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often a long scan is asked after.
const LOOK: Duration = Duration::from_millis(100);

/// A started agent that watches `paths`, after its first scan.
pub(crate) fn watching(paths: &[&Path], realtime: bool) -> Result<Agent, String> {
    let mut agent = Agent::new("")?;
    let directories: Vec<String> = paths
        .iter()
        .map(|path| format!("{{path: {}, realtime: {realtime}}}", path.display()))
        .collect();
    agent.configure_wholly(&configuration(&format!(
        "fim: {{directories: [{}]}}\n",
        directories.join(", ")
    )))?;
    agent.start()?;
    until_idle(&agent)?;
    Ok(agent)
}

/// A configuration of which nothing but `fim` has to do anything.
pub(crate) fn configuration(fim: &str) -> String {
    format!(
        "agent: {{log_level: warn}}\nlogcollector: {{enabled: false}}\ncommands: {{max_restarts_per_hour: 0}}\n{fim}"
    )
}

/// Waits until the first scan has ended and nothing is to be done; what the module tells then.
pub(crate) fn until_idle(agent: &Agent) -> Result<Value, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = agent.ask(&["fim", "status"])?;
        let at_rest = status["state"] == "idle" && status["scan"].is_null();
        if at_rest && !status["last_scan"].is_null() {
            return Ok(status);
        }
        if Instant::now() > deadline {
            return Err(format!("the module does not come to rest: {status}"));
        }
        thread::sleep(LOOK);
    }
}

/// ms of the last scan.
pub(crate) fn last_scan(told: &Value) -> Result<f64, String> {
    let ms = told["last_scan"]["duration_ms"].as_f64();
    ms.ok_or_else(|| format!("nothing of the last scan: {told}"))
}
