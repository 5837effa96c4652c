//! The file systems that are watched: where they are mounted, and what the kernel calls them.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, open};

use crate::path_bytes::PathBytes;
use crate::sys::Handle;

/// One mount, as `/proc/self/mountinfo` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: PathBytes,
    pub(crate) fstype: String,
}

/// Open file systems, by the ids that their handles bear.
#[derive(Debug, Default)]
pub(crate) struct Filesystems {
    open: BTreeMap<u64, OwnedFd>,
}

/// The mounts in `text`; of several at one point the last one is seen.
pub(crate) fn mounts(text: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(point) = fields.nth(4).map(unescaped) else { continue };
        let Some(fstype) = fields.skip_while(|field| *field != b"-").nth(1) else { continue };
        let point = PathBytes::new(point);
        mounts.retain(|mount| mount.point != point);
        let fstype = String::from_utf8_lossy(fstype).into_owned();
        mounts.push(Mount { point, fstype });
    }
    mounts
}

/// The mounts of which something is seen below `roots`: those that hold a root, and those below one.
pub(crate) fn concerning<'a>(
    mounts: &'a [Mount],
    roots: &[PathBytes],
) -> impl Iterator<Item = &'a Mount> {
    let holder = |root: &PathBytes| {
        let holding = mounts.iter().filter(|mount| root.below(&mount.point).is_some());
        holding.max_by_key(|mount| mount.point.as_bytes().len())
    };
    let holders: Vec<&Mount> = roots.iter().filter_map(holder).collect();
    let roots = roots.to_vec();
    mounts.iter().filter(move |mount| {
        holders.contains(mount) || roots.iter().any(|root| mount.point.below(root).is_some())
    })
}

/// `\040` and the like are bytes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(value) => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}

/// The id of the file system that `fd` is on, as its handles bear it.
pub(crate) fn id_of(fd: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    let id = rustix::fs::fstatvfs(fd)?.f_fsid;
    Ok(id)
}

impl Filesystems {
    /// Opens the file system at this mount point. An automount is not triggered by what is mounted already.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn open(&mut self, point: &PathBytes) -> rustix::io::Result<(u64, BorrowedFd<'_>)> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let folder = open(point.as_path(), flags | OFlags::DIRECTORY, Mode::empty());
        // A mount point may be a file; opening that would be no better than any other path on its file system.
        let fd = folder.or_else(|_| open(point.as_path(), flags | OFlags::PATH, Mode::empty()))?;
        let id = id_of(fd.as_fd())?;
        let kept = self.open.entry(id).or_insert(fd);
        Ok((id, OwnedFd::as_fd(kept)))
    }

    /// Where the folder with this handle is found now; `None` when it is gone or cannot be reached from here.
    pub(crate) fn path_of(&self, handle: &Handle) -> Option<PathBytes> {
        let mount = self.open.get(&handle.filesystem)?;
        let folder = handle.open(mount.as_fd()).ok()?;
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
        let path = std::fs::read_link(link).ok()?;
        let path = path.as_os_str().as_bytes();
        // What is not reachable is shown with a word in brackets before it or after it.
        let reachable = path.starts_with(b"/") && !path.ends_with(b" (deleted)");
        reachable.then(|| PathBytes::new(path))
    }

    /// Device and inode of the file with this handle; `None` when it is gone.
    pub(crate) fn identity_of(&self, handle: &Handle) -> Option<(u64, u64)> {
        let mount = self.open.get(&handle.filesystem)?;
        let file = handle.open(mount.as_fd()).ok()?;
        let found = rustix::fs::fstat(&file).ok()?;
        Some((found.st_dev, found.st_ino))
    }

    /// Another set of the same descriptors.
    pub(crate) fn try_clone(&self) -> std::io::Result<Self> {
        let copy = |(id, fd): (&u64, &OwnedFd)| Ok((*id, fd.try_clone()?));
        Ok(Self { open: self.open.iter().map(copy).collect::<std::io::Result<_>>()? })
    }
}

/// The mounts of this process.
///
/// # Errors
/// `/proc` is not mounted.
pub(crate) fn own_mounts() -> std::io::Result<Vec<Mount>> {
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut File::open("/proc/self/mountinfo")?, &mut text)?;
    Ok(mounts(&text))
}

#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
        23 22 0:20 / /proc rw - proc proc rw\n\
        24 22 8:2 / /srv/with\\040space rw shared:3 master:1 - xfs /dev/sdb rw\n\
        25 22 0:30 / /srv/net rw - nfs4 host:/x rw\n\
        26 22 0:31 / /srv/net rw - tmpfs tmpfs rw\n";

    #[test]
    fn mounts_are_read_with_their_escapes_and_the_uppermost_one_counts() {
        let found = mounts(TEXT);
        let shown: Vec<String> =
            found.iter().map(|mount| format!("{} {}", mount.point, mount.fstype)).collect();
        let expected = ["/ ext4", "/proc proc", "/srv/with space xfs", "/srv/net tmpfs"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_mounts_that_hold_a_root_or_are_below_one_matter() {
        let mounts = mounts(TEXT);
        let concerning = |root: &str| {
            let roots = [PathBytes::new(root)];
            concerning(&mounts, &roots).map(|mount| mount.point.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(concerning("/etc"), ["/"]);
        assert_eq!(concerning("/srv"), ["/", "/srv/with space", "/srv/net"]);
        assert_eq!(concerning("/srv/net/a"), ["/srv/net"]);
    }

    #[test]
    fn a_folder_is_found_by_its_handle_until_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let root = PathBytes::new(folder.path().as_os_str().as_bytes());
        let mut filesystems = Filesystems::default();
        let (id, _) = filesystems.open(&root).unwrap();
        let below = folder.path().join("a");
        std::fs::create_dir(&below).unwrap();
        let handle = match Handle::of(File::open(&below).unwrap().as_fd(), id) {
            Ok(handle) => handle,
            Err(error) => return eprintln!("skipped: a_folder_is_found_by_its_handle: {error}"),
        };
        if handle.open(File::open(&below).unwrap().as_fd()).is_err() {
            return eprintln!(
                "skipped: a_folder_is_found_by_its_handle: needs CAP_DAC_READ_SEARCH"
            );
        }
        assert_eq!(filesystems.path_of(&handle), Some(root.join(b"a")));
        std::fs::rename(&below, folder.path().join("b")).unwrap();
        assert_eq!(filesystems.path_of(&handle), Some(root.join(b"b")));
        std::fs::remove_dir(folder.path().join("b")).unwrap();
        assert_eq!(filesystems.path_of(&handle), None);
    }
}
