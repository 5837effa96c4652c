//! The queue of the journal against a model that is as simple as it can be written down.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::super::schema;
use super::*;
use crate::{FinalStatus, Origin, Scope, Target, WireForm};

/// What is done to the queue; numbers choose one of a few commands.
#[derive(Debug, Clone)]
enum Act {
    Accept(u8),
    Claim,
    Requeue(u8),
    Succeed(u8),
    Fail(u8),
    Cancel(u8),
    Sweep,
    Wait(u8),
}

/// A command as simply as it can be written down.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Model {
    number: u8,
    status: Status,
    error: ErrorCode,
    queued: bool,
    attempts: u32,
    accepted_at: i64,
}

const MOST_ATTEMPTS: u32 = 2;
const RESTARTS_AN_HOUR: u32 = 3;

fn settings() -> Settings {
    let (max_attempts, max_restarts_per_hour) = (MOST_ATTEMPTS, RESTARTS_AN_HOUR);
    Settings { max_attempts, max_restarts_per_hour, ..Settings::default() }
}

/// The type of a command follows from its number, and so does the minute after which it expires.
fn kind_of(number: u8) -> CommandType {
    CommandType::ALL[usize::from(number) % CommandType::ALL.len()]
}

fn lives_minutes(number: u8) -> Option<i64> {
    [None, Some(20), Some(50)][usize::from(number) % 3].map(i64::from)
}

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        5 => (0u8..16).prop_map(Act::Accept),
        5 => Just(Act::Claim),
        2 => (0u8..16).prop_map(Act::Requeue),
        2 => (0u8..16).prop_map(Act::Succeed),
        1 => (0u8..16).prop_map(Act::Fail),
        1 => (0u8..16).prop_map(Act::Cancel),
        1 => Just(Act::Sweep),
        2 => (1u8..30).prop_map(Act::Wait),
    ];
    prop::collection::vec(act, 0..80)
}

impl Model {
    fn end(&mut self, status: Status, error: ErrorCode) {
        (self.status, self.error, self.queued) = (status, error, false);
    }

    fn has_expired(&self, now: i64) -> bool {
        let waits = kind_of(self.number) != CommandType::Stop;
        let lives = lives_minutes(self.number);
        waits && lives.is_some_and(|lives| self.accepted_at + lives <= now)
    }
}

/// The naive queue: a list of commands in the order of acceptance.
fn apply(model: &mut Vec<Model>, now: &mut i64, act: &Act) {
    if let Act::Wait(minutes) = act {
        *now += i64::from(*minutes);
    }
    let now = *now;
    let open = |model: &mut Vec<Model>, number: u8, change: &dyn Fn(&mut Model)| {
        let open = |it: &&mut Model| it.number == number && !it.status.is_finished();
        if let Some(command) = model.iter_mut().find(open) {
            change(command);
        }
    };
    match *act {
        Act::Accept(number) => accept_naively(model, now, number),
        Act::Claim => claim_naively(model, now),
        Act::Requeue(number) => open(model, number, &|it| it.queued = true),
        Act::Succeed(number) => open(model, number, &|it| it.end(Status::Success, ErrorCode::Ok)),
        Act::Fail(number) => open(model, number, &|it| it.end(Status::Failure, ErrorCode::Failed)),
        Act::Cancel(number) => open(model, number, &|it| {
            if it.status == Status::Pending && kind_of(number) != CommandType::Stop {
                it.end(Status::Failure, ErrorCode::Cancelled);
            }
        }),
        Act::Sweep => {
            for it in model.iter_mut().filter(|it| it.queued && it.has_expired(now)) {
                it.end(Status::Timeout, ErrorCode::Expired);
            }
        }
        Act::Wait(_) => {}
    }
}

fn accept_naively(model: &mut Vec<Model>, now: i64, number: u8) {
    if model.iter().any(|it| it.number == number) {
        return;
    }
    let counts = |it: &&Model| {
        let asked = it.attempts > 0 || (it.queued && it.status == Status::Pending);
        kind_of(it.number) == CommandType::RestartAgent && asked && it.accepted_at > now - 60
    };
    if kind_of(number) == CommandType::RestartAgent
        && model.iter().filter(counts).count() >= RESTARTS_AN_HOUR as usize
    {
        return;
    }
    let (status, error) = (Status::Pending, ErrorCode::Ok);
    model.push(Model { number, status, error, queued: true, attempts: 0, accepted_at: now });
}

fn claim_naively(model: &mut [Model], now: i64) {
    let mut index = 0;
    while index < model.len() {
        let scope = kind_of(model[index].number).scope();
        let excludes = |other: &Model| scope.excludes(kind_of(other.number).scope());
        let under_way = |it: &Model| !it.status.is_finished() && !it.queued;
        let waits_before = model[..index].iter().any(|it| it.queued && excludes(it));
        let blocked = waits_before || model.iter().any(|it| under_way(it) && excludes(it));
        let command = &mut model[index];
        index += 1;
        if !command.queued || blocked {
            continue;
        }
        if command.has_expired(now) {
            command.end(Status::Timeout, ErrorCode::Expired);
        } else if command.attempts >= MOST_ATTEMPTS {
            command.end(Status::Failure, ErrorCode::GaveUp);
        } else {
            (command.queued, command.status) = (false, Status::InProgress);
            command.attempts += 1;
            return;
        }
    }
}

