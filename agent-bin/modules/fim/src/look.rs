//! Looks at what is on the disk: the attributes of a name, and the digests of what it leads to.

mod open;
mod own_files;
mod owners;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;

#[cfg(test)]
pub(crate) use open::open_subfolder;
pub(crate) use open::{For, handle_of, is_gone, is_unchanged, open_folder, open_regular};
pub(crate) use own_files::OwnFiles;
pub(crate) use owners::{Names, Owners};

use crate::clock;
use crate::config::Config;
use crate::entry::{Entry, Kind, Unhashed};
use crate::hash::{Digests, Wanted, hash_one};
use crate::path_bytes::PathBytes;
use crate::rules::Rule;
use crate::sys::Handle;

/// How often a file that changes while it is read is read again.
pub(crate) const ATTEMPTS: u32 = 3;

/// A change that is not older than this (nanoseconds) may be followed by one that has the same time.
const SETTLED_AFTER: i64 = 1_000_000_000;

/// Looks at names. May be shared by threads.
#[derive(Debug)]
pub(crate) struct Looker {
    pub(crate) wanted: Wanted,
    pub(crate) owners: Owners,
    pub(crate) own: OwnFiles,
}

/// A whole look at a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Looked {
    pub(crate) entry: Entry,
    /// Of a folder whose file system has handles.
    pub(crate) handle: Option<Handle>,
}

/// What is still to be done for the digests of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digesting {
    /// Nothing: there are none, or the row's are still right.
    Done,
    /// The file has to be read.
    Due,
}

impl Looker {
    /// Looks with the names of this machine's users, and never into `own_folders`, the agent's own.
    pub(crate) fn new(config: &Config, own_folders: Vec<PathBuf>) -> Self {
        Self {
            wanted: Wanted { sha256: true, sha1: config.sha1, md5: config.md5 },
            owners: Owners::default(),
            own: OwnFiles::new(own_folders),
        }
    }

    /// Takes the digests from `row` if nothing has moved since, or says why there are none, or that the file has to be read.
    pub(crate) fn digest(&self, entry: &mut Entry, row: Option<&Entry>, limit: u64) -> Digesting {
        if entry.kind != Kind::File {
            return Digesting::Done;
        }
        if self.own.holds(entry) {
            entry.unhashed = Some(Unhashed::OwnFile);
            return Digesting::Done;
        }
        if entry.size > limit {
            entry.unhashed = Some(Unhashed::TooLarge);
            return Digesting::Done;
        }
        match row.filter(|row| self.is_valid(row, entry)) {
            Some(row) => {
                entry.digests = row.digests;
                entry.settled = true;
                Digesting::Done
            }
            None => Digesting::Due,
        }
    }

    /// Whether the digests of `row` are those of `entry`, and all that are wanted.
    fn is_valid(&self, row: &Entry, entry: &Entry) -> bool {
        let Wanted { sha256, sha1, md5 } = self.wanted;
        row.settled
            && row.kind == entry.kind
            && row.unhashed.is_none()
            && (!sha256 || row.digests.sha256.is_some())
            && (!sha1 || row.digests.sha1.is_some())
            && (!md5 || row.digests.md5.is_some())
            && (row.size, row.mtime, row.ctime, row.inode, row.device)
                == (entry.size, entry.mtime, entry.ctime, entry.inode, entry.device)
    }

    /// A whole look at `path`: attributes, and the digests of a regular file if it may have changed since `row`, the handle of
    /// a folder. `None`: it is not there, or one of the agent's own files. The digests belong to the attributes: a file that
    /// changes while it is read is read again, up to [`ATTEMPTS`] times. Takes as long as reading the file.
    ///
    /// # Errors
    /// Why the path cannot be looked at. A file that cannot be read is no error, its entry says so.
    pub(crate) fn examine(
        &self,
        path: &PathBytes,
        rule: &Rule,
        row: Option<&Entry>,
    ) -> io::Result<Option<Looked>> {
        if self.own.holds_path(path) {
            return Ok(None);
        }
        let (folder, name) = match path.split() {
            Some((folder, name)) => (folder, name),
            None => (path.clone(), b"".as_slice()),
        };
        let parent = match open_folder(&folder, For::Passing) {
            Ok(parent) => parent,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.examine_in(parent.as_fd(), name, rule, row)
    }

    /// As [`Looker::examine`], for a name in an open folder.
    ///
    /// # Errors
    /// Why the name cannot be looked at.
    pub(crate) fn examine_in(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        rule: &Rule,
        row: Option<&Entry>,
    ) -> io::Result<Option<Looked>> {
        let names = self.owners.names();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let Some(mut entry) = look(parent, name, &names)? else { return Ok(None) };
            if entry.kind == Kind::Folder {
                // Through a descriptor, so that attributes and handle are of the same folder.
                let Some(folder) = open_path(parent, name)? else { continue };
                entry = entry_of(&rustix::fs::fstat(&folder)?, &names);
                if entry.kind != Kind::Folder {
                    continue;
                }
                if self.own.holds(&entry) {
                    return Ok(None);
                }
                return Ok(Some(Looked { entry, handle: handle_of(folder.as_fd()) }));
            }
            if self.digest(&mut entry, row, rule.max_hash_size) == Digesting::Done {
                return Ok(Some(Looked { entry, handle: None }));
            }
            match self.read_once(parent, name, &entry) {
                Ok(Some(digests)) => {
                    entry.digests = digests;
                    return Ok(Some(Looked { entry, handle: None }));
                }
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    entry.unhashed = Some(Unhashed::Unreadable(error.to_string()));
                    return Ok(Some(Looked { entry, handle: None }));
                }
            }
            last = Some(entry);
        }
        Ok(last.map(|mut entry| {
            entry.unhashed = Some(Unhashed::KeptChanging);
            Looked { entry, handle: None }
        }))
    }

    /// The digests of the file, or none if it has changed since `entry` was made.
    fn read_once(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<Option<Digests>> {
        let file = open_regular(parent, name, entry)?;
        // What is written to its end meanwhile is not read: it could be so fast that this would never end.
        let (digests, bytes) = hash_one(&file, entry.size, &self.wanted)?;
        let whole = bytes == entry.size && is_unchanged(file.as_fd(), entry)?;
        Ok(whole.then_some(digests))
    }
}

