//! What a watch costs when nothing happens.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Pid;

use crate::Findings;
use crate::agent::Agent;
use crate::scale::{Bound, Scale};
use crate::watched::{configuration, watching};

/// Time for what follows a start.
const CALM: Duration = Duration::from_secs(2);

pub(crate) fn measure(found: &mut Findings, scale: &Scale) -> Result<(), String> {
    let paths: Vec<&Path> = scale.idle_watch.iter().map(Path::new).collect();
    let paths: Vec<&Path> = paths.into_iter().filter(|path| path.is_dir()).collect();
    eprintln!("watching {paths:?} idly, {} times", scale.rounds);
    let mut watching = watching(&paths, true)?;
    let mut without = Agent::new("")?;
    without.configure_wholly(&configuration("fim: {enabled: false}\n"))?;
    without.start()?;
    thread::sleep(CALM);
    let (mut with_watch, mut more) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let before = (wake_ups(watching.pid()?)?, wake_ups(without.pid()?)?);
        thread::sleep(scale.idle);
        let after = (wake_ups(watching.pid()?)?, wake_ups(without.pid()?)?);
        let per_second = |count: f64| count / scale.idle.as_secs_f64();
        with_watch.push(per_second(after.0 - before.0));
        more.push(per_second((after.0 - before.0) - (after.1 - before.1)).max(0.0));
    }
    found.measures.extend([
        scale.measure("idle watch: wake-ups", "1/s", &with_watch, Bound::None),
        scale.measure("idle watch: wake-ups more than without", "1/s", &more, Bound::AtMost(0.0)),
    ]);
    without.stop()?;
    watching.stop()
}

/// How often a thread of the process has waited for something and gone on.
fn wake_ups(pid: Pid) -> Result<f64, String> {
    let path = format!("/proc/{}/task", pid.as_raw_nonzero());
    let threads = fs::read_dir(&path).map_err(|error| format!("{path}: {error}"))?;
    let of_thread = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<f64>().ok()).unwrap_or(0.0)
    };
    // A thread that ends meanwhile does not count.
    let statuses = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("status")));
    Ok(statuses.flatten().map(of_thread).sum())
}
