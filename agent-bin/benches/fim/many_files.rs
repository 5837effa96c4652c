//! Very many files: memory, and a restart that does not grow with them.

use std::path::Path;

use crate::Findings;
use crate::by_helper::by_helper;
use crate::memory::memory;
use crate::scale::{Bound, Scale, made_tree};
use crate::watched::{last_scan, until_idle, watching};

/// MB of the whole agent.
const MEMORY: f64 = 60.0;
/// Times the downtime with few files.
const DOWNTIME: f64 = 1.2;

pub(crate) fn measure(found: &mut Findings, scale: &Scale) -> Result<(), String> {
    // A million files are quicker made and removed in memory.
    let in_memory = Path::new("/dev/shm");
    let folder = if in_memory.is_dir() {
        tempfile::tempdir_in(in_memory).map_err(|error| format!("/dev/shm: {error}"))?
    } else {
        crate::folder()?
    };
    eprintln!("making {} files", scale.many);
    let many = made_tree(&folder.path().join("many"), scale.many)?;
    let few = made_tree(&folder.path().join("few"), scale.few)?;
    eprintln!("scanning them twice");
    let mut of_many = watching(&[&many], true)?;
    let first = last_scan(&until_idle(&of_many)?)?;
    let second = last_scan(&of_many.ask(&["fim", "scan"])?)?;
    let pid = of_many.pid()?;
    let (peak, now) = (memory(pid, "VmHWM")?, memory(pid, "VmRSS")?);
    found.measures.extend([
        scale.measure("many files: first scan", "ms", &[first], Bound::None),
        scale.measure("many files: second scan", "ms", &[second], Bound::None),
        scale.measure("many files: memory, highest", "MB", &[peak], Bound::AtMost(MEMORY)),
        scale.measure("many files: memory after two scans", "MB", &[now], Bound::AtMost(MEMORY)),
    ]);
    eprintln!("restarting, {} times", scale.restarts);
    let mut of_few = watching(&[&few], true)?;
    let (mut with_many, mut with_few) = (Vec::new(), Vec::new());
    for _ in 0..scale.restarts {
        with_few.push(by_helper(&mut of_few)?.0);
        with_many.push(by_helper(&mut of_many)?.0);
        until_idle(&of_many)?;
    }
    found.measures.extend([
        scale.measure("restart with few files, downtime", "ms", &with_few, Bound::None),
        scale.measure("restart with many files, downtime", "ms", &with_many, Bound::None),
        scale.quotient("downtime, many / few", &with_many, &with_few, Bound::AtMost(DOWNTIME)),
    ]);
    of_few.stop()?;
    of_many.stop()
}
