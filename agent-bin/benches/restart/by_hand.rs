//! Restarts without a service manager: by the helper and in place.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::Pid;
use serde_json::json;

use crate::agent::Agent;
use crate::by_helper::{by_helper, is_restarted};
use crate::minimal::minimal_start;
use crate::opened::Opened;
use crate::{Findings, ROUNDS};

/// ms more than a minimal program needs.
const APART: f64 = 10.0;

/// ms from Enter to the confirmation.
const ENTER: f64 = 300.0;

/// MB of memory of an agent that has nothing to do.
const RESIDENT: f64 = 15.0;

pub(crate) fn measure(found: &mut Findings, method: &str) -> Result<(), String> {
    eprintln!("measuring restarts by {method}, {ROUNDS} times");
    let limits = "commands: {max_restarts_per_hour: 0}";
    let mut agent = Agent::new(&format!("restart: {{method: {method}}}\n{limits}\n"))?;
    agent.start()?;
    let (mut downtimes, mut minimals) = (Vec::new(), Vec::new());
    let (mut enters, mut residents) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        minimals.push(minimal_start(&agent.socket)?);
        let (downtime, enter) = match method {
            "helper" => by_helper(&mut agent)?,
            _ => in_place(&agent)?,
        };
        downtimes.push(downtime);
        enters.push(enter);
        residents.push(resident(agent.pid()?)?);
    }
    let apart: Vec<f64> =
        downtimes.iter().zip(&minimals).map(|(downtime, minimal)| downtime - minimal).collect();
    found.measures.extend([
        json!({ "name": format!("{method}: old process to READY"), "unit": "ms", "of": downtimes }),
        json!({ "name": format!("{method}: the same - minimal program"), "unit": "ms", "of": apart, "at_most": APART }),
        json!({ "name": format!("{method}: the same / minimal program"), "unit": "times", "of": downtimes, "per": minimals }),
        json!({ "name": format!("{method}: Enter to confirmed"), "unit": "ms", "of": enters, "at_most": ENTER }),
        json!({ "name": format!("{method}: resident, idle"), "unit": "MB", "of": residents, "at_most": RESIDENT }),
    ]);
    agent.stop()
}

/// As [`by_helper`], of a process that ends by becoming another program: when the file of that program was opened last before READY.
fn in_place(agent: &Agent) -> Result<(f64, f64), String> {
    let (opened, over) = (Opened::watch(crate::program())?, AtomicBool::new(false));
    let began = Instant::now();
    let (ready, moments, record) = thread::scope(|scope| {
        let ready = scope.spawn(|| agent.socket.until_ready());
        let moments = scope.spawn(|| opened.moments(&over));
        let record = agent.ask(&["restart"]).map(|record| (record, began.elapsed()));
        let ready = ready.join();
        over.store(true, Ordering::Release);
        (ready, moments.join(), record)
    });
    let (record, enter) = record?;
    is_restarted(&record, "exec")?;
    let ready = ready.map_err(|_| "the thread that hears READY has panicked")??;
    let moments = moments.map_err(|_| "the thread that watches the program has panicked")??;
    let exec = moments.into_iter().rfind(|moment| *moment < ready);
    let exec = exec.ok_or("the program was not opened by the restart")?;
    Ok((ready.duration_since(exec).as_secs_f64() * 1e3, enter.as_secs_f64() * 1e3))
}

/// MB of memory that a process uses, as the kernel counts it.
pub(crate) fn resident(pid: Pid) -> Result<f64, String> {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
    let kib = kib.and_then(|kib| kib.parse::<f64>().ok());
    kib.map(|kib| kib * 1024.0 / 1e6).ok_or_else(|| format!("{path} says nothing of VmRSS"))
}
