//! The scripted history: deliveries, what becomes of each command, and the processes that it takes to the end.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Agent, Answer, journal_of};

/// A command as it arrives.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: &'static str,
    pub(crate) reason: &'static str,
}

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plot {
    /// Has its effect and succeeds.
    Plain,
    /// The same, with progress recorded before and after the effect.
    Noted,
    /// Has its effect, is deferred, and is finished later.
    Deferred,
    /// The first attempt has no effect and is deferred: the process ends, the next one judges `Again`.
    SecondAttempt,
    /// No attempt comes to an end: it is given up after two.
    Hopeless,
    /// Is finished as refused while it waits.
    Refused,
}

/// Every command, in the order of acceptance.
pub(crate) const COMMANDS: [(&str, Plot); 7] = [
    ("plain", Plot::Plain),
    ("noted", Plot::Noted),
    ("deferred", Plot::Deferred),
    ("again", Plot::SecondAttempt),
    ("hopeless", Plot::Hopeless),
    ("refused", Plot::Refused),
    ("last", Plot::Plain),
];

/// What arrives at a process that is started from outside: at least once, and once with another content under the same
/// id. A process that replaces another one only gets the first, to save time.
const DELIVERIES: [Delivery; 9] = [
    deliver("plain"),
    deliver("plain"),
    deliver("noted"),
    Delivery { id: "plain", reason: "something else" },
    deliver("deferred"),
    deliver("again"),
    deliver("hopeless"),
    deliver("refused"),
    deliver("last"),
];

/// When a history begins, in seconds.
pub(crate) const BEGINNING: i64 = 1_800_000_000;

/// More processes than any history takes; one that needs more would never end.
const MOST_PROCESSES: usize = 8;

/// What somebody outside was told, after the call had returned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// Accepted as new.
    New(Value),
    /// Accepted before; how far it is.
    Known(Value),
    /// Refused, because this id has another content.
    Conflict(String),
    /// Finished.
    Final(Value),
}

pub(crate) const fn deliver(id: &'static str) -> Delivery {
    Delivery { id, reason: "a test" }
}

pub(crate) fn plot_of(id: &str) -> Plot {
    let plot = COMMANDS.iter().find(|(known, _)| *known == id).map(|(_, plot)| *plot);
    plot.unwrap_or(Plot::Plain)
}

/// How often something is asked that is refused: once where the disk works, which makes every refusal a failure, and
/// more often where it is made to refuse once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tries(pub(crate) usize);

impl Tries {
    async fn until_done<T>(self, ask: impl AsyncFn() -> Result<T, String>) -> T {
        let mut refused = Vec::new();
        while refused.len() < self.0 {
            match ask().await {
                Ok(done) => return done,
                Err(reason) => refused.push(reason),
            }
        }
        panic!("{refused:?}");
    }
}

/// Goes on with the history in `folder` to its end, from wherever it is. The clock of its first process begins at
/// `second`.
pub(crate) async fn perform(folder: &Path, second: i64, tries: Tries, mut tell: impl FnMut(Told)) {
    for process in 0..MOST_PROCESSES {
        let beginning = second + 1000 * process as i64;
        let agent = tries.until_done(async || Agent::open(folder, beginning)).await;
        let count = if process == 0 { DELIVERIES.len() } else { 1 };
        for (number, delivery) in DELIVERIES.iter().enumerate().take(count) {
            let accept = async || match agent.accept(delivery).await {
                Answer::New(record) => Ok(Told::New(record)),
                Answer::Known(record) => Ok(Told::Known(record)),
                Answer::Conflict => Ok(Told::Conflict(delivery.id.to_owned())),
                Answer::Refused(reason) => Err(reason),
            };
            tell(tries.until_done(accept).await);
            if (process, number) == (0, DELIVERIES.len() / 2) {
                tries.until_done(async || checkpoint(folder)).await;
            }
        }
        tell(Told::Final(tries.until_done(async || agent.finish("refused", false).await).await));
        let over = run(&agent, folder, tries, &mut tell).await;
        if over {
            agent.report(folder).await;
        }
        agent.close();
        if over {
            return;
        }
    }
    panic!("the history does not come to an end");
}

/// Runs the queue until all is finished, or until the process has to be replaced; says whether all is finished.
async fn run(agent: &Agent, folder: &Path, tries: Tries, tell: &mut impl FnMut(Told)) -> bool {
    let mut run = agent.run(folder);
    for (id, _) in COMMANDS {
        let record = loop {
            let deferred = tokio::select! {
                biased;
                record = agent.finished(id) => break record,
                deferred = run.deferred.recv() => deferred.expect("the queue runs"),
            };
            if plot_of(&deferred) != Plot::Deferred {
                run.stop().await;
                return false;
            }
            // The queue looks for the next command meanwhile, finds that it has to wait, and so takes no part in
            // the commit that follows: the number of operations has to be the same in each run.
            for _ in 0..5 {
                drop(agent.list().await);
            }
            tries.until_done(async || agent.finish(&deferred, true).await).await;
        };
        tell(Told::Final(record));
    }
    run.stop().await;
    true
}

/// Writes the log into the main file while the journal is in use, as SQLite does by itself each 1000 pages, which a
/// short history does not reach. What follows overwrites the log from its beginning.
fn checkpoint(folder: &Path) -> Result<(), String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let pages = Connection::open_with_flags(journal_of(folder), flags).and_then(|connection| {
        connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })
    });
    let (pages, written) = pages.map_err(|error| error.to_string())?;
    assert_eq!(pages, written);
    Ok(())
}
