//! One restart by the helper process, and the times of it.

use std::thread;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::Value;

use crate::agent::Agent;

/// ms from the end of the old process to READY, and from Enter to the confirmation.
pub(crate) fn by_helper(agent: &mut Agent) -> Result<(f64, f64), String> {
    let pid = agent.pid()?;
    let old =
        pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("pid {pid:?}: {error}"))?;
    let ended = thread::spawn(move || -> Result<Instant, Errno> {
        poll(&mut [PollFd::new(&old, PollFlags::IN)], None)?;
        Ok(Instant::now())
    });
    let began = Instant::now();
    // Heard beside the command line, which returns only after the confirmation.
    let (ready, record) = thread::scope(|scope| {
        let ready = scope.spawn(|| agent.socket.until_ready());
        let record = agent.ask(&["restart"]).map(|record| (record, began.elapsed()));
        (ready.join(), record)
    });
    let (record, enter) = record?;
    is_restarted(&record, "helper")?;
    let ready = ready.map_err(|_| "the thread that hears READY has panicked")??;
    let ended = ended.join().map_err(|_| "the watch of the old process has panicked")?;
    let ended = ended.map_err(|error| format!("cannot watch the old process: {error}"))?;
    agent.reap();
    let downtime = ready.checked_duration_since(ended).ok_or("READY came before the end")?;
    Ok((downtime.as_secs_f64() * 1e3, enter.as_secs_f64() * 1e3))
}

/// Fails when `record` does not tell of a restart by `method`.
pub(crate) fn is_restarted(record: &Value, method: &str) -> Result<(), String> {
    let result = &record["result"];
    if result["outcome"] == "restarted" && result["method"] == method {
        return Ok(());
    }
    Err(format!("no restart by {method}: {record}"))
}
