//! Opens the spool's file: makes it, checks it, and sets it aside when it is corrupt.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::SpoolError;
use super::set_aside::{SetAside, beside, set_aside};

/// The format that this code writes and the newest that it reads.
pub(super) const FORMAT: i64 = 1;

/// How long SQLite waits for somebody else's lock on the file, such as a person's `sqlite3`.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE version(format INTEGER NOT NULL) STRICT;
CREATE TABLE events(
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    module TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
    UNIQUE(module, id)) STRICT;
CREATE TABLE checkpoints(
    module TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY(module, key)) STRICT, WITHOUT ROWID;
CREATE TABLE outputs(name TEXT PRIMARY KEY, seq INTEGER NOT NULL, position BLOB) STRICT;
INSERT INTO version(format) VALUES (1);
";

/// Why a file cannot serve as the spool.
enum Unusable {
    /// Its content is wrong; a fresh file would do.
    Corrupt(String),
    /// Anything else; a fresh file would not help or must not be made.
    Other(SpoolError),
}

/// A file that is ready for writing.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    pub(super) set_aside: Option<SetAside>,
    /// Whether every page was looked at.
    pub(super) checked: bool,
}

/// Opens `path` for writing and says what had to be set aside for that. A file of up to `check_up_to` bytes, or one that
/// was seen to be corrupt, is checked page by page first.
pub(super) fn open_for_writing(path: &Path, check_up_to: u64) -> Result<OpenFile, SpoolError> {
    let mut kept = None;
    if let Some(reason) = log_without_file(path) {
        kept = Some(move_away(path, reason)?);
    }
    let (connection, checked) = match open_checked(path, check_up_to) {
        Ok(opened) => opened,
        Err(Unusable::Other(error)) => return Err(error),
        Err(Unusable::Corrupt(reason)) => {
            kept = Some(move_away(path, reason)?);
            open_checked(path, check_up_to).map_err(|unusable| match unusable {
                Unusable::Corrupt(reason) => cannot_open(path, reason),
                Unusable::Other(error) => error,
            })?
        }
    };
    Ok(OpenFile { connection, set_aside: kept, checked })
}

/// Opens `path`, which exists already, for reading only.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, SpoolError> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| cannot_open(path, error.to_string()))
}

/// Whether the error says that the content of the file is wrong.
pub(super) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Leaves a mark that makes the next start check the whole file, whatever its size.
pub(super) fn mark_suspect(path: &Path) {
    if let Err(error) = fs::write(suspect(path), b"") {
        tracing::error!(%error, path = %path.display(), "the event spool is corrupt and cannot be marked for a check");
    }
}

/// Whether the file was seen to be corrupt and was not checked since.
pub(super) fn is_suspect(path: &Path) -> bool {
    suspect(path).exists()
}

fn suspect(path: &Path) -> std::path::PathBuf {
    beside(path, ".suspect")
}

/// SQLite would delete a log whose file is missing or empty, and with it accepted events.
fn log_without_file(path: &Path) -> Option<String> {
    let size = |path: &Path| fs::metadata(path).map(|meta| meta.len()).unwrap_or(0);
    (size(path) == 0 && size(&beside(path, "-wal")) > 0)
        .then(|| "its main file is missing or empty, but not its log".to_owned())
}

fn move_away(path: &Path, reason: String) -> Result<SetAside, SpoolError> {
    set_aside(path, reason.clone()).map_err(|source| SpoolError::SetAside {
        path: path.to_owned(),
        reason,
        source,
    })
}

fn cannot_open(path: &Path, reason: String) -> SpoolError {
    SpoolError::Open { path: path.to_owned(), reason }
}

fn open_checked(path: &Path, check_up_to: u64) -> Result<(Connection, bool), Unusable> {
    let other = |error: io::Error| Unusable::Other(cannot_open(path, error.to_string()));
    make_private(path).map_err(other)?;
    let suspect = suspect(path);
    let size = fs::metadata(path).map_err(other)?.len();
    let thorough = size <= check_up_to || suspect.exists();
    let connection = connect(path, thorough)?;
    match fs::remove_file(&suspect) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(other(error)),
    }
    Ok((connection, thorough))
}

/// Makes the file if there is none, for its owner alone. An existing file is never opened here: closing it would
/// drop the locks that SQLite holds on it elsewhere in this process.
fn make_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_made) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, Permissions::from_mode(0o600))
        }
        Err(error) => Err(error),
    }
}

fn connect(path: &Path, thorough: bool) -> Result<Connection, Unusable> {
    let judge = |error: rusqlite::Error| {
        if is_corrupt(&error) {
            Unusable::Corrupt(error.to_string())
        } else {
            Unusable::Other(cannot_open(path, error.to_string()))
        }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(judge)?;
    // Until the file is known to be good, closing it must leave it and its log as they are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(judge)?;
    connection.busy_timeout(BUSY).map_err(judge)?;
    let fresh = match format_of(&connection).map_err(judge)? {
        Found::Nothing => true,
        Found::Format(FORMAT) => false,
        Found::Format(found) if found > FORMAT => {
            let path = path.to_owned();
            return Err(Unusable::Other(SpoolError::NewerFormat { path, found, known: FORMAT }));
        }
        Found::Format(found) => {
            return Err(Unusable::Corrupt(format!("format {found} is unknown")));
        }
        Found::Foreign => return Err(Unusable::Corrupt("it is not an event spool".to_owned())),
    };
    if thorough
        && !fresh
        && let Some(damage) = check(&connection).map_err(judge)?
    {
        return Err(Unusable::Corrupt(damage));
    }
    configure(&connection, fresh).map_err(judge)?;
    Ok(connection)
}

/// Looks at every page and says what is damaged, if something is. Takes about 15 ms for each MiB.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((verdict != "ok").then_some(verdict))
}

fn configure(connection: &Connection, fresh: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL syncs the log at each commit; NORMAL would lose acknowledged events in a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Gives the room of a burst back to the disk.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    if fresh {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

enum Found {
    Nothing,
    Foreign,
    Format(i64),
}

fn format_of(connection: &Connection) -> rusqlite::Result<Found> {
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    if count("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Found::Nothing);
    }
    if count("SELECT count(*) FROM pragma_table_info('version') WHERE name = 'format'")? == 0 {
        return Ok(Found::Foreign);
    }
    let format = connection
        .query_row("SELECT CAST(format AS INTEGER) FROM version", [], |row| row.get(0))
        .optional()?;
    let ours =
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('events', 'checkpoints', 'outputs')";
    match format {
        Some(FORMAT) if count(ours)? < 3 => Ok(Found::Foreign),
        Some(format) => Ok(Found::Format(format)),
        None => Ok(Found::Foreign),
    }
}

#[cfg(test)]
mod tests;
