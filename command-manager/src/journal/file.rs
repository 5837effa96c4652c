//! Opens the journal's file: private, checked, and set aside when it is damaged.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema::{self, Found};
use super::{JournalError, KEPT_FINISHED, OpenError, SetAside, rows};
use crate::CommandId;

/// How long another process (an operator's `sqlite3`) may hold the file before a request fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What only its owner may do: read and write.
const MODE: u32 = 0o600;

/// A journal that is ready for use.
pub(super) struct OpenFile {
    pub(super) connection: Connection,
    pub(super) interrupted: Vec<CommandId>,
    pub(super) set_aside: Option<SetAside>,
}

/// Opens the file at `path`; `now` names a damaged one that has to make room.
pub(super) fn open(path: &Path, now: Timestamp) -> Result<OpenFile, OpenError> {
    match attempt(path) {
        Ok((connection, interrupted)) => Ok(OpenFile { connection, interrupted, set_aside: None }),
        Err(Trouble::Refused(refused)) => Err(refused),
        Err(Trouble::Damaged(reason)) => {
            let kept_as =
                move_aside(path, now).map_err(|error| storage(path, "set aside", &error))?;
            let (connection, interrupted) = attempt(path).map_err(|trouble| match trouble {
                Trouble::Refused(refused) => refused,
                Trouble::Damaged(reason) => OpenError::Storage {
                    path: path.to_owned(),
                    reason: format!("a fresh file is damaged too: {reason}"),
                },
            })?;
            Ok(OpenFile { connection, interrupted, set_aside: Some(SetAside { kept_as, reason }) })
        }
    }
}

enum Trouble {
    Damaged(String),
    Refused(OpenError),
}

fn attempt(path: &Path) -> Result<(Connection, Vec<CommandId>), Trouble> {
    let trouble = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Trouble::Damaged(error.to_string())
        }
        _ => Trouble::Refused(storage(path, "open", &error)),
    };
    make_private(path).map_err(|error| Trouble::Refused(storage(path, "create", &error)))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(trouble)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(trouble)?;
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
    if let Some(damage) = prepare(&connection, version).map_err(trouble)? {
        return Err(Trouble::Damaged(damage));
    }
    let interrupted = rows::interrupted(&connection).map_err(|error| match error {
        JournalError::Damaged { .. } => Trouble::Damaged(error.to_string()),
        JournalError::Storage { .. } | JournalError::Closed => {
            Trouble::Refused(storage(path, "read", &error))
        }
    })?;
    connection.set_db_config(keep_log, false).map_err(trouble)?;
    Ok((connection, interrupted))
}

/// Checks the whole file, says what is damaged, or brings it up to date.
fn prepare(connection: &Connection, version: i64) -> rusqlite::Result<Option<String>> {
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Ok(Some(check));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL waits for the disk at each commit; NORMAL would lose the last commits with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(connection, version)?;
    schema::prune(connection, KEPT_FINISHED)?;
    Ok(None)
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
        let opened = open(&folder.path().join("commands.db"), Timestamp::UNIX_EPOCH).unwrap();
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
    fn opening_removes_the_oldest_finished_commands_beyond_those_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands.db");
        let first = open(&path, Timestamp::UNIX_EPOCH).unwrap().connection;
        let insert = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < ?1)
             INSERT INTO commands SELECT x, 'c' || x, 'stop', '\"all\"', 0, NULL, NULL, '', '', '{}', 't',
                'success', 0, 1, 0, NULL, 't' FROM n";
        first.execute(insert, [KEPT_FINISHED + 2]).unwrap();
        drop(first);
        let second = open(&path, Timestamp::UNIX_EPOCH).unwrap().connection;
        let (count, oldest): (u32, i64) = second
            .query_row("SELECT count(*), min(seq) FROM commands", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!((count, oldest), (KEPT_FINISHED, 3));
    }

    #[test]
    fn a_refused_file_keeps_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands.db");
        // The first connection stays open meanwhile, so that the newer version is in the log only.
        let first = open(&path, Timestamp::UNIX_EPOCH).unwrap().connection;
        first.execute_batch("UPDATE version SET version = 9").unwrap();
        let copy = folder.path().join("copy.db");
        fs::copy(&path, &copy).unwrap();
        fs::copy(with_suffix(&path, "-wal"), with_suffix(&copy, "-wal")).unwrap();
        let (file, log) = (fs::read(&copy).unwrap(), fs::read(with_suffix(&copy, "-wal")).unwrap());
        let refused = open(&copy, Timestamp::UNIX_EPOCH).err();
        assert!(matches!(refused, Some(OpenError::Newer { found: 9, .. })), "{refused:?}");
        assert_eq!(fs::read(&copy).unwrap(), file);
        assert_eq!(fs::read(with_suffix(&copy, "-wal")).unwrap(), log);
    }
}
