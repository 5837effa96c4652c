//! The lines of the agent's event file, as far as the replay needs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::attributes::{Attributes, path};

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Created,
    Modified,
    Deleted,
    Moved,
}

/// One change that was reported.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) action: Action,
    pub(crate) path: PathBuf,
    /// Where a moved thing was.
    pub(crate) previous: Option<PathBuf>,
    pub(crate) attributes: Attributes,
    pub(crate) changed: BTreeSet<String>,
    pub(crate) old: Attributes,
    /// It came and went before anybody could look.
    pub(crate) short_lived: bool,
    /// The whole line, for people.
    pub(crate) line: String,
}

/// All that the module reported.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    pub(crate) events: Vec<Event>,
    /// How often it told each other thing: gaps, baselines.
    pub(crate) states: BTreeMap<String, u32>,
    /// How many events were detected in each way.
    pub(crate) detected: BTreeMap<String, u32>,
    /// Lines that are no events as they are described.
    pub(crate) malformed: Vec<String>,
}

impl Reported {
    /// Reads the lines of the event file; the last one does not count until it is whole.
    pub(crate) fn read(text: &str) -> Self {
        let mut reported = Self::default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            if let Err(wrong) = reported.add(line.trim_end()) {
                reported.malformed.push(format!("{wrong}: {}", line.trim_end()));
            }
        }
        reported
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if value["module"] != "fim" {
            return Ok(());
        }
        if value["event"]["kind"] != "event" {
            let action = value["event"]["action"].as_str().ok_or("no event.action")?;
            *self.states.entry(action.to_owned()).or_default() += 1;
            return Ok(());
        }
        let detected = value["fim"]["detected"].as_str().ok_or("no fim.detected")?;
        *self.detected.entry(detected.to_owned()).or_default() += 1;
        self.events.push(Event::read(&value, line)?);
        Ok(())
    }

    /// How many gaps were told of.
    pub(crate) fn gaps(&self) -> u32 {
        self.states
            .iter()
            .filter(|(action, _)| action.contains("gap"))
            .map(|(_, times)| times)
            .sum()
    }
}

impl Event {
    fn read(value: &Value, line: &str) -> Result<Self, String> {
        let (action, kind) = match value["event"]["action"].as_str() {
            Some("created") => (Action::Created, "creation"),
            Some("modified") => (Action::Modified, "change"),
            Some("deleted") => (Action::Deleted, "deletion"),
            Some("moved") => (Action::Moved, "change"),
            other => return Err(format!("event.action is {other:?}")),
        };
        if value["event"]["type"][0] != kind || value["event"]["category"][0] != "file" {
            return Err("event.type or event.category does not fit the action".to_owned());
        }
        let changed = value["fim"]["changed"].as_array().into_iter().flatten();
        Ok(Self {
            id: value["id"].as_str().ok_or("no id")?.to_owned(),
            action,
            path: path(&value["file"], "path")?.ok_or("no file.path")?,
            previous: path(&value["fim"], "previous_path")?,
            attributes: Attributes::of_event(&value["file"])?,
            changed: changed.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            old: Attributes::of_event(&value["fim"]["old"])?,
            short_lived: value["fim"]["short_lived"] == true,
            line: line.to_owned(),
        })
    }

    /// Whether it says the same of the same path, whenever and however that was noticed.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let said = |event: &Self| {
            (event.action, event.path.clone(), event.previous.clone(), event.short_lived)
        };
        said(self) == said(other) && self.attributes == other.attributes && self.old == other.old
    }

    /// Whether it says something of what was at `path` at some time.
    pub(crate) fn is_about(&self, path: &Path) -> bool {
        let moved_it = || {
            self.action == Action::Moved
                && (path.starts_with(&self.path)
                    || self.previous.as_ref().is_some_and(|previous| path.starts_with(previous)))
        };
        self.path == path || moved_it()
    }
}
