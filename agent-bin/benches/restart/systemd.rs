//! Restarts by systemd: the agent's beside those of a static C service in the same unit and the same box.

use std::time::Instant;

use serde_json::json;

use crate::systemd_box::SystemdBox;
use crate::{Findings, ROUNDS, floor, folder, program};

/// How many times the floor the median and the 95th percentile may be.
const MEDIAN: f64 = 1.5;
const P95: f64 = 2.0;

/// ms from Enter to the confirmation.
const ENTER: f64 = 300.0;

const NAME: &str = "systemd: downtime";

const CONFIG: &str = "agent: {log_level: warn}\nlogcollector: {files: [/srv/app.log]}\ncommands: {max_restarts_per_hour: 0}\n";

pub(crate) fn measure(found: &mut Findings) -> Result<(), String> {
    let folder = folder()?;
    let floor = match floor::compile(folder.path()) {
        Ok(floor) => floor,
        Err(reason) => {
            found.skip(NAME, &reason);
            return Ok(());
        }
    };
    let up = match SystemdBox::up()? {
        Ok(up) => up,
        Err(reason) => {
            found.skip(NAME, &reason);
            return Ok(());
        }
    };
    eprintln!("measuring restarts by systemd, {ROUNDS} times");
    let agent = program().canonicalize().map_err(|error| error.to_string())?;
    up.write("/etc/systemd/system/wazuh-agent.service", &floor::unit(&agent, "")?)?;
    up.write("/etc/systemd/system/floor.service", &floor::unit(&floor, "")?)?;
    up.write("/etc/wazuh-agent/wazuh-agent.yml", CONFIG)?;
    up.sh("systemctl daemon-reload && systemctl start wazuh-agent floor")?;
    let (mut agents, mut floors, mut enters) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        up.sh("systemctl reset-failed floor && systemctl restart floor")?;
        floors.push(up.downtime("floor")?);
        let began = Instant::now();
        up.sh(&format!(
            "{} restart --json | grep -q '\"outcome\": *\"restarted\"'",
            agent.display()
        ))?;
        enters.push(began.elapsed().as_secs_f64() * 1e3);
        agents.push(up.downtime("wazuh-agent")?);
    }
    found.measures.extend([
        json!({ "name": NAME, "unit": "ms", "of": agents }),
        json!({ "name": "systemd: downtime of a static C service", "unit": "ms", "of": floors }),
        json!({ "name": "systemd: downtime / C service", "unit": "times", "of": agents, "per": floors, "at_most": MEDIAN }),
        json!({
            "name": "systemd: 95th percentile / that of the C service", "unit": "times",
            "of": [p95(&agents)], "per": [p95(&floors)], "at_most": P95,
        }),
        json!({ "name": "systemd: Enter to confirmed, with the way into the box", "unit": "ms", "of": enters, "at_most": ENTER }),
    ]);
    Ok(())
}

/// The value that 95 of 100 do not exceed.
fn p95(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * 95).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
