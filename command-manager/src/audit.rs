//! The audit trail: one log record for each command that is accepted, refused or finished.
//!
//! Records have the target `audit` and level info. Text that came from outside is written escaped, so that nobody can
//! forge a second record with a line break.

use std::fmt;

use jiff::Timestamp;
use tracing::info;

use crate::{CommandId, CommandRecord, CommandType, Envelope, Origin, Peer};

/// Writes the audit record of a command that was refused before it reached the journal, for instance because it could
/// not be read (then there is no `envelope`) or because `peer` may not ask. [`CommandManager::accept`] writes its own.
///
/// [`CommandManager::accept`]: crate::CommandManager::accept
pub fn audit_refused(
    envelope: Option<&Envelope>,
    peer: Option<&Peer>,
    outcome: &str,
    at: Timestamp,
) {
    let asked = Asked {
        id: envelope.and_then(|envelope| envelope.id.clone()),
        kind: envelope.map(|envelope| envelope.kind),
        origin: envelope.map(|envelope| envelope.origin.clone()),
        reason: envelope.and_then(|envelope| envelope.reason.clone()),
        peer: peer.cloned(),
    };
    refused(&asked, outcome, at);
}

/// What is audited of a command that is not in the journal.
pub(crate) struct Asked {
    id: Option<CommandId>,
    kind: Option<CommandType>,
    origin: Option<Origin>,
    reason: Option<String>,
    peer: Option<Peer>,
}

impl Asked {
    pub(crate) fn new(id: &CommandId, envelope: &Envelope, peer: Option<&Peer>) -> Self {
        Self {
            id: Some(id.clone()),
            kind: Some(envelope.kind),
            origin: Some(envelope.origin.clone()),
            reason: envelope.reason.clone(),
            peer: peer.cloned(),
        }
    }
}

pub(crate) fn refused(asked: &Asked, outcome: &str, at: Timestamp) {
    info!(
        target: "audit",
        %at,
        id = asked.id.as_ref().map_or("-", CommandId::as_str),
        "type" = asked.kind.map_or("-", CommandType::as_str),
        who = %Who(asked.peer.as_ref()),
        from = %From(asked.origin.as_ref()),
        reason = ?asked.reason.as_deref().unwrap_or(""),
        outcome = ?outcome,
        duration_ms = 0,
        "command refused"
    );
}

pub(crate) fn accepted(record: &CommandRecord) {
    info!(
        target: "audit",
        at = %record.accepted_at,
        id = record.id.as_str(),
        "type" = record.kind.as_str(),
        who = %Who(record.requester.as_ref()),
        from = %From(Some(&record.origin)),
        reason = ?record.reason.as_deref().unwrap_or(""),
        outcome = record.status.as_str(),
        duration_ms = 0,
        "command accepted"
    );
}

pub(crate) fn finished(record: &CommandRecord) {
    info!(
        target: "audit",
        at = %record.finished_at.unwrap_or(record.accepted_at),
        id = record.id.as_str(),
        "type" = record.kind.as_str(),
        who = %Who(record.requester.as_ref()),
        from = %From(Some(&record.origin)),
        reason = ?record.reason.as_deref().unwrap_or(""),
        outcome = ?Outcome(record),
        duration_ms = duration_ms(record),
        "command finished"
    );
}

/// From acceptance to the end. By the wall clock, because it may span processes and reboots; 0 if that went back.
fn duration_ms(record: &CommandRecord) -> i64 {
    let finished_at = record.finished_at.unwrap_or(record.accepted_at);
    (finished_at.as_millisecond() - record.accepted_at.as_millisecond()).max(0)
}

struct Outcome<'a>(&'a CommandRecord);

impl fmt::Debug for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (error {}): {:?}", self.0.status, self.0.error, self.0.text())
    }
}

pub(crate) struct Who<'a>(pub(crate) Option<&'a Peer>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(peer) = self.0 else { return f.write_str("-") };
        write!(f, "uid={} gid={}", peer.uid, peer.gid)?;
        if let Some(pid) = peer.pid {
            write!(f, " pid={pid}")?;
        }
        if let Some(executable) = &peer.executable {
            write!(f, " executable={executable:?}")?;
        }
        Ok(())
    }
}

struct From<'a>(Option<&'a Origin>);

impl fmt::Display for From<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(origin) = self.0 else { return f.write_str("-") };
        write!(f, "module={:?} server={:?}", origin.module_name, origin.server_name)?;
        if origin.user.is_empty() { Ok(()) } else { write!(f, " user={:?}", origin.user) }
    }
}
