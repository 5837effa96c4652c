//! What a restart came to in numbers: computed from stamps of the clock that spans processes, never from the time of day.

use std::collections::BTreeMap;

use module_api::ModuleName;
use restart::{Outcome, Stamp, Ticket, Verdict};
use serde_json::{Value, json};

use super::why;
use crate::restart_history::{EventGap, RestartRecord};

/// The phases in their order, for those that were reached within one millisecond.
const PHASES: [&str; 12] = [
    "ordered",
    "checked",
    "drained",
    "committed",
    "requested",
    "closed",
    "stopped",
    "started",
    "locked",
    "opened",
    "running",
    "confirmed",
];

/// The process that confirms.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewProcess {
    pub(super) pid: i32,
    pub(super) generation: u64,
}

/// Everything that is known of a restart when it is confirmed.
pub(super) struct Account<'a> {
    pub(super) ticket: &'a Ticket,
    pub(super) verdict: &'a Verdict,
    pub(super) outcome: Outcome,
    /// The phases of the new process.
    pub(super) stamps: &'a [Stamp],
    pub(super) not_running: &'a [(ModuleName, String)],
    /// Why the new process goes on with the configuration that was checked, if it does.
    pub(super) config_problem: Option<&'a str>,
    pub(super) new: NewProcess,
}

impl Account<'_> {
    /// All phases in their order. Each boot has a clock of its own: after a reboot only those before it are comparable.
    fn timeline(&self) -> Vec<&Stamp> {
        let new = if *self.verdict == Verdict::Rebooted { &[] } else { self.stamps };
        let mut timeline: Vec<&Stamp> = self.ticket.stamps.iter().chain(new).collect();
        let place = |stamp: &Stamp| PHASES.iter().position(|phase| *phase == stamp.phase);
        timeline.sort_by_key(|stamp| (stamp.at_ms, place(stamp)));
        timeline
    }

    /// Milliseconds from one phase to another, if both were reached in one boot.
    fn between(&self, from: &str, to: &str) -> Option<u64> {
        let timeline = self.timeline();
        let at = |phase: &str| {
            timeline.iter().find(|stamp| stamp.phase == phase).map(|stamp| stamp.at_ms)
        };
        Some(at(to)?.saturating_sub(at(from)?))
    }

    /// What is kept of it. `modules` are those whose events are waited for.
    pub(super) fn record(&self, modules: &[ModuleName]) -> RestartRecord {
        let same_clock = *self.verdict != Verdict::Rebooted;
        let last = |module: &ModuleName| {
            self.ticket.last_events.get(module.as_str()).copied().filter(|_| same_clock)
        };
        let gap = |module: &ModuleName| (module.to_string(), EventGap::after(last(module)));
        RestartRecord {
            command_ids: self.ticket.command_ids.clone(),
            outcome: self.outcome,
            as_asked: matches!(self.verdict, Verdict::Restarted | Verdict::RestartedForced { .. }),
            method: self.ticket.method,
            old_generation: self.ticket.generation,
            downtime_ms: self.between("closed", "running"),
            total_ms: self.between("ordered", "confirmed"),
            events: modules.iter().map(gap).collect(),
        }
    }

    /// What the asker is told.
    pub(super) fn result(&self, events: &BTreeMap<String, EventGap>) -> Value {
        let timeline = self.timeline();
        let origin = timeline.first().map_or(0, |stamp| stamp.at_ms);
        json!({
            "outcome": self.outcome,
            "why": why(self.verdict),
            "method": self.ticket.method,
            "downtime_ms": self.between("closed", "running"),
            "total_ms": self.between("ordered", "confirmed"),
            "old": {"pid": self.ticket.old.pid, "generation": self.ticket.generation},
            "new": {"pid": self.new.pid, "generation": self.new.generation},
            "config_problem": self.config_problem,
            "modules": self.ticket.modules,
            "events": events,
            "not_running": self.not_running.iter()
                .map(|(name, reason)| json!({"name": name, "reason": reason})).collect::<Vec<_>>(),
            "timeline": timeline.iter()
                .map(|stamp| json!({"phase": stamp.phase, "at_ms": stamp.at_ms - origin})).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
