//! Counts which of the written lines were delivered, how often.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// What became of the written lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines written.
    pub(super) written: u64,
    /// Events delivered, copies included.
    pub(super) delivered: u64,
    /// Lines that were written but never delivered.
    pub(super) lost: u64,
    /// Copies beyond the first.
    pub(super) duplicated: u64,
}

impl Tally {
    /// Counts the events in the NDJSON file `events` against lines 1 to `written`.
    pub(super) fn count(events: &Path, written: u64) -> Result<Self> {
        let file =
            File::open(events).with_context(|| format!("cannot read {}", events.display()))?;
        let mut copies: BTreeMap<u64, u64> = BTreeMap::new();
        for line in BufReader::new(file).lines() {
            if let Some(number) = line_number(&line?)? {
                *copies.entry(number).or_default() += 1;
            }
        }
        let lost = (1..=written).filter(|number| !copies.contains_key(number)).count();
        let delivered: u64 = copies.values().sum();
        let duplicated = delivered - u64::try_from(copies.len())?;
        Ok(Self { written, delivered, lost: u64::try_from(lost)?, duplicated })
    }
}

/// The number of the line that an event reports; `None` for the agent's own events.
fn line_number(event: &str) -> Result<Option<u64>> {
    let event: Value =
        serde_json::from_str(event).with_context(|| format!("not an event: {event:?}"))?;
    let Some(line) = event["event"]["original"].as_str() else { return Ok(None) };
    let number = line.strip_prefix("line ").and_then(|number| number.parse().ok());
    number.map(Some).with_context(|| format!("an event of a line that was never written: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(lines: &[&str], written: u64) -> Result<Tally> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let events: String = lines
            .iter()
            .map(|line| format!("{}\n", serde_json::json!({"event": {"original": line}})))
            .collect();
        std::fs::write(file.path(), events).unwrap();
        Tally::count(file.path(), written)
    }

    #[test]
    fn lost_and_repeated_lines_are_counted() {
        let tally = tally(&["line 1", "line 3", "line 3", "line 4"], 5).unwrap();
        assert_eq!(tally, Tally { written: 5, delivered: 4, lost: 2, duplicated: 1 });
    }

    #[test]
    fn half_a_line_is_an_error_and_not_a_line() {
        assert!(tally(&["line 1", "ine 2"], 2).is_err());
    }
}
