//! What makes a process this very process: a pid alone is reused, a pid with its start time and boot is not.

use std::io;

use serde::{Deserialize, Serialize};

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A process, told apart from every other process that ever had the same pid.
///
/// `execve` keeps all three values: an exec in place is not visible here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id in the pid namespace of whoever took the identity.
    pub pid: i32,
    /// When it was started, in clock ticks (1/100 s) since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
    /// The kernel's random id of this boot.
    pub boot_id: String,
}

/// Why a process could not be identified.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoSuchProcess(i32),
    /// `/proc` is missing or not readable.
    #[error("cannot read {path}: {source}; is /proc mounted?")]
    Read {
        /// The file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel's file has another form than documented.
    #[error("{path} has an unknown form")]
    Form {
        /// The file.
        path: String,
    },
}

impl ProcessIdentity {
    /// The identity of the calling process.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn own() -> Result<Self, IdentityError> {
        Self::of(own_pid())
    }

    /// The identity of the process that has `pid` now. A zombie still has one.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn of(pid: i32) -> Result<Self, IdentityError> {
        let stat = stat_of(pid)?;
        Ok(Self { pid, start_time: stat.start_time, boot_id: boot_id()? })
    }

    /// Whether this very process still runs. A zombie does not: its parent just has not asked yet. When `/proc`
    /// cannot be read the answer is yes, so that nobody takes the place of a process that may live.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        if boot_id().is_ok_and(|now| now != self.boot_id) {
            return false;
        }
        match stat_of(self.pid) {
            Ok(stat) => {
                stat.start_time == self.start_time && !matches!(stat.state, 'Z' | 'X' | 'x')
            }
            Err(IdentityError::NoSuchProcess(_)) => false,
            Err(IdentityError::Read { .. } | IdentityError::Form { .. }) => true,
        }
    }
}

/// The pid of the calling process.
pub(crate) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

struct Stat {
    state: char,
    start_time: u64,
}

fn stat_of(pid: i32) -> Result<Stat, IdentityError> {
    let path = format!("/proc/{pid}/stat");
    // A process that ends between open and read answers ESRCH.
    let bytes = std::fs::read(&path).map_err(|source| {
        let gone = source.kind() == io::ErrorKind::NotFound
            || source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error());
        if gone {
            IdentityError::NoSuchProcess(pid)
        } else {
            IdentityError::Read { path: path.clone(), source }
        }
    })?;
    parse_stat(&bytes).ok_or(IdentityError::Form { path })
}

/// The second field is the program's name in parentheses and may itself hold blanks and parentheses, so everything is
/// counted from the last one.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let end_of_name = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(bytes.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    // The state is field 3, so field 22 is the 19th after it.
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(Stat { state, start_time })
}

fn boot_id() -> Result<String, IdentityError> {
    std::fs::read_to_string(BOOT_ID)
        .map(|text| text.trim().to_owned())
        .map_err(|source| IdentityError::Read { path: BOOT_ID.to_owned(), source })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests need another process")]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_own_process_is_alive_and_always_the_same() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive());
        assert_eq!(own, ProcessIdentity::own().unwrap());
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        assert_eq!(own.boot_id, boot_id.trim());
    }

    #[test]
    fn a_process_with_the_same_pid_but_another_start_time_or_boot_is_another_one() {
        let own = ProcessIdentity::own().unwrap();
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own.clone() }.is_alive());
        assert!(!ProcessIdentity { boot_id: "another".into(), ..own }.is_alive());
    }

    #[test]
    fn a_zombie_has_an_identity_but_is_not_alive() {
        let mut child = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let identity = ProcessIdentity::of(pid).unwrap();
        assert!(identity.is_alive());

        let pidfd = rustix::process::pidfd_open(
            rustix::process::Pid::from_child(&child),
            rustix::process::PidfdFlags::empty(),
        )
        .unwrap();
        drop(child.stdin.take());
        let mut ended = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut ended, None).unwrap();
        assert!(!identity.is_alive());
        assert_eq!(ProcessIdentity::of(pid).unwrap(), identity);

        child.wait().unwrap();
        assert!(matches!(ProcessIdentity::of(pid), Err(IdentityError::NoSuchProcess(_))));
    }

    #[test]
    fn a_program_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = b"7 (a ) S (b) R 1 7 7 0 -1 4194304 5 0 0 0 1 2 0 0 20 0 1 0 4711 99 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.start_time), ('R', 4711));
    }
}
