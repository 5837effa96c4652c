//! From a write to its event.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::mem::MaybeUninit;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use serde_json::Value;

use crate::Findings;
use crate::scale::{Bound, Scale};
use crate::watched::watching;

/// ms besides the debounce.
const LATENCY: f64 = 50.0;
/// ms for which changes are gathered.
const DEBOUNCE: f64 = 100.0;
/// Between two writes.
const PAUSE: Duration = Duration::from_millis(10);
/// Nothing takes so long that works.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn measure(found: &mut Findings, scale: &Scale) -> Result<(), String> {
    eprintln!("writing {} files, 100 a second", scale.writes);
    let folder = crate::folder()?;
    let mut agent = watching(&[folder.path()], true)?;
    let events = agent.path("state/events.ndjson");
    // The file is there once something is in it.
    let first = folder.path().join("first");
    fs::write(&first, "first").map_err(|error| error.to_string())?;
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(&events).is_ok_and(|text| text.contains("first")) {
        if Instant::now() > deadline {
            return Err("the first file has no event".to_owned());
        }
        thread::sleep(PAUSE);
    }
    let names: Vec<String> = (0..scale.writes).map(|number| format!("file-{number}")).collect();
    let (written, arrived) = thread::scope(|scope| {
        let arrivals = scope.spawn(|| arrivals(&events, names.len()));
        let written = write(folder.path(), &names);
        (written, arrivals.join())
    });
    let written = written?;
    let arrived = arrived.map_err(|_| "the thread that reads the events has panicked")??;
    let latencies = names.iter().zip(written).map(|(name, at)| {
        let came = arrived.get(name).ok_or_else(|| format!("{name} has no event"))?;
        Ok(came.saturating_duration_since(at).as_secs_f64() * 1e3)
    });
    let latencies: Vec<f64> = latencies.collect::<Result<_, String>>()?;
    found.measures.push(scale.measure(
        "from write to durable event",
        "ms",
        &latencies,
        Bound::AtMost(DEBOUNCE + LATENCY),
    ));
    agent.stop()
}

/// When each was written.
fn write(folder: &Path, names: &[String]) -> Result<Vec<Instant>, String> {
    let mut next = Instant::now();
    let mut written = Vec::new();
    for name in names {
        next += PAUSE;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        fs::write(folder.join(name), name).map_err(|error| format!("{name}: {error}"))?;
        written.push(Instant::now());
    }
    Ok(written)
}

/// When the first event of each file came, until there are `count`.
fn arrivals(events: &Path, count: usize) -> Result<HashMap<String, Instant>, String> {
    let failed = |error: Errno| format!("cannot watch {}: {error}", events.display());
    let queue = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
    add_watch(&queue, events, WatchFlags::MODIFY).map_err(failed)?;
    let mut lines = BufReader::new(fs::File::open(events).map_err(|error| error.to_string())?);
    let (mut arrived, mut line) = (HashMap::new(), String::new());
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    loop {
        let now = Instant::now();
        // What is not a whole line yet is read on at the next change.
        while lines.read_line(&mut line).map_err(|error| error.to_string())? > 0
            && line.ends_with('\n')
        {
            let event: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            line.clear();
            let path = event["file"]["path"].as_str().and_then(|path| path.rsplit('/').next());
            if let Some(name) = path.filter(|name| name.starts_with("file-")) {
                arrived.entry(name.to_owned()).or_insert(now);
            }
        }
        if arrived.len() == count {
            return Ok(arrived);
        }
        if poll(&mut [PollFd::new(&queue, PollFlags::IN)], Some(&patience)).map_err(failed)? == 0 {
            return Err(format!("{} of {count} files have events", arrived.len()));
        }
        let mut room = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&queue, &mut room);
        while reader.next().is_ok() {}
    }
}
