//! The names of users and groups, from the files of this machine alone: a service of names on the network could hang.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// Bytes. A larger list of users is read up to here.
const LONGEST: u64 = 64 << 20;

/// The names of users and groups; reads their files again when those have changed.
#[derive(Debug)]
pub(crate) struct Owners {
    users: PathBuf,
    groups: PathBuf,
    names: RwLock<Arc<Names>>,
}

/// The names at one time.
#[derive(Debug, Default)]
pub(crate) struct Names {
    users: Table,
    groups: Table,
}

#[derive(Debug, Default, Clone)]
struct Table {
    /// What the file looked like when it was read.
    stamp: Option<(i64, i64, u64, u64)>,
    names: HashMap<u32, Arc<str>>,
}

impl Default for Owners {
    fn default() -> Self {
        Self::new("/etc/passwd", "/etc/group")
    }
}

impl Owners {
    pub(crate) fn new(users: impl Into<PathBuf>, groups: impl Into<PathBuf>) -> Self {
        Self { users: users.into(), groups: groups.into(), names: RwLock::default() }
    }

    /// The names now. Looks at both files and reads what has changed; to be called once for many names.
    pub(crate) fn names(&self) -> Arc<Names> {
        let known = Arc::clone(&self.names.read().unwrap_or_else(PoisonError::into_inner));
        let (users, groups) = (known.users.newer(&self.users), known.groups.newer(&self.groups));
        if users.is_none() && groups.is_none() {
            return known;
        }
        let names = Arc::new(Names {
            users: users.unwrap_or_else(|| known.users.clone()),
            groups: groups.unwrap_or_else(|| known.groups.clone()),
        });
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&names);
        names
    }
}

impl Names {
    pub(crate) fn user(&self, uid: u32) -> Option<Arc<str>> {
        self.users.names.get(&uid).cloned()
    }

    pub(crate) fn group(&self, gid: u32) -> Option<Arc<str>> {
        self.groups.names.get(&gid).cloned()
    }
}

impl Table {
    /// The table as the file is now, if that has changed.
    fn newer(&self, path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        let stamp = meta.map(|meta| (meta.mtime(), meta.mtime_nsec(), meta.size(), meta.ino()));
        if stamp == self.stamp {
            return None;
        }
        let names = match stamp.map(|_| read(path)) {
            Some(Ok(content)) => parse(&content),
            // Names that were known a moment ago are better than none.
            Some(Err(_)) => self.names.clone(),
            None => HashMap::new(),
        };
        Some(Self { stamp, names })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let mut content = Vec::new();
    file.take(LONGEST).read_to_end(&mut content)?;
    Ok(content)
}

/// Lines of `name:password:number:...`; of several names for a number the first one counts, as it does for `ls`.
fn parse(content: &[u8]) -> HashMap<u32, Arc<str>> {
    let mut names = HashMap::new();
    for line in content.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else { continue };
        let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
        if let (Ok(name), Some(number)) = (std::str::from_utf8(name), number) {
            names.entry(number).or_insert_with(|| Arc::from(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_as_soon_as_the_file_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let (users, groups) = (folder.path().join("passwd"), folder.path().join("group"));
        let owners = Owners::new(&users, &groups);
        assert_eq!(owners.names().user(0), None);
        std::fs::write(&users, "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n# no\n:\n+::::::\n")
            .unwrap();
        std::fs::write(&groups, "wheel:x:0:\nb\u{e4}r:x:7:a,b\n").unwrap();
        assert_eq!(owners.names().user(0).as_deref(), Some("root"));
        assert_eq!(owners.names().group(7).as_deref(), Some("b\u{e4}r"));
        std::fs::write(&groups, "adm:x:7:\n").unwrap();
        assert_eq!(owners.names().group(7).as_deref(), Some("adm"));
        assert_eq!(owners.names().group(0), None);
        std::fs::remove_file(&groups).unwrap();
        assert_eq!(owners.names().group(7), None);
    }

    #[test]
    fn nothing_changed_means_nothing_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("passwd");
        std::fs::write(&users, "root:x:0:0\n").unwrap();
        let owners = Owners::new(&users, folder.path().join("none"));
        assert!(Arc::ptr_eq(&owners.names(), &owners.names()));
    }
}
