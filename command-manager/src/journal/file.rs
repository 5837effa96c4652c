//! Opens the journal's file: private, checked, and set aside when it is damaged.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, ffi};
use tracing::warn;

use super::schema::{self, Found};
use super::{JournalError, OpenError, SetAside, Settings, outbox, rows};
use crate::CommandId;

/// How long another process (an operator's `sqlite3`) may hold the file before a request fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What only its owner may do: read and write.
const MODE: u32 = 0o600;

/// How many prepared statements are kept: more than there are.
const STATEMENTS: usize = 64;

/// Up to this size, in bytes, a journal is checked as a whole when it is opened, which takes about a millisecond for each
/// MiB. A larger one is checked after the start ([`verify`]), so that the start does not wait for it.
const CHECKED_AT_ONCE: u64 = 1024 * 1024;

/// Beside a journal in which damage was seen: it is checked as a whole at the next start.
const SUSPECT: &str = ".suspect";

/// A journal that is ready for use.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    pub(super) interrupted: Vec<CommandId>,
    pub(super) set_aside: Option<SetAside>,
    /// Whether the whole file was checked.
    pub(super) checked: bool,
    /// Every command that is not finished.
    pub(super) open: Vec<CommandId>,
}

/// Opens the file at `path`; `now` names a damaged one that has to make room.
pub(super) fn open(
    path: &Path,
    settings: &Settings,
    now: Timestamp,
) -> Result<OpenFile, OpenError> {
    match attempt(path, settings) {
        Ok(opened) => Ok(opened),
        Err(Trouble::Refused(refused)) => Err(refused),
        Err(Trouble::Damaged(reason)) => {
            let kept_as =
                move_aside(path, now).map_err(|error| storage(path, "set aside", &error))?;
            let opened = attempt(path, settings).map_err(|trouble| match trouble {
                Trouble::Refused(refused) => refused,
                Trouble::Damaged(reason) => OpenError::Storage {
                    path: path.to_owned(),
                    reason: format!("a fresh file is damaged too: {reason}"),
                },
            })?;
            Ok(OpenFile { set_aside: Some(SetAside { kept_as, reason }), ..opened })
        }
    }
}

/// Has the journal at `path` checked as a whole when it is opened next.
pub(super) fn suspect(path: &Path) -> io::Result<()> {
    File::create(with_suffix(path, SUSPECT))?.sync_all()?;
    sync_folder(path)
}

/// Checks the whole file beside its use, and says what is damaged. Takes about a millisecond for each MiB.
pub(super) fn verify(path: &Path) -> rusqlite::Result<Option<String>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    check(&connection)
}

enum Trouble {
    Damaged(String),
    Refused(OpenError),
}

fn attempt(path: &Path, settings: &Settings) -> Result<OpenFile, Trouble> {
    let trouble = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Trouble::Damaged(error.to_string())
        }
        _ => Trouble::Refused(storage(path, "open", &said(&error))),
    };
    make_private(path).map_err(|error| Trouble::Refused(storage(path, "create", &error)))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(trouble)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(trouble)?;
    if connection.is_readonly(MAIN_DB).map_err(trouble)? {
        // SQLite would go on without writing, and fail later for a reason that tells nobody what to do.
        let reason =
            "the file system is read-only, or the file may not be written: make it writable";
        return Err(Trouble::Refused(storage(path, "open", &reason)));
    }
    // Until the file is known to be good it is not touched: closing would write its log into it and remove the log.
    let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(keep_log, true).map_err(trouble)?;
    let version = match schema::look(&connection).map_err(trouble)? {
        Found::Version(version) if version <= schema::KNOWN => version,
        Found::Version(found) => {
            let (path, known) = (path.to_owned(), schema::KNOWN);
            return Err(Trouble::Refused(OpenError::Newer { path, found, known }));
        }
        Found::Foreign => {
            return Err(Trouble::Refused(OpenError::Foreign { path: path.to_owned() }));
        }
    };
    let suspected = with_suffix(path, SUSPECT).exists();
    let checked = suspected || size(path) <= CHECKED_AT_ONCE;
    if checked && let Some(damage) = check(&connection).map_err(trouble)? {
        return Err(Trouble::Damaged(damage));
    }
    prepare(&connection, version).map_err(trouble)?;
    let unread = |error: JournalError| match error {
        JournalError::Damaged { .. } | JournalError::Corrupt { .. } => {
            Trouble::Damaged(error.to_string())
        }
        JournalError::Full { .. } | JournalError::Storage { .. } | JournalError::Closed => {
            Trouble::Refused(storage(path, "read", &error))
        }
    };
    let dropped = outbox::forget_others(&connection, &settings.all_reporters()).map_err(unread)?;
    if dropped > 0 {
        warn!(dropped, "results for reporters that are not configured any more were dropped");
    }
    let interrupted = rows::interrupted(&connection).map_err(unread)?;
    let open = rows::open_ids(&connection).map_err(unread)?;
    connection.set_db_config(keep_log, false).map_err(trouble)?;
    if suspected {
        clear_suspicion(path).map_err(|error| Trouble::Refused(storage(path, "check", &error)))?;
    }
    Ok(OpenFile { connection, interrupted, set_aside: None, checked, open })
}

