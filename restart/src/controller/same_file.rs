//! Whether two descriptors are one: their numbers and most of what `fstat` says cannot tell.
#![expect(unsafe_code, reason = "there is no safe wrapper of kcmp")]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc;
use rustix::fs::{FileType, fstat};

use crate::identity::own_pid;

/// `KCMP_FILE` of `linux/kcmp.h`.
const KCMP_FILE: libc::c_int = 0;

/// Whether both descriptors lead to one open file, as a copy and its original do.
///
/// A kernel without `kcmp`, or a sandbox that forbids it, leaves only the inode, which is one for each socket but one for
/// all of inotify: then only sockets are recognised, and of others is said that they differ.
pub(crate) fn same_open_file(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let pid = own_pid();
    // SAFETY: the call reads five numbers and touches no memory; both descriptors are open for its whole length.
    let order = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            pid,
            pid,
            KCMP_FILE,
            libc::c_long::from(one.as_raw_fd()),
            libc::c_long::from(other.as_raw_fd()),
        )
    };
    if order >= 0 { order == 0 } else { same_socket(one, other) }
}

fn same_socket(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let (Ok(one), Ok(other)) = (fstat(one), fstat(other)) else { return false };
    FileType::from_raw_mode(one.st_mode) == FileType::Socket
        && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use rustix::fs::inotify;

    use super::*;

    #[test]
    fn a_copy_is_the_same_and_another_of_its_kind_is_not() {
        let watch = || inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let (one, other) = (watch(), watch());
        assert!(same_open_file(one.as_fd(), one.try_clone().unwrap().as_fd()));
        assert!(!same_open_file(one.as_fd(), other.as_fd()));
    }

    #[test]
    fn sockets_are_told_apart_also_without_kcmp() {
        let (one, other) = UnixDatagram::pair().unwrap();
        assert!(same_socket(one.as_fd(), one.try_clone().unwrap().as_fd()));
        assert!(!same_socket(one.as_fd(), other.as_fd()));
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        assert!(!same_socket(watch.as_fd(), watch.as_fd()), "all of them have one inode");
    }
}
