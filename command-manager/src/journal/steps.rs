//! What can happen to a command, each as one step inside a transaction.
//!
//! Every change of a status goes through [`status::next`]; a step that finds the command finished changes nothing.

use jiff::Timestamp;
use rusqlite::Connection;

use super::rows::{self, Stored};
use super::{Acceptance, Change, JournalError, MAX_ATTEMPTS};
use crate::status::{self, StatusEvent};
use crate::{CommandId, CommandRecord, Envelope, ErrorCode, Finish, HistoryEntry, Peer, Status};

/// The id belongs to a command with other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict;

/// What came of asking for the next command.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    /// Commands that had no attempt left; they are finished now.
    pub(crate) given_up: Vec<CommandRecord>,
    /// The command that is in progress now, with this attempt counted; `None` while another is under way or none
    /// waits.
    pub(crate) started: Option<CommandRecord>,
}

/// What is added to a history.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) stage: String,
    pub(super) module: Option<String>,
    pub(super) text: String,
}

impl Note {
    fn new(stage: &str, text: impl Into<String>) -> Self {
        Self { stage: stage.to_owned(), module: None, text: text.into() }
    }
}

/// Puts `envelope` at the end of the queue, unless `id` is known.
pub(super) fn accept(
    connection: &Connection,
    id: &CommandId,
    envelope: &Envelope,
    peer: Option<&Peer>,
    now: Timestamp,
) -> Result<Result<Acceptance, Conflict>, JournalError> {
    if let Some(known) = rows::by_id(connection, id)? {
        let same = asks_the_same(&known.record, envelope);
        return Ok(if same { Ok(Acceptance::Known(known.record)) } else { Err(Conflict) });
    }
    let mut record = CommandRecord {
        id: id.clone(),
        kind: envelope.kind,
        target: envelope.target.clone(),
        force: envelope.force,
        status: Status::Pending,
        error: ErrorCode::Ok.code(),
        reason: envelope.reason.clone(),
        requester: peer.cloned(),
        origin: envelope.origin.clone(),
        accepted_at: now,
        finished_at: None,
        attempts: 0,
        history: Vec::new(),
        result: None,
        received: envelope.received.clone(),
    };
    note(&mut record, Note::new("accepted", "waits for its turn"), now);
    Ok(Ok(Acceptance::New(rows::insert(connection, record)?.record)))
}

/// Whether two askers under the same id want the same. Fields that nobody here knows may differ: they change nothing
/// in what is done.
fn asks_the_same(known: &CommandRecord, envelope: &Envelope) -> bool {
    known.kind == envelope.kind
        && known.target == envelope.target
        && known.force == envelope.force
        && known.reason == envelope.reason
        && known.origin == envelope.origin
}

/// Begins an attempt at the oldest waiting command, if nothing is under way.
pub(super) fn claim(connection: &Connection, now: Timestamp) -> Result<Claim, JournalError> {
    let mut claim = Claim::default();
    if rows::one_is_under_way(connection)? {
        return Ok(claim);
    }
    while let Some(mut next) = rows::oldest_queued(connection)? {
        if next.record.attempts >= MAX_ATTEMPTS {
            let text = format!("gave up after {} attempts without an end", next.record.attempts);
            let finish = Finish::failure(ErrorCode::GaveUp, text);
            claim.given_up.push(end(connection, next, &finish, now)?);
            continue;
        }
        next.queued = false;
        next.record.attempts += 1;
        let text = format!("attempt {} of {MAX_ATTEMPTS}", next.record.attempts);
        advance(&mut next.record, StatusEvent::Started, Note::new("started", text), now)?;
        rows::update(connection, &next)?;
        claim.started = Some(next.record);
        break;
    }
    Ok(claim)
}

/// Adds to the history; the status stays.
pub(super) fn progress(
    connection: &Connection,
    id: &CommandId,
    what: &Note,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        let Note { stage, module, text } = what;
        let (stage, module, text) = (stage.clone(), module.clone(), text.clone());
        note(&mut stored.record, Note { stage, module, text }, now);
        rows::update(connection, &stored)?;
        Ok(stored.record)
    })
}

/// Lets a command that was broken off wait for its turn again; the status stays.
pub(super) fn requeue(
    connection: &Connection,
    id: &CommandId,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        stored.queued = true;
        note(&mut stored.record, Note::new("requeued", "is begun again in its turn"), now);
        rows::update(connection, &stored)?;
        Ok(stored.record)
    })
}

/// Ends a command.
pub(super) fn finish(
    connection: &Connection,
    id: &CommandId,
    finish: &Finish,
    now: Timestamp,
) -> Result<Change, JournalError> {
    change(connection, id, |mut stored| {
        let pending = stored.record.status == Status::Pending;
        if pending && finish.status.event() == StatusEvent::Succeeded {
            // Done together with another one: it was begun all the same, if not by an attempt of its own.
            let text = "done without an attempt of its own";
            advance(&mut stored.record, StatusEvent::Started, Note::new("started", text), now)?;
            rows::update(connection, &stored)?;
        }
        end(connection, stored, finish, now)
    })
}

/// Makes a change to the command `id`, unless it is finished.
fn change(
    connection: &Connection,
    id: &CommandId,
    make: impl FnOnce(Stored) -> Result<CommandRecord, JournalError>,
) -> Result<Change, JournalError> {
    match rows::by_id(connection, id)? {
        None => Ok(Change::Unknown),
        Some(stored) if stored.record.status.is_finished() => {
            Ok(Change::AlreadyFinished(Box::new(stored.record)))
        }
        Some(stored) => Ok(Change::Made(Box::new(make(stored)?))),
    }
}

