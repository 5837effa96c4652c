//! What can happen to a command, each as one step inside a transaction.
//!
//! Every change of a status goes through [`status::next`]; a step that finds the command finished changes nothing.

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows::{self, NewRow, Stored};
use super::{Cancelling, Change, JournalError, Settings, outbox, queue};
use crate::status::{self, StatusEvent};
use crate::{
    CommandId, CommandRecord, CommandType, ErrorCode, Finish, HistoryEntry, Status, Step,
    restart_limit,
};

/// What became of a command that was to be accepted.
#[derive(Debug, PartialEq)]
pub(crate) enum Accepted {
    /// It is in the queue.
    New,
    /// It had expired before it came, and is finished.
    Expired(Box<CommandRecord>),
    /// It was accepted before, and is like this now.
    Known(Box<CommandRecord>),
    /// The id belongs to a command with other content.
    Conflict,
    /// There were too many restarts; there is room again after this time.
    TooManyRestarts(std::time::Duration),
}

/// What came of asking for the next command.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    /// Commands that are finished now because they had no attempt or no time left.
    pub(crate) ended: Vec<CommandRecord>,
    /// The command that is in progress now, with this attempt counted; `None` while what waits is excluded by what is
    /// under way, or nothing waits.
    pub(crate) started: Option<CommandRecord>,
}

/// Puts a command at the end of the queue, unless its id is known.
pub(super) fn accept(
    connection: &Connection,
    settings: &Settings,
    new: &NewRow,
) -> Result<Accepted, JournalError> {
    let NewRow { record, .. } = new;
    if rows::is_known(connection, &record.id)?
        && let Some(known) = rows::show(connection, &record.id)?
    {
        let same = asks_the_same(&known, record);
        return Ok(if same { Accepted::Known(Box::new(known)) } else { Accepted::Conflict });
    }
    let limit = settings.max_restarts_per_hour;
    if record.kind == CommandType::RestartAgent && limit > 0 {
        let before = queue::restarts(connection, limit)?;
        if let Some(wait) = restart_limit::wait(&before, limit, record.accepted_at) {
            return Ok(Accepted::TooManyRestarts(wait));
        }
    }
    let seq = rows::insert(connection, new)?;
    if record.expires_at.is_some_and(|at| at <= record.accepted_at) {
        let stored = Stored { seq, queued: true, record: record.clone() };
        let ended = expire(connection, settings, stored, record.accepted_at)?;
        return Ok(Accepted::Expired(Box::new(ended)));
    }
    Ok(Accepted::New)
}

/// Whether two askers under the same id want the same. Fields that nobody here knows may differ: they change nothing
/// in what is done.
fn asks_the_same(known: &CommandRecord, new: &CommandRecord) -> bool {
    let expiry = |record: &CommandRecord| record.expires_at.filter(|_| record.expiry_given);
    known.kind == new.kind
        && known.target == new.target
        && known.force == new.force
        && known.reason == new.reason
        && known.origin == new.origin
        && expiry(known) == expiry(new)
}

/// Begins an attempt at the command whose turn it is.
pub(super) fn claim(
    connection: &Connection,
    settings: &Settings,
    now: Timestamp,
) -> Result<Claim, JournalError> {
    let mut claim = Claim::default();
    // More than that are ended by the next claim, which follows this change.
    while claim.ended.len() < queue::AT_ONCE
        && let Some(mut next) = queue::next(connection)?
    {
        let most = settings.max_attempts;
        if next.record.has_expired(now) {
            claim.ended.push(expire(connection, settings, next, now)?);
            continue;
        }
        if next.record.attempts >= most {
            let text = format!("gave up after {} attempts without an end", next.record.attempts);
            let finish = Finish::failure(ErrorCode::GaveUp, text);
            claim.ended.push(end(connection, settings, next, &finish, now)?);
            continue;
        }
        next.queued = false;
        next.record.attempts += 1;
        let text = format!("attempt {} of {most}", next.record.attempts);
        advance(&mut next.record, StatusEvent::Started, Step::new("started", text), now)?;
        rows::update(connection, &next)?;
        claim.started = Some(next.record);
        break;
    }
    Ok(claim)
}

/// Ends some of the waiting commands whose time has passed.
pub(super) fn sweep(
    connection: &Connection,
    settings: &Settings,
    now: Timestamp,
) -> Result<Vec<CommandRecord>, JournalError> {
    let expired = queue::expired(connection, now)?;
    expired.into_iter().map(|stored| expire(connection, settings, stored, now)).collect()
}

/// Adds to the history; the status stays.
pub(super) fn progress(
    connection: &Connection,
    id: &CommandId,
    step: &Step,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        note(&mut stored.record, step.clone(), now);
        rows::update(connection, &stored)?;
        Ok(stored.record)
    })
}

/// Begins waiting commands together with another one, without an attempt of their own: what becomes of that becomes of them.
/// Returns those that still waited; the others have ended, or were begun, meanwhile.
pub(super) fn join(
    connection: &Connection,
    ids: &[CommandId],
    text: &str,
    now: Timestamp,
) -> Result<Vec<CommandId>, JournalError> {
    let mut joined = Vec::new();
    for id in ids {
        let Some(mut stored) = rows::by_id(connection, id)? else { continue };
        if stored.record.status != Status::Pending {
            continue;
        }
        stored.queued = false;
        advance(&mut stored.record, StatusEvent::Started, Step::new("joined", text), now)?;
        rows::update(connection, &stored)?;
        joined.push(id.clone());
    }
    Ok(joined)
}

