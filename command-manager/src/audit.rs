//! The audit trail: one log record for each command that is accepted, refused or finished.
//!
//! Records have the target `audit` and level info. Text that came from outside is written escaped, so that nobody can
//! forge a second record with a line break.

use std::fmt;

use tracing::info;

use crate::{CommandId, CommandRecord, Envelope, Origin, Peer};

/// Writes the audit record of a command that was refused before it reached the journal, for instance because it could
/// not be read (then there is no `envelope`) or because `peer` may not ask. [`CommandManager::accept`] writes its own.
///
/// [`CommandManager::accept`]: crate::CommandManager::accept
pub fn audit_refused(envelope: Option<&Envelope>, peer: Option<&Peer>, outcome: &str) {
    refused(envelope.and_then(|envelope| envelope.id.as_ref()), envelope, peer, outcome);
}

pub(crate) fn refused(
    id: Option<&CommandId>,
    envelope: Option<&Envelope>,
    peer: Option<&Peer>,
    outcome: &str,
) {
    info!(
        target: "audit",
        id = id.map_or("-", CommandId::as_str),
        "type" = envelope.map_or("-", |envelope| envelope.kind.as_str()),
        who = %Who(peer),
        from = %From(envelope.map(|envelope| &envelope.origin)),
        reason = ?envelope.and_then(|envelope| envelope.reason.as_deref()).unwrap_or(""),
        outcome = ?outcome,
        duration_ms = 0,
        "command refused"
    );
}

pub(crate) fn accepted(record: &CommandRecord) {
    info!(
        target: "audit",
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
        let text = self.0.history.last().map_or("", |entry| entry.text.as_str());
        write!(f, "{} (error {}): {text:?}", self.0.status, self.0.error)
    }
}

struct Who<'a>(Option<&'a Peer>);

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
        write!(f, "module={:?} server={:?}", origin.module_name, origin.server_name)
    }
}
