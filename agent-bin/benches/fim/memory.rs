//! What the kernel says of a process's memory.

use std::fs;

use rustix::process::Pid;

/// MB of memory: `VmRSS` now, `VmHWM` at its highest.
pub(crate) fn memory(pid: Pid, key: &str) -> Result<f64, String> {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let kib = text.lines().find_map(|line| {
        line.strip_prefix(key)?.strip_prefix(':')?.split_whitespace().next()?.parse::<f64>().ok()
    });
    kib.map(|kib| kib * 1024.0 / 1e6).ok_or_else(|| format!("{path} says nothing of {key}"))
}
