//! A process that is to end: signalled and waited for without ever meaning another one with the same pid.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, pidfd_send_signal};

use crate::ProcessIdentity;
use crate::kernel_clock::timespec;

/// How often a process is looked at on kernels that do not report its end (before 5.3).
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The process to watch.
#[derive(Debug)]
pub(crate) enum Watched {
    /// By a descriptor that was opened while the process certainly ran. It never means another process.
    ByDescriptor(OwnedFd),
    /// By pid and start time, which are compared before each signal. Between the two the process could end and its pid
    /// be reused only if the kernel went through all pids within microseconds.
    ByIdentity(ProcessIdentity),
}

impl Watched {
    /// Sends `signal`. That the process has ended already is no error.
    ///
    /// # Errors
    /// The kernel's answer, such as a missing permission.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let sent = match self {
            Self::ByDescriptor(pidfd) => pidfd_send_signal(pidfd, signal),
            Self::ByIdentity(identity) => match Pid::from_raw(identity.pid) {
                Some(pid) if identity.is_alive() => kill_process(pid, signal),
                Some(_) | None => Ok(()),
            },
        };
        match sent {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended, `also` can be read, or `timeout` has passed; `None` waits for ever. May return
    /// early, with neither. A zombie has ended.
    ///
    /// # Errors
    /// The kernel's answer to poll.
    pub(crate) fn wait(
        &self,
        also: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> io::Result<Woken> {
        let (pidfd, timeout) = match self {
            Self::ByDescriptor(pidfd) => (Some(pidfd.as_fd()), timeout),
            Self::ByIdentity(_) => (None, Some(timeout.map_or(LOOK_AGAIN, |t| t.min(LOOK_AGAIN)))),
        };
        let fds = [pidfd, also];
        let mut set: Vec<PollFd<'_>> =
            fds.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        match poll(&mut set, timeout.map(timespec).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = set.iter().map(|fd| !fd.revents().is_empty());
        let by_descriptor = pidfd.is_some() && ready.next().unwrap_or(false);
        let also = also.is_some() && ready.next().unwrap_or(false);
        let ended = match self {
            Self::ByDescriptor(_) => by_descriptor,
            Self::ByIdentity(identity) => !identity.is_alive(),
        };
        Ok(Woken { ended, also })
    }
}

/// Why [`Watched::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Woken {
    /// The process has ended.
    pub(crate) ended: bool,
    /// The other descriptor can be read, or was hung up.
    pub(crate) also: bool,
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests need another process")]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Child, Command, Stdio};

    use rustix::process::{PidfdFlags, pidfd_open};

    use super::*;

    /// A process that runs until it is signalled or its input ends, watched in both ways.
    fn child() -> (Child, [Watched; 2]) {
        let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let identity = ProcessIdentity::of(pid.as_raw_nonzero().get()).unwrap();
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        (child, [Watched::ByDescriptor(pidfd), Watched::ByIdentity(identity)])
    }

    #[test]
    fn each_way_signals_the_process_and_sees_its_end_though_nobody_reaps_it() {
        for way in 0..2 {
            let (mut child, watched) = child();
            let watched = &watched[way];
            let at_once = watched.wait(None, Some(Duration::ZERO)).unwrap();
            assert_eq!(at_once, Woken { ended: false, also: false });
            watched.signal(Signal::TERM).unwrap();
            while !watched.wait(None, None).unwrap().ended {}
            // A zombie is still there and takes the signal; it is no error either way.
            watched.signal(Signal::KILL).unwrap();
            assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
            watched.signal(Signal::KILL).unwrap();
            assert!(watched.wait(None, None).unwrap().ended);
        }
    }

    #[test]
    fn a_process_with_the_same_pid_but_another_start_time_or_boot_is_never_signalled() {
        let (mut child, [_, watched]) = child();
        let Watched::ByIdentity(identity) = watched else { panic!("made by identity") };
        let later = ProcessIdentity { start_time: identity.start_time + 1, ..identity.clone() };
        let of_another_boot = ProcessIdentity { boot_id: "another".to_owned(), ..identity };
        for other in [later, of_another_boot].map(Watched::ByIdentity) {
            other.signal(Signal::KILL).unwrap();
            assert!(
                other.wait(None, None).unwrap().ended,
                "the process meant is not there any more"
            );
        }
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "it ended by itself");
    }

    #[test]
    fn the_other_descriptor_wakes_too() {
        let (mut child, watched) = child();
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        drop(writer);
        for watched in &watched {
            let woken = watched.wait(Some(reader.as_fd()), None).unwrap();
            assert_eq!(woken, Woken { ended: false, also: true });
        }
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
