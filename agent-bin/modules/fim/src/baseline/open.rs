//! Opens the file of the baseline: makes it, judges it, and has it set aside when it is of no use.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::BaselineError;
use super::error::is_damage;
use super::set_aside::{SetAside, beside, set_aside};

/// Tells that a database is a baseline: "FIMB".
const APPLICATION: i64 = 0x4649_4d42;

/// The format that this code writes and the newest that it reads.
const FORMAT: i64 = 1;

/// How long SQLite waits for somebody else's lock on the file, such as a person's `sqlite3`.
const BUSY: Duration = Duration::from_secs(5);

/// KiB of pages that the writer keeps; negative is how SQLite is told that these are KiB.
const WRITER_CACHE: i64 = -4_096;
const READER_CACHE: i64 = -1_024;

/// Kind 0 is a regular file. A watch and a handle are looked up; most rows are not folders with one.
const SCHEMA: &str = "
CREATE TABLE folders(
    id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name BLOB NOT NULL,
    handle BLOB, watch INTEGER, scanned INTEGER NOT NULL DEFAULT 0,
    UNIQUE(parent, name)) STRICT;
CREATE INDEX folders_handle ON folders(handle) WHERE handle IS NOT NULL;
CREATE INDEX folders_watch ON folders(watch) WHERE watch IS NOT NULL;
CREATE TABLE entries(
    parent INTEGER NOT NULL, name BLOB NOT NULL,
    kind INTEGER NOT NULL, size INTEGER NOT NULL, mode INTEGER NOT NULL,
    uid INTEGER NOT NULL, gid INTEGER NOT NULL, user TEXT, grp TEXT,
    mtime INTEGER NOT NULL, ctime INTEGER NOT NULL, inode INTEGER NOT NULL, device INTEGER NOT NULL,
    links INTEGER NOT NULL, target BLOB, sha256 BLOB, sha1 BLOB, md5 BLOB, unhashed TEXT,
    settled INTEGER NOT NULL,
    PRIMARY KEY(parent, name)) STRICT, WITHOUT ROWID;
CREATE INDEX entries_inode ON entries(inode) WHERE kind = 0;
CREATE TABLE texts(
    parent INTEGER NOT NULL, name BLOB NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY(parent, name)) STRICT;
CREATE TABLE ghosts(number INTEGER NOT NULL, handle BLOB, watch INTEGER, path BLOB NOT NULL) STRICT;
CREATE INDEX ghosts_number ON ghosts(number);
CREATE INDEX ghosts_handle ON ghosts(handle) WHERE handle IS NOT NULL;
CREATE INDEX ghosts_watch ON ghosts(watch) WHERE watch IS NOT NULL;
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
CREATE TABLE state(
    number INTEGER NOT NULL, files INTEGER NOT NULL, folders INTEGER NOT NULL,
    others INTEGER NOT NULL, bytes INTEGER NOT NULL, unhashed INTEGER NOT NULL) STRICT;
INSERT INTO state VALUES (0, 0, 0, 0, 0, 0);
";

/// What is appended to the name for the file that says that it was found to be damaged.
const DAMAGED: &str = ".is-damaged";

/// Why a file cannot serve.
enum Unusable {
    /// Its content is wrong; a fresh file would do.
    Damaged(String),
    /// Anything else; a fresh file would not help or must not be made.
    Other(BaselineError),
}

/// Opens `path` for writing, and says what had to be set aside for that.
pub(super) fn for_writing(path: &Path) -> Result<(Connection, Option<SetAside>), BaselineError> {
    let mut kept = None;
    let mark = beside(path, DAMAGED);
    if let Ok(reason) = fs::read_to_string(&mark) {
        kept = Some(set_aside(path, &format!("while it was used: {reason}"))?);
        fs::remove_file(&mark).map_err(|error| cannot_open(&mark, error.to_string()))?;
    }
    if let Some(reason) = log_without_file(path) {
        kept = Some(set_aside(path, reason)?);
    }
    match connect(path) {
        Ok(connection) => Ok((connection, kept)),
        Err(Unusable::Other(error)) => Err(error),
        Err(Unusable::Damaged(reason)) => {
            kept = Some(set_aside(path, &reason)?);
            match connect(path) {
                Ok(connection) => Ok((connection, kept)),
                Err(Unusable::Other(error)) => Err(error),
                Err(Unusable::Damaged(reason)) => Err(cannot_open(path, reason)),
            }
        }
    }
}

