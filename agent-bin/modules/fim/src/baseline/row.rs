//! An entry as the columns of a row.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Row};

use crate::entry::{Entry, Kind, Unhashed};
use crate::hash::Digests;

/// The columns of an entry, in the order of [`entry_of`] and [`bind`].
pub(super) const COLUMNS: &str = "kind, size, mode, uid, gid, user, grp, mtime, ctime, inode, device, links, target, sha256, sha1, md5, unhashed, settled";

const TOO_LARGE: &str = "too large";
const KEPT_CHANGING: &str = "kept changing";
const OWN_FILE: &str = "own file";
const UNREADABLE: &str = "unreadable: ";

/// The number of a kind. The index on inodes knows that of [`Kind::File`].
pub(super) fn number_of(kind: Kind) -> i64 {
    match kind {
        Kind::File => 0,
        Kind::Folder => 1,
        Kind::Link => 2,
        Kind::Fifo => 3,
        Kind::Socket => 4,
        Kind::CharDevice => 5,
        Kind::BlockDevice => 6,
    }
}

/// The kind of a number that was found in column `column`.
pub(super) fn kind_of(number: i64, column: usize) -> rusqlite::Result<Kind> {
    Ok(match number {
        0 => Kind::File,
        1 => Kind::Folder,
        2 => Kind::Link,
        3 => Kind::Fifo,
        4 => Kind::Socket,
        5 => Kind::CharDevice,
        6 => Kind::BlockDevice,
        _ => return Err(rusqlite::Error::IntegralValueOutOfRange(column, number)),
    })
}

/// The entry in the columns from `first` on.
pub(super) fn entry_of(row: &Row<'_>, first: usize) -> rusqlite::Result<Entry> {
    let unsigned = |index: usize| row.get::<_, i64>(first + index).map(i64::cast_unsigned);
    let name = |index: usize| {
        let text = row.get_ref(first + index)?.as_str_or_null();
        text.map(|text| text.map(Arc::<str>::from)).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(first + index, Type::Text, error.into())
        })
    };
    Ok(Entry {
        kind: kind_of(row.get(first)?, first)?,
        size: unsigned(1)?,
        mode: row.get(first + 2)?,
        uid: row.get(first + 3)?,
        gid: row.get(first + 4)?,
        user: name(5)?,
        group: name(6)?,
        mtime: row.get(first + 7)?,
        ctime: row.get(first + 8)?,
        inode: unsigned(9)?,
        device: unsigned(10)?,
        links: row.get(first + 11)?,
        target: row.get(first + 12)?,
        digests: Digests {
            sha256: row.get(first + 13)?,
            sha1: row.get(first + 14)?,
            md5: row.get(first + 15)?,
        },
        unhashed: name(16)?.map(|text| unhashed_of(&text)),
        settled: row.get(first + 17)?,
    })
}

/// Binds the columns to the parameters from `first` on.
pub(super) fn bind(
    statement: &mut CachedStatement<'_>,
    first: usize,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let mut at = first;
    let mut bind = |value: &dyn rusqlite::ToSql| {
        at += 1;
        statement.raw_bind_parameter(at - 1, value)
    };
    bind(&number_of(entry.kind))?;
    bind(&entry.size.cast_signed())?;
    bind(&entry.mode)?;
    bind(&entry.uid)?;
    bind(&entry.gid)?;
    bind(&entry.user.as_deref())?;
    bind(&entry.group.as_deref())?;
    bind(&entry.mtime)?;
    bind(&entry.ctime)?;
    bind(&entry.inode.cast_signed())?;
    bind(&entry.device.cast_signed())?;
    bind(&entry.links)?;
    bind(&entry.target)?;
    bind(&entry.digests.sha256.as_ref().map(<[u8; 32]>::as_slice))?;
    bind(&entry.digests.sha1.as_ref().map(<[u8; 20]>::as_slice))?;
    bind(&entry.digests.md5.as_ref().map(<[u8; 16]>::as_slice))?;
    bind(&entry.unhashed.as_ref().map(text_of))?;
    bind(&entry.settled)
}

fn text_of(unhashed: &Unhashed) -> String {
    match unhashed {
        Unhashed::TooLarge => TOO_LARGE.to_owned(),
        Unhashed::KeptChanging => KEPT_CHANGING.to_owned(),
        Unhashed::OwnFile => OWN_FILE.to_owned(),
        Unhashed::Unreadable(reason) => format!("{UNREADABLE}{reason}"),
    }
}

fn unhashed_of(text: &str) -> Unhashed {
    match text {
        TOO_LARGE => Unhashed::TooLarge,
        KEPT_CHANGING => Unhashed::KeptChanging,
        OWN_FILE => Unhashed::OwnFile,
        _ => Unhashed::Unreadable(text.strip_prefix(UNREADABLE).unwrap_or(text).to_owned()),
    }
}
