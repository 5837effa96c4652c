//! Descriptors by number: taking over those this process was started with, and laying out those of its successor.
#![expect(
    unsafe_code,
    reason = "descriptors that came through execve have no owner that the compiler knows"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc;
use nix::sched::{CloneFlags, unshare};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

/// Where handed-over descriptors begin.
pub(crate) const FIRST: RawFd = 3;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes ownership of the descriptors `FIRST..FIRST + count` and makes them close-on-exec, each with its number or with
/// the reason why it is not ours. `None` when they were taken before in this process.
///
/// Only descriptors without close-on-exec are taken: whatever came through `execve` is such, whatever this process
/// has opened itself (as std and every crate does) is not. So a forged count never takes a descriptor from its owner.
pub(crate) fn take(count: u32) -> Option<Vec<(RawFd, Result<OwnedFd, String>)>> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return None;
    }
    let end = FIRST.saturating_add(RawFd::try_from(count).unwrap_or(RawFd::MAX));
    Some((FIRST..end).map(|number| (number, take_one(number))).collect())
}

fn take_one(number: RawFd) -> Result<OwnedFd, String> {
    // SAFETY: the borrow ends with this function. A number that is not open is answered with EBADF, and between the
    // two calls nobody else closes it: descriptors without close-on-exec are nobody's yet.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(|_| "not open".to_owned())?;
    if flags.contains(FdFlags::CLOEXEC) {
        return Err("opened by this process itself".to_owned());
    }
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    // SAFETY: it is open, came through execve, and `TAKEN` lets this happen once, so there is no other owner.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

/// Keeps whatever else this process was started with to this process: it becomes close-on-exec, so that no helper, no
/// successor and no child has it by accident. It is not closed, since it may be a lock that somebody holds through us.
///
/// # Errors
/// The kernel's answer, when `/proc` is not there.
pub(crate) fn keep_the_rest_to_this_process() -> io::Result<()> {
    close_on_exec_from(FIRST)
}

/// Gives the calling thread a table of descriptors and a working directory of its own, so that what it does to them on
/// its way to `execve` is not seen by the other threads. The thread must end or exec afterwards.
///
/// A container may forbid both ways. Then the table stays shared, and other threads that still run may see their
/// descriptors replaced in the moment before `execve` ends them.
pub(crate) fn detach_from_other_threads() {
    if unshare(CloneFlags::CLONE_FILES | CloneFlags::CLONE_FS).is_ok() {
        return;
    }
    // Allowed where unshare is not. The range holds no descriptor; the flag is what is wanted.
    // SAFETY: closes nothing and touches no memory. On a kernel without the call (before 5.9) it answers ENOSYS.
    let status = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            libc::c_uint::MAX,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        )
    };
    tracing::debug!(status, "unshare is not permitted, used close_range to detach the descriptors");
}

/// Lays `fds` at `FIRST`, `FIRST + 1`, … without close-on-exec and sets close-on-exec on everything above them, so that
/// a program exec'ed next has these and the standard three, and no other.
///
/// Whatever had those numbers is closed: only for a process (or a detached thread) that execs or ends next.
///
/// # Errors
/// The kernel's answer, when descriptors have run out.
pub(crate) fn lay_out(fds: Vec<OwnedFd>) -> io::Result<()> {
    let end = RawFd::try_from(fds.len()).ok().and_then(|count| FIRST.checked_add(count));
    let end = end.ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
    // First everything out of the target range: a source may have the number that another one is to get.
    let above: Vec<OwnedFd> =
        fds.iter().map(|fd| fcntl_dupfd_cloexec(fd, end)).collect::<Result<_, _>>()?;
    // The sources may lie in the target range, where their numbers get other owners now. Their copies live above.
    for fd in fds {
        if fd.as_raw_fd() >= end {
            drop(fd);
        } else {
            let _number: RawFd = fd.into_raw_fd();
        }
    }
    for (number, fd) in (FIRST..end).zip(&above) {
        // SAFETY: the caller gave up this process's use of the numbers; see the function's contract.
        let placed = unsafe { nix::unistd::dup2_raw(fd, number) }?;
        let _number: RawFd = placed.into_raw_fd();
    }
    close_on_exec_from(end)
}

/// Goes through `/proc`, which works on every kernel and with gaps of any size.
fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/thread-self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number >= first)
        .collect();
    for number in numbers {
        // SAFETY: a borrow for one call. The listing's own descriptor is closed by now and answers EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl_setfd(borrowed, FdFlags::CLOEXEC) {
            Ok(()) | Err(rustix::io::Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