/// Ends every waiting command of these types that was not begun, as one.
pub(super) fn finish_waiting(
    connection: &Connection,
    settings: &Settings,
    kinds: &[CommandType],
    finish: &Finish,
    now: Timestamp,
) -> Result<Vec<CommandRecord>, JournalError> {
    let waiting = queue::waiting(connection, kinds)?;
    waiting.into_iter().map(|stored| end(connection, settings, stored, finish, now)).collect()
}

/// Notes that the command `id` outlived the process that worked on it, and is left to whoever finishes it. One that this
/// has happened to more often than attempts are allowed is ended: each time but the first a process ended before it could.
pub(super) fn leave(
    connection: &Connection,
    settings: &Settings,
    id: &CommandId,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        let before = stored.record.history.iter().filter(|entry| entry.stage == LEFT).count();
        if before >= usize::try_from(settings.max_attempts).unwrap_or(usize::MAX) {
            let text =
                format!("gave up: the agent ended {before} times before this came to an end");
            let finish = Finish::failure(ErrorCode::GaveUp, text);
            return end(connection, settings, stored, &finish, now);
        }
        let text = "the process that worked on it has ended; what became of it is being found out";
        note(&mut stored.record, Step::new(LEFT, text), now);
        rows::update(connection, &stored)?;
        Ok(stored.record)
    })
}

/// The stage of a command that outlived its process.
const LEFT: &str = "left";

/// Lets a command that was broken off wait for its turn again; the status stays.
pub(super) fn requeue(
    connection: &Connection,
    id: &CommandId,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        stored.queued = true;
        note(&mut stored.record, Step::new("requeued", "is begun again in its turn"), now);
        rows::update(connection, &stored)?;
        Ok(stored.record)
    })
}

/// Ends a command.
pub(super) fn finish(
    connection: &Connection,
    settings: &Settings,
    id: &CommandId,
    finish: &Finish,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        let pending = stored.record.status == Status::Pending;
        if pending && finish.status.event() == StatusEvent::Succeeded {
            // Done together with another one: it was begun all the same, if not by an attempt of its own.
            let text = "done without an attempt of its own";
            advance(&mut stored.record, StatusEvent::Started, Step::new("started", text), now)?;
            rows::update(connection, &stored)?;
        }
        end(connection, settings, stored, finish, now)
    })
}

/// Ends a command that was not begun, because somebody does not want it any more.
pub(super) fn cancel(
    connection: &Connection,
    settings: &Settings,
    id: &CommandId,
    text: &str,
    now: Timestamp,
) -> Result<Cancelling, JournalError> {
    let Some(stored) = rows::by_id(connection, id)? else {
        let remembered = rows::remembered(connection, id)?.map(Box::new);
        return Ok(remembered.map_or(Cancelling::Unknown, Cancelling::AlreadyFinished));
    };
    if stored.record.status.is_finished() {
        return Ok(Cancelling::AlreadyFinished(Box::new(stored.record)));
    }
    // A stop does not wait for its turn: it takes effect as soon as it is accepted.
    if stored.record.status != Status::Pending || stored.record.kind == CommandType::Stop {
        return Ok(Cancelling::UnderWay(Box::new(stored.record)));
    }
    let finish = Finish::failure(ErrorCode::Cancelled, text);
    let ended = end(connection, settings, stored, &finish, now)?;
    Ok(Cancelling::Cancelled(Box::new(ended)))
}

/// Makes a change to the command `id`, unless it is finished.
fn change(
    connection: &Connection,
    id: &CommandId,
    make: impl FnOnce(Stored) -> Result<CommandRecord, JournalError>,
) -> Result<Change, JournalError> {
    match rows::by_id(connection, id)? {
        None => {
            let remembered = rows::remembered(connection, id)?.map(Box::new);
            Ok(remembered.map_or(Change::Unknown, Change::AlreadyFinished))
        }
        Some(stored) if stored.record.status.is_finished() => {
            Ok(Change::AlreadyFinished(Box::new(stored.record)))
        }
        Some(stored) => Ok(Change::Made(Box::new(make(stored)?))),
    }
}

fn expire(
    connection: &Connection,
    settings: &Settings,
    stored: Stored,
    now: Timestamp,
) -> Result<CommandRecord, JournalError> {
    let at = stored.record.expires_at.map_or_else(String::new, |at| format!(" at {at}"));
    let begun = if stored.record.attempts == 0 { "it was not run" } else { "it is not run again" };
    let finish = Finish::expired(format!("expired{at}, before its turn came; {begun}"));
    end(connection, settings, stored, &finish, now)
}

fn end(
    connection: &Connection,
    settings: &Settings,
    mut stored: Stored,
    finish: &Finish,
    now: Timestamp,
) -> Result<CommandRecord, JournalError> {
    let step = Step::new("finished", finish.text.as_str());
    advance(&mut stored.record, finish.status.event(), step, now)?;
    stored.queued = false;
    stored.record.error = finish.error.code();
    stored.record.result.clone_from(&finish.result);
    stored.record.finished_at = Some(now);
    let change = rows::update(connection, &stored)?;
    outbox::keep(connection, settings, stored.seq, change)?;
    Ok(stored.record)
}

/// Moves the status and notes it.
fn advance(
    record: &mut CommandRecord,
    event: StatusEvent,
    step: Step,
    now: Timestamp,
) -> Result<(), JournalError> {
    record.status = status::next(record.status, event).map_err(|illegal| {
        JournalError::Damaged { id: record.id.to_string(), reason: illegal.to_string() }
    })?;
    note(record, step, now);
    Ok(())
}

fn note(record: &mut CommandRecord, step: Step, now: Timestamp) {
    let entry = HistoryEntry::new(record.last_seq() + 1, now, record.status, step);
    record.history.push(entry);
}

#[cfg(test)]
mod tests;
