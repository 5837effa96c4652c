//! A kernel object that watches for a module while no process reads it.

mod memory;
mod recorder;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// The class bits of `fanotify_init`; without one of them a group only notifies (`FAN_CLASS_NOTIF`).
const FANOTIFY_CLASS_BITS: u32 = 0x0c;

/// A kernel object that goes on collecting for a module while no process reads it: an inotify instance, a
/// notification-class fanotify group, or a socket. Beside those, memory that belongs to them: a sealed memfd that says what
/// their events mean ([`SensorFd::memory`]), and one of fixed size that the module goes on writing ([`SensorFd::recorder`]).
///
/// There is none of anything else. A fanotify group of a permission class in particular can never be handed over: whoever opens
/// a file would wait for an answer as long as no process reads it.
#[derive(Debug)]
pub struct SensorFd {
    name: String,
    fd: OwnedFd,
}

/// A descriptor that cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// Not a name of a sensor.
    #[error("invalid sensor name {0:?}: expected 1 to 32 characters of a-z, 0-9 and '-'")]
    Name(String),
    /// A fanotify group that decides about opens.
    #[error(
        "sensor {name} is a fanotify group of a permission class: while no process reads it, every open it watches would block"
    )]
    Blocking {
        /// The sensor's name.
        name: String,
    },
    /// A file, a pipe, or whatever else does not collect by itself.
    #[error(
        "sensor {name} is {found:?}, expected inotify, a fanotify group that only notifies, a socket, a sealed memfd or one of fixed size"
    )]
    Kind {
        /// The sensor's name.
        name: String,
        /// What it leads to, as `/proc` shows it.
        found: String,
    },
    /// Memory that is neither sealed nor a recorder: its size, or what it says, could change in a way that nobody expects.
    #[error(
        "sensor {name} is a memfd that is neither sealed nor of fixed size; make it with SensorFd::memory or SensorFd::recorder"
    )]
    NotSealed {
        /// The sensor's name.
        name: String,
    },
    /// Memory is to be read, and it is something else.
    #[error("sensor {name} is not memory and has nothing to be read as such")]
    NotMemory {
        /// The sensor's name.
        name: String,
    },
    /// A recorder without room.
    #[error("sensor {name} is to record into 0 bytes, expected 1 to {}", SensorFd::MAX_MEMORY)]
    NoRoom {
        /// The sensor's name.
        name: String,
    },
    /// More memory than is handed over.
    #[error("sensor {name} has {bytes} bytes, at most {} can be handed over", SensorFd::MAX_MEMORY)]
    TooLarge {
        /// The sensor's name.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// The kernel has no memory, or does not give it out.
    #[error("the memory of sensor {name} cannot be {action}: {source}")]
    Memory {
        /// The sensor's name.
        name: String,
        /// `made` or `read`.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// `/proc` does not say what it is.
    #[error("cannot tell what sensor {name} is: {source}; is /proc mounted?")]
    Unknown {
        /// The sensor's name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl SensorFd {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 32;

    /// Makes `fd` a sensor called `name`: a-z, 0-9 and `-`, 1 to 32 characters, once in a module.
    ///
    /// # Errors
    /// [`SensorError`]; `fd` is closed then.
    pub fn new(name: &str, fd: OwnedFd) -> Result<Self, SensorError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=Self::MAX_NAME).contains(&name.len()) || !name.chars().all(allowed) {
            return Err(SensorError::Name(name.to_owned()));
        }
        let unknown = |source| SensorError::Unknown { name: name.to_owned(), source };
        let number = fd.as_raw_fd();
        let link = std::fs::read_link(format!("/proc/thread-self/fd/{number}")).map_err(unknown)?;
        let found = link.to_string_lossy().into_owned();
        match found.as_str() {
            "anon_inode:inotify" => {}
            "anon_inode:[fanotify]" => {
                let path = format!("/proc/thread-self/fdinfo/{number}");
                let info = std::fs::read_to_string(path).map_err(unknown)?;
                if !only_notifies(&info) {
                    return Err(SensorError::Blocking { name: name.to_owned() });
                }
            }
            _ if found.starts_with("socket:[") => {}
            // A file could have such a name; it has no seals.
            _ if found.starts_with(memory::LINK) => {
                if !memory::is_sealed(fd.as_fd()) {
                    recorder::check(name, fd.as_fd())?;
                }
            }
            _ => return Err(SensorError::Kind { name: name.to_owned(), found }),
        }
        Ok(Self { name: name.to_owned(), fd })
    }

    /// The name under which the next instance receives it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor itself.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for SensorFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Whether `fdinfo` of a fanotify group says that it is of the class that only notifies. One that does not say is not.
fn only_notifies(fdinfo: &str) -> bool {
    let flags = fdinfo.lines().find_map(|line| line.strip_prefix("fanotify flags:"));
    let flags = flags.and_then(|rest| rest.split_whitespace().next());
    flags
        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
        .is_some_and(|flags| flags & FANOTIFY_CLASS_BITS == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fanotify_group_that_could_block_an_open_is_told_by_its_class() {
        let info = |flags: &str| {
            format!(
                "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1038\nfanotify flags:{flags} event-flags:8000\n"
            )
        };
        assert!(only_notifies(&info("0")));
        assert!(only_notifies(&info("a13")));
        for blocking in ["4", "8", "a17", "c", "", "x"] {
            assert!(!only_notifies(&info(blocking)), "{blocking}");
        }
        assert!(!only_notifies("pos:\t0\n"));
    }

    #[test]
    fn what_does_not_collect_by_itself_is_no_sensor() {
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let error = SensorFd::new("inotify", file).unwrap_err();
        assert!(error.to_string().contains("is \"/dev/null\", expected inotify"), "{error}");
        let (pipe, _) = io::pipe().unwrap();
        assert!(matches!(SensorFd::new("pipe", pipe.into()), Err(SensorError::Kind { .. })));
    }

    #[test]
    fn a_socket_is_a_sensor_if_it_has_the_name_of_one() {
        let socket = || OwnedFd::from(std::os::unix::net::UnixDatagram::unbound().unwrap());
        assert_eq!(SensorFd::new("audit-1", socket()).unwrap().name(), "audit-1");
        for name in ["", "Audit", "a.b", "a:b", "a_b", &"a".repeat(33)] {
            assert!(matches!(SensorFd::new(name, socket()), Err(SensorError::Name(_))), "{name}");
        }
    }
}