/// The attributes of `name` in `parent`, without digests; of `parent` itself for an empty name. `None`: it is not there.
/// A link is not followed, and nothing is opened.
///
/// # Errors
/// What the kernel says.
pub(crate) fn look(
    parent: BorrowedFd<'_>,
    name: &[u8],
    names: &Names,
) -> io::Result<Option<Entry>> {
    for _ in 0..ATTEMPTS {
        let stat = match rustix::fs::statat(parent, name, open::at_flags(name)) {
            Ok(stat) => stat,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut entry = entry_of(&stat, names);
        if entry.kind != Kind::Link {
            return Ok(Some(entry));
        }
        // Through a descriptor, so that attributes and target are of the same link.
        let Some(link) = open_path(parent, name)? else { continue };
        let again = rustix::fs::fstat(&link)?;
        match rustix::fs::readlinkat(&link, c"", Vec::new()) {
            Ok(target) => {
                entry = entry_of(&again, names);
                entry.target = Some(target.into_bytes());
                return Ok(Some(entry));
            }
            // It is no link any more.
            Err(Errno::INVAL | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::new(io::ErrorKind::ResourceBusy, "it was another thing at each look"))
}

/// Device and inode of what is at this path now, without following a link.
pub(crate) fn identity(path: &PathBytes) -> Option<(u64, u64)> {
    let (folder, name) = path.split()?;
    let parent = open_folder(&folder, For::Passing).ok()?;
    let found = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some((found.st_dev, found.st_ino))
}

/// When the file behind the name was made, in nanoseconds since 1970, where its file system knows that.
pub(crate) fn born(path: &PathBytes) -> Option<i64> {
    let (folder, name) = path.split()?;
    let parent = open_folder(&folder, For::Passing).ok()?;
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let found = rustix::fs::statx(&parent, name, flags, StatxFlags::BTIME).ok()?;
    let known = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    let born = found.stx_btime;
    let nanos = born.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(born.tv_nsec));
    known.then_some(nanos)
}

/// Opens whatever `name` is, without any right but to look at it.
fn open_path(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<std::os::fd::OwnedFd>> {
    if name.is_empty() {
        return parent.try_clone_to_owned().map(Some);
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Of the last change of the content, and of the last change of anything.
fn times_of(stat: &Stat) -> (i64, i64) {
    let nanos = |seconds: i64, nanos: u64| {
        seconds.saturating_mul(1_000_000_000).saturating_add_unsigned(nanos)
    };
    (nanos(stat.st_mtime, stat.st_mtime_nsec), nanos(stat.st_ctime, stat.st_ctime_nsec))
}

#[expect(clippy::useless_conversion, reason = "the types differ between processors")]
fn entry_of(stat: &Stat, names: &Names) -> Entry {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::RegularFile | FileType::Unknown => Kind::File,
    };
    let size = match kind {
        Kind::CharDevice | Kind::BlockDevice => stat.st_rdev,
        Kind::File | Kind::Folder | Kind::Link | Kind::Fifo | Kind::Socket => {
            stat.st_size.cast_unsigned()
        }
    };
    let (mtime, ctime) = times_of(stat);
    Entry {
        kind,
        size,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        user: names.user(stat.st_uid),
        group: names.group(stat.st_gid),
        mtime,
        ctime,
        inode: stat.st_ino,
        device: stat.st_dev,
        links: u32::try_from(u64::from(stat.st_nlink)).unwrap_or(u32::MAX),
        target: None,
        digests: Digests::default(),
        unhashed: None,
        settled: ctime.saturating_add(SETTLED_AFTER) < clock::now(),
    }
}

#[cfg(test)]
mod tests;