fn new_row(number: u8, now: i64) -> NewRow {
    let lives = lives_minutes(number);
    let step = Step::new("accepted", "waits for its turn");
    let record = CommandRecord {
        id: CommandId::new(format!("c-{number}")).unwrap(),
        form: WireForm::Envelope,
        kind: kind_of(number),
        target: Target::All,
        force: false,
        status: Status::Pending,
        error: 0,
        reason: None,
        requester: None,
        origin: Origin::default(),
        accepted_at: at(now),
        expires_at: lives.map(|lives| at(now + lives)),
        expiry_given: false,
        finished_at: None,
        attempts: 0,
        history: vec![HistoryEntry::new(1, at(now), Status::Pending, step)],
        result: None,
        received: serde_json::Value::Null,
    };
    NewRow::new(record).unwrap()
}

fn perform(connection: &Connection, act: &Act, now: i64) {
    let id = |number: u8| CommandId::new(format!("c-{number}")).unwrap();
    let (settings, time) = (settings(), at(now));
    let end =
        |number, end: Finish| drop(finish(connection, &settings, &id(number), &end, time).unwrap());
    match *act {
        Act::Accept(number) => drop(accept(connection, &settings, &new_row(number, now)).unwrap()),
        Act::Claim => drop(claim(connection, &settings, time).unwrap()),
        Act::Requeue(number) => drop(requeue(connection, &id(number), time).unwrap()),
        Act::Succeed(number) => end(number, Finish::success("done")),
        Act::Fail(number) => end(number, Finish::failure(ErrorCode::Failed, "not done")),
        Act::Cancel(number) => {
            drop(cancel(connection, &settings, &id(number), "not wanted", time).unwrap());
        }
        Act::Sweep => drop(sweep(connection, &settings, time).unwrap()),
        Act::Wait(_) => {}
    }
}

fn stored(connection: &Connection) -> Vec<Model> {
    let found = rows::select(connection, "ORDER BY seq", []).unwrap();
    let model = |Stored { queued, record, .. }: Stored| {
        let number = record.id.as_str()[2..].parse().unwrap();
        let seqs: Vec<_> = record.history.iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, (1..=record.last_seq()).collect::<Vec<_>>());
        assert_eq!(record.history.last().unwrap().status, record.status);
        assert_eq!(record.finished_at.is_some(), record.status.is_finished());
        Model {
            number,
            status: record.status,
            error: record.error.try_into().unwrap(),
            queued,
            attempts: record.attempts,
            accepted_at: record.accepted_at.as_second() / 60,
        }
    };
    found.into_iter().map(model).collect()
}

fn journal() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    schema::migrate(&connection, 0).unwrap();
    connection
}

/// Every history, entry by entry, leads from status to status as [`status::next`] says, and ends where the record is.
fn replay(connection: &Connection) {
    for Stored { record, .. } in rows::select(connection, "ORDER BY seq", []).unwrap() {
        let mut status = record.history[0].status;
        assert_eq!(status, Status::Pending);
        for entry in &record.history[1..] {
            let event = match (entry.stage.as_str(), entry.status) {
                ("started", _) => Some(StatusEvent::Started),
                ("finished", Status::Success) => Some(FinalStatus::Success.event()),
                ("finished", Status::Failure) => Some(FinalStatus::Failure.event()),
                ("finished", Status::Timeout) => Some(FinalStatus::Timeout.event()),
                _ => None,
            };
            status = event.map_or(status, |event| status::next(status, event).unwrap());
            assert_eq!(entry.status, status, "{}: {entry:?}", record.id);
        }
        assert_eq!(record.status, status);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn the_journal_is_the_queue_that_the_model_says(acts in acts()) {
        let connection = journal();
        let mut model = Vec::new();
        let mut now = 1_000;
        for act in acts {
            perform(&connection, &act, now);
            apply(&mut model, &mut now, &act);
            prop_assert_eq!(&stored(&connection), &model, "after {:?} at {}", act, now);
        }
        replay(&connection);
    }

    #[test]
    fn what_is_under_way_together_never_excludes_each_other(acts in acts()) {
        let connection = journal();
        for (minute, act) in (0..).zip(acts) {
            let requeues = matches!(act, Act::Requeue(_));
            perform(&connection, &act, minute);
            let under_way: Vec<Scope> = stored(&connection)
                .iter()
                .filter(|it| !it.status.is_finished() && !it.queued)
                .map(|it| kind_of(it.number).scope())
                .collect();
            let excluded = under_way.iter().enumerate().any(|(index, one)| {
                under_way[index + 1..].iter().any(|other| one.excludes(*other))
            });
            prop_assert!(!excluded || requeues, "{:?}", under_way);
        }
    }
}