fn end(
    connection: &Connection,
    mut stored: Stored,
    finish: &Finish,
    now: Timestamp,
) -> Result<CommandRecord, JournalError> {
    let note = Note::new("finished", finish.text.as_str());
    advance(&mut stored.record, finish.status.event(), note, now)?;
    stored.queued = false;
    stored.record.error = finish.error.code();
    stored.record.result.clone_from(&finish.result);
    stored.record.finished_at = Some(now);
    rows::update(connection, &stored)?;
    Ok(stored.record)
}

/// Moves the status and notes it.
fn advance(
    record: &mut CommandRecord,
    event: StatusEvent,
    what: Note,
    now: Timestamp,
) -> Result<(), JournalError> {
    record.status = status::next(record.status, event).map_err(|illegal| {
        JournalError::Damaged { id: record.id.to_string(), reason: illegal.to_string() }
    })?;
    note(record, what, now);
    Ok(())
}

fn note(record: &mut CommandRecord, Note { stage, module, text }: Note, now: Timestamp) {
    let (seq, status) = (record.last_seq() + 1, record.status);
    record.history.push(HistoryEntry { seq, at: now, status, stage, module, text });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::schema;
    use super::*;
    use crate::parse_envelope;

    /// What is done to the queue; numbers choose one of a few commands.
    #[derive(Debug, Clone)]
    enum Step {
        Accept(u8),
        Claim,
        Requeue(u8),
        Succeed(u8),
        Fail(u8),
    }

    /// The queue as simply as it can be written down.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Model {
        number: u8,
        status: Status,
        queued: bool,
        attempts: u32,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0u8..6).prop_map(Step::Accept),
            4 => Just(Step::Claim),
            2 => (0u8..6).prop_map(Step::Requeue),
            1 => (0u8..6).prop_map(Step::Succeed),
            1 => (0u8..6).prop_map(Step::Fail),
        ];
        prop::collection::vec(step, 0..60)
    }

    fn apply(model: &mut Vec<Model>, step: &Step) {
        let open = |model: &mut Vec<Model>, number: u8, new: fn(&mut Model)| {
            let found = model.iter_mut().find(|command| command.number == number);
            if let Some(command) = found.filter(|command| !command.status.is_finished()) {
                new(command);
            }
        };
        match *step {
            Step::Accept(number) => {
                if model.iter().all(|command| command.number != number) {
                    let status = Status::Pending;
                    model.push(Model { number, status, queued: true, attempts: 0 });
                }
            }
            Step::Claim => {
                let under_way = |command: &Model| !command.status.is_finished() && !command.queued;
                if model.iter().any(under_way) {
                    return;
                }
                for command in model.iter_mut().filter(|command| command.queued) {
                    command.queued = false;
                    if command.attempts < MAX_ATTEMPTS {
                        command.attempts += 1;
                        command.status = Status::InProgress;
                        return;
                    }
                    command.status = Status::Failure;
                }
            }
            Step::Requeue(number) => open(model, number, |command| command.queued = true),
            Step::Succeed(number) => {
                open(model, number, |c| (c.status, c.queued) = (Status::Success, false));
            }
            Step::Fail(number) => {
                open(model, number, |c| (c.status, c.queued) = (Status::Failure, false));
            }
        }
    }

    fn perform(connection: &Connection, step: &Step, now: Timestamp) {
        let id = |number: u8| CommandId::new(format!("c-{number}")).unwrap();
        match *step {
            Step::Accept(number) => {
                let envelope = parse_envelope(br#"{"command":{"type":"stop"}}"#).unwrap();
                drop(accept(connection, &id(number), &envelope, None, now).unwrap().unwrap());
            }
            Step::Claim => drop(claim(connection, now).unwrap()),
            Step::Requeue(number) => drop(requeue(connection, &id(number), now).unwrap()),
            Step::Succeed(number) => {
                drop(finish(connection, &id(number), &Finish::success("done"), now).unwrap());
            }
            Step::Fail(number) => {
                let failure = Finish::failure(ErrorCode::Failed, "not done");
                drop(finish(connection, &id(number), &failure, now).unwrap());
            }
        }
    }

    fn stored(connection: &Connection) -> Vec<Model> {
        let mut statement =
            connection.prepare("SELECT id, queued FROM commands ORDER BY seq").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let model = |(id, queued): (String, bool)| {
            let record = rows::show(connection, &CommandId::new(id).unwrap()).unwrap().unwrap();
            let number = record.id.as_str()[2..].parse().unwrap();
            let seqs: Vec<_> = record.history.iter().map(|entry| entry.seq).collect();
            assert_eq!(seqs, (1..=record.last_seq()).collect::<Vec<_>>());
            assert_eq!(record.history.last().unwrap().status, record.status);
            assert_eq!(record.finished_at.is_some(), record.status.is_finished());
            Model { number, status: record.status, queued, attempts: record.attempts }
        };
        rows.map(Result::unwrap).map(model).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn the_journal_is_the_queue_that_the_model_says(steps in steps()) {
            let connection = Connection::open_in_memory().unwrap();
            schema::migrate(&connection, 0).unwrap();
            let mut model = Vec::new();
            for step in steps {
                perform(&connection, &step, Timestamp::UNIX_EPOCH);
                apply(&mut model, &step);
                prop_assert_eq!(&stored(&connection), &model, "after {:?}", step);
            }
        }
    }
}
