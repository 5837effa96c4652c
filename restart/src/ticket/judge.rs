//! Compares a ticket with the process that found it and says what the restart came to.
//!
//! Why each rule is safe: a pid is reused, so identities are compared whole; an exec in place keeps the identity, so
//! there the generation tells the new program from the old one; a helper becomes the new process without changing its
//! identity, so the one noted before is proof of who started it; systemd starts whatever it likes, so there the time
//! has to do.

use serde::{Deserialize, Serialize};

use super::{REQUESTED, Stage, Ticket};
use crate::{Method, ProcessIdentity};

/// How long after the last sign of the old process a start by systemd still counts as the restart asked for, in
/// milliseconds. Above every stop timeout and restart delay in use, below the time in which an operator comes back to
/// start a stopped agent. Suspend counts: after one, an operator's word is not taken for systemd's.
const LATE_AFTER_MS: u64 = 10 * 60 * 1000;

/// What a restart came to, as it is reported to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new process, and all wanted modules run.
    Restarted,
    /// A new process, but the old one was killed, crashed, or had to abandon modules.
    RestartedForced,
    /// A new process in which some modules did not start.
    Degraded,
    /// Called off; the old process goes on.
    NotRestarted,
    /// An operator's stop overtook the restart.
    StoppedInstead,
    /// The machine was booted in between.
    Rebooted,
    /// The agent runs again, but not because of this restart.
    StartedBySomeoneElse,
    /// The new version was not well; the one before it runs.
    RolledBack,
}

/// What the ticket proves by itself, before it is known how the modules start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The old process stopped in an orderly way and this one replaced it as asked.
    Restarted,
    /// This process is the replacement asked for, but the old one did not stop in an orderly way.
    RestartedForced {
        /// What was not orderly, for people.
        why: String,
    },
    /// The machine was booted since the ticket was written.
    Rebooted,
    /// This process came up in another way than the ticket asked for.
    StartedBySomeoneElse {
        /// What shows it, for people.
        why: String,
    },
    /// The ticket was written by this very process, which was not replaced.
    SameProcess,
}

impl Verdict {
    /// The outcome if all modules start.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Restarted => Outcome::Restarted,
            Self::RestartedForced { .. } => Outcome::RestartedForced,
            Self::Rebooted => Outcome::Rebooted,
            Self::StartedBySomeoneElse { .. } => Outcome::StartedBySomeoneElse,
            Self::SameProcess => Outcome::NotRestarted,
        }
    }
}

/// Compares `ticket` with the process `now` that found it, which has counted its start as `generation` and looks at
/// `at_ms` milliseconds after boot.
#[must_use]
pub fn judge(ticket: &Ticket, now: &ProcessIdentity, generation: u64, at_ms: u64) -> Verdict {
    if now.boot_id != ticket.old.boot_id {
        return Verdict::Rebooted;
    }
    if *now == ticket.old && generation == ticket.generation {
        return Verdict::SameProcess;
    }
    if let Some(mut why) = why_someone_else(ticket, now, generation, at_ms) {
        if ticket.stage == Stage::Committed {
            why.push_str("; the old process ended before it had stopped its modules");
        }
        return Verdict::StartedBySomeoneElse { why };
    }
    match why_forced(ticket, now, generation) {
        Some(why) => Verdict::RestartedForced { why },
        None => Verdict::Restarted,
    }
}

fn why_someone_else(
    ticket: &Ticket,
    now: &ProcessIdentity,
    generation: u64,
    at_ms: u64,
) -> Option<String> {
    if generation <= ticket.generation {
        return Some(format!(
            "generation {generation} does not follow the ticket's {}; was the state restored from a copy?",
            ticket.generation
        ));
    }
    if !ticket.stamps.iter().any(|stamp| stamp.phase == REQUESTED) {
        return Some("the old process ended before it had asked for its replacement".to_owned());
    }
    if *now == ticket.old {
        return None;
    }
    match ticket.method {
        Method::Helper | Method::Exec => {
            if ticket.successor.as_ref() == Some(now) {
                return None;
            }
            let reason = ticket.exec_failed.as_ref().map(|why| format!(": {why}"));
            let expected = ticket.successor.as_ref().map_or(0, |successor| successor.pid);
            Some(format!(
                "the replacement would have been process {expected}, this is {}{}",
                now.pid,
                reason.unwrap_or_default()
            ))
        }
        Method::Systemd => {
            let last = ticket.stamps.iter().map(|stamp| stamp.at_ms).max().unwrap_or(0);
            let gap_ms = at_ms.saturating_sub(last);
            (gap_ms > LATE_AFTER_MS).then(|| {
                format!("it came {} s after the last sign of the old process", gap_ms / 1000)
            })
        }
    }
}

fn why_forced(ticket: &Ticket, now: &ProcessIdentity, generation: u64) -> Option<String> {
    let mut reasons = Vec::new();
    if ticket.killed_by_helper {
        reasons.push("the helper killed the old process at the deadline".to_owned());
    }
    if ticket.stage == Stage::Committed && !ticket.killed_by_helper {
        reasons.push(
            "the old process was replaced or ended before it had stopped its modules".to_owned(),
        );
    }
    if ticket.stage == Stage::Stopped && !ticket.clean {
        reasons.push("not every module was ready, saved and stopped by itself".to_owned());
    }
    if let Some(why) = &ticket.exec_failed {
        reasons.push(format!("the recorded executable could not be started: {why}"));
    }
    if ticket.method != Method::Exec && *now == ticket.old {
        reasons.push(format!("it was replaced in place, not by {}", ticket.method));
    }
    let starts_between = generation.saturating_sub(ticket.generation).saturating_sub(1);
    if starts_between > 0 {
        reasons
            .push(format!("{starts_between} start(s) before this one did not get to confirm it"));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}
