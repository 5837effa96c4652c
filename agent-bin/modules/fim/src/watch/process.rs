//! Who did it: what is known of a process when the kernel tells of its deed.

use std::collections::HashMap;
use std::fs;

use serde::{Deserialize, Serialize};

/// The process behind an event, as far as it could be asked. It may have ended, and even be replaced by another that got its
/// number; how sure this is depends on how soon the queue was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// It was gone when it was asked, so nothing else is known.
    pub(crate) ended: bool,
    /// The program.
    pub(crate) executable: Option<String>,
    /// The short name.
    pub(crate) name: Option<String>,
    pub(crate) parent: Option<i32>,
    /// The effective user and group.
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// The user who logged in, whoever he became since; none for services.
    pub(crate) login_uid: Option<u32>,
}

/// Asks each process once for what is read together.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    known: HashMap<i32, Process>,
}

impl Processes {
    /// The process of this number. 0 is one in another pid namespace, of which nothing can be known.
    pub(crate) fn ask(&mut self, pid: i32) -> Option<Process> {
        if pid <= 0 {
            return None;
        }
        Some(self.known.entry(pid).or_insert_with(|| ask(pid)).clone())
    }
}

fn ask(pid: i32) -> Process {
    // A process may call itself by any bytes.
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).ok();
    let read = |file| read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let status = read("status");
    let executable = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let executable = executable.map(|path| path.to_string_lossy().into_owned());
    let field = |key: &str, column: usize| {
        let line = status.as_deref()?.lines().find(|line| line.starts_with(key))?;
        line.split_ascii_whitespace().nth(column).map(str::to_owned)
    };
    let number = |key, column| field(key, column).and_then(|text| text.parse().ok());
    let login = read("loginuid").and_then(|text| text.trim().parse().ok());
    Process {
        pid,
        ended: status.is_none(),
        executable,
        name: read("comm").map(|name| name.trim_end_matches('\n').to_owned()),
        parent: field("PPid:", 1).and_then(|text| text.parse().ok()),
        uid: number("Uid:", 2),
        gid: number("Gid:", 2),
        login_uid: login.filter(|uid| *uid != u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_there_says_who_it_is() {
        let pid = std::process::id().cast_signed();
        let process = Processes::default().ask(pid).unwrap();
        assert!(!process.ended);
        let own = std::env::current_exe().unwrap();
        assert_eq!(process.executable.as_deref(), own.to_str());
        assert_eq!(process.uid, Some(rustix::process::geteuid().as_raw()));
        assert!(process.parent.is_some() && process.name.is_some());
    }

    #[test]
    fn a_name_of_any_bytes_does_not_hide_a_process() {
        // The kernel shows a thread as it shows a process.
        let thread = fs::read_link("/proc/thread-self").unwrap();
        let thread = thread.file_name().unwrap().to_str().unwrap().parse().unwrap();
        fs::write("/proc/thread-self/comm", b"a b\xff)").unwrap();
        let process = Processes::default().ask(thread).unwrap();
        assert!(!process.ended);
        assert_eq!(process.name.as_deref(), Some("a b\u{fffd})"));
        assert_eq!(process.uid, Some(rustix::process::geteuid().as_raw()));
    }

    #[test]
    fn a_process_that_is_gone_is_said_to_be() {
        let process = Processes::default().ask(i32::MAX).unwrap();
        assert!(process.ended && process.executable.is_none() && process.uid.is_none());
        assert_eq!(Processes::default().ask(0), None);
    }
}
