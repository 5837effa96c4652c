//! How much memory the machine needs per module, seen as the growth of the process.

use std::fs;

use module_api::ModuleName;
use restart::{Answer, Clock, Event, Limits, Purpose, Shutdown, TokioClock};
use serde_json::{Value, json};

use crate::pace;

/// So many that the pages of the rest of the process do not matter.
const MODULES: usize = 200_000;

/// Bytes per module that the issue grants.
const TARGET: f64 = 1_024.0;

/// Must run before anything else: memory that was used and freed before would hide growth.
pub(crate) fn measure() -> Result<Vec<Value>, String> {
    eprintln!("measuring the memory of {MODULES} modules");
    let names = pace::names("module", MODULES)?;
    let asked = names.clone();
    let before = resident()?;
    let twins = pace::names("module", MODULES)?;
    let named = resident()?;
    let now = TokioClock.now();
    let (mut shutdown, effects) = Shutdown::begin(Purpose::End, asked, Limits::default(), now);
    let begun = resident()?;
    drop(effects);
    let idle = resident()?;
    end(&mut shutdown, &names)?;
    let ended = resident()?;
    drop((twins, shutdown));
    let per_module = |from: u64, to: u64| to.saturating_sub(from) as f64 / MODULES as f64;
    let of_names = per_module(before, named);
    let measure = |name: &str, value: f64, target: Option<f64>| {
        let name = format!("memory per module: {name}");
        json!({ "name": name, "unit": "bytes", "of": [value], "at_most": target })
    };
    Ok(vec![
        measure("its name", of_names, None),
        measure("machine, begun", per_module(named, idle), None),
        measure("effects of the beginning", per_module(idle, begun), None),
        measure("machine with its outcome", per_module(named, ended), None),
        measure(
            "at most, all of it together",
            of_names + per_module(named, begun.max(ended)),
            Some(TARGET),
        ),
    ])
}

/// Answers all calls, so that the machine holds all that it ever holds for modules without trouble.
fn end(shutdown: &mut Shutdown, names: &[ModuleName]) -> Result<(), String> {
    let now = TokioClock.now();
    for attempt in 1..=3 {
        for name in names {
            let answered = Event::Answered { module: name.clone(), attempt, answer: Answer::Done };
            drop(shutdown.step(now, answered));
        }
    }
    shutdown.outcome().map(|_| ()).ok_or_else(|| "the machine did not come to its end".to_owned())
}

/// Bytes of the process that are in memory.
fn resident() -> Result<u64, String> {
    let path = "/proc/self/status";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.map(|kib| kib * 1_024).ok_or_else(|| format!("no VmRSS in {path}"))
}