/// Notes that the content of `path` is wrong, so that whoever opens it next for writing begins a new one.
pub(super) fn mark_damaged(path: &Path, reason: &str) -> io::Result<()> {
    fs::write(beside(path, DAMAGED), reason)
}

/// Opens `path`, which is a baseline, for reading only.
pub(super) fn for_reading(path: &Path) -> Result<Connection, BaselineError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        plan_once(&connection)?;
        connection.pragma_update(None, "cache_size", READER_CACHE)?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| cannot_open(path, error.to_string()))
}

/// Has a statement planned once, whatever is bound to it. SQLite plans one anew for each `LIMIT` that is bound, which took as
/// long as reading the rows.
fn plan_once(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// SQLite would delete a log whose file is missing or empty, and with it what is not in the file yet.
fn log_without_file(path: &Path) -> Option<&'static str> {
    let size = |path: &Path| fs::metadata(path).map(|meta| meta.len()).unwrap_or(0);
    (size(path) == 0 && size(&beside(path, "-wal")) > 0)
        .then_some("its main file is missing or empty, but not its log")
}

fn cannot_open(path: &Path, reason: String) -> BaselineError {
    BaselineError::Open { path: path.to_owned(), reason }
}

/// Makes the file if there is none, for its owner alone. An existing file is never opened here: closing it would drop the
/// locks that SQLite holds on it elsewhere in this process.
fn make_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_made) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

fn connect(path: &Path) -> Result<Connection, Unusable> {
    let judge = |error: rusqlite::Error| {
        if is_damage(&error) {
            Unusable::Damaged(error.to_string())
        } else {
            Unusable::Other(cannot_open(path, error.to_string()))
        }
    };
    make_private(path).map_err(|error| Unusable::Other(cannot_open(path, error.to_string())))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(judge)?;
    // Until the file is known to be good, closing it must leave it and its log as they are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(judge)?;
    connection.busy_timeout(BUSY).map_err(judge)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let objects = number("SELECT count(*) FROM sqlite_schema").map_err(judge)?;
    let application = number("PRAGMA application_id").map_err(judge)?;
    let format = number("PRAGMA user_version").map_err(judge)?;
    let fresh = objects == 0 && application == 0;
    if !fresh && application != APPLICATION {
        return Err(Unusable::Damaged("it is not a baseline".to_owned()));
    }
    if format > FORMAT {
        let path = path.to_owned();
        return Err(Unusable::Other(BaselineError::Newer { path, found: format, known: FORMAT }));
    }
    configure(&connection, fresh).map_err(judge)?;
    let rows = number("SELECT count(*) FROM state")
        .and_then(|rows| connection.prepare("SELECT * FROM texts, meta, folders").map(|_| rows));
    // Somebody else may have made it since it was looked at.
    let format = number("PRAGMA user_version").map_err(judge)?;
    match rows {
        Ok(1) if format == FORMAT => Ok(connection),
        Ok(_) => Err(Unusable::Damaged(format!("format {format} is unknown or incomplete"))),
        // A table or a column is missing.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
            Err(Unusable::Damaged(error.to_string()))
        }
        Err(error) => Err(judge(error)),
    }
}

/// Makes the tables, unless somebody else has done so meanwhile: a start that was given up may still be under way.
fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let made = || {
        let found: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        if found == APPLICATION {
            return Ok(());
        }
        connection.execute_batch(&format!(
            "{SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
        ))
    };
    let made: rusqlite::Result<()> = made();
    connection.execute_batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    made
}

fn configure(connection: &Connection, fresh: bool) -> rusqlite::Result<()> {
    plan_once(connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What a power cut takes is found again by the next scan, or is in the list of changes that is kept with the events.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    // 16 MB: pages that change again and again are written to the file less often.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    // Gives the room of a burst back to the disk.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    if fresh {
        make(connection)?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}