/// What SQLite says, with what exactly it was doing: "disk I/O error" alone does not tell a full disk from a broken one.
fn said(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(sqlite) if sqlite.extended_code > 0xff => {
            format!("{error} ({})", ffi::code_to_str(sqlite.extended_code))
        }
        _ => error.to_string(),
    }
}

/// The bytes of the file and its log; unknown ones count as none.
fn size(path: &Path) -> u64 {
    let of = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    of(path) + of(&with_suffix(path, "-wal"))
}

/// What is damaged in the file, if something is.
fn check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match refusal_within(&found) {
        Some(refused) => Err(rusqlite::Error::SqliteFailure(refused, Some(found))),
        None => Ok((found != "ok").then_some(found)),
    }
}

/// The error because of which the check could not read a page. It says so like of damage, but a disk that refuses to read
/// has damaged nothing.
fn refusal_within(found: &str) -> Option<ffi::Error> {
    let (_, number) = found.rsplit_once("error code=")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).map_or(number, |end| &number[..end]);
    let error = ffi::Error::new(digits.parse().ok()?);
    (!matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)).then_some(error)
}

fn clear_suspicion(path: &Path) -> io::Result<()> {
    fs::remove_file(with_suffix(path, SUSPECT))?;
    sync_folder(path)
}

/// Brings the file up to date, and makes each commit wait for the disk.
fn prepare(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL waits for the disk at each commit; NORMAL would lose the last commits with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::migrate(connection, version)
}

/// Makes the file if there is none, and takes it from everybody but its owner. SQLite gives the files beside it the
/// same mode. An existing file is not opened here: closing it again would drop SQLite's locks.
fn make_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(MODE).open(path) {
        Ok(_created) => sync_folder(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::metadata(path)?;
            if !found.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
            }
            if found.permissions().mode() & 0o777 == MODE {
                return Ok(());
            }
            fs::set_permissions(path, Permissions::from_mode(MODE))
        }
        Err(error) => Err(error),
    }
}

/// Renames the journal and what belongs to it. The main file goes first: without its log it would look like an older
/// journal, and what it says would be done again.
fn move_aside(path: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    let mut kept_as = with_suffix(path, &format!(".corrupt-{stamp}"));
    let mut number = 1;
    while kept_as.try_exists()? {
        number += 1;
        kept_as = with_suffix(path, &format!(".corrupt-{stamp}-{number}"));
    }
    fs::rename(path, &kept_as)?;
    for suffix in ["-wal", "-shm"] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&kept_as, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    sync_folder(path)?;
    Ok(kept_as)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Makes the names in the folder of `path` durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn storage(path: &Path, verb: &str, error: &dyn std::fmt::Display) -> OpenError {
    OpenError::Storage { path: path.to_owned(), reason: format!("{verb}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_commit_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let opened =
            open(&folder.path().join("commands.db"), &Settings::default(), Timestamp::UNIX_EPOCH)
                .unwrap();
        let number = |pragma: &str| -> i64 {
            opened.connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
        };
        assert_eq!(number("synchronous"), 2, "FULL");
        assert_eq!(number("foreign_keys"), 1);
        let mode: String =
            opened.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }

    #[test]
    fn a_refused_file_keeps_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands.db");
        // The first connection stays open meanwhile, so that the newer version is in the log only.
        let first = open(&path, &Settings::default(), Timestamp::UNIX_EPOCH).unwrap().connection;
        first.execute_batch("UPDATE version SET version = 9").unwrap();
        let copy = folder.path().join("copy.db");
        fs::copy(&path, &copy).unwrap();
        fs::copy(with_suffix(&path, "-wal"), with_suffix(&copy, "-wal")).unwrap();
        let (file, log) = (fs::read(&copy).unwrap(), fs::read(with_suffix(&copy, "-wal")).unwrap());
        let refused = open(&copy, &Settings::default(), Timestamp::UNIX_EPOCH).err();
        assert!(matches!(refused, Some(OpenError::Newer { found: 9, .. })), "{refused:?}");
        assert_eq!(fs::read(&copy).unwrap(), file);
        assert_eq!(fs::read(with_suffix(&copy, "-wal")).unwrap(), log);
    }
}
