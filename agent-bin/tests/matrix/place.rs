//! Where an agent runs and how it is replaced there, behind one face for all happenings.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::hand::Hand;
use crate::support::{PATIENCE, delivered_in};
use crate::unit::Unit;
use crate::user_unit::UserUnit;

/// A way to replace the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As a unit, over the system bus.
    DBus,
    /// As a unit, over systemd's own socket: there is no bus.
    PrivateSocket,
    /// As a unit, through `systemctl`: neither bus nor socket can be reached.
    Systemctl,
    /// As a unit, by exit status: nobody can be reached.
    Exit75,
    /// As a unit of a user's own systemd, over the session bus.
    UserUnit,
    /// By hand.
    Helper,
    /// As the first process of a container.
    PidOne,
}

impl Way {
    /// A place for an agent that is replaced in this way; `Err` is why there can be none on this machine.
    pub(crate) fn place(self, name: &str) -> Result<Box<dyn Place>, String> {
        Ok(match self {
            Self::DBus | Self::PrivateSocket | Self::Systemctl | Self::Exit75 => {
                Box::new(Unit::new(self, name)?)
            }
            Self::UserUnit => Box::new(UserUnit::new(name)?),
            Self::Helper | Self::PidOne => Box::new(Hand::new(self)?),
        })
    }

    /// What the outcome calls it.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::DBus | Self::PrivateSocket | Self::Systemctl | Self::Exit75 | Self::UserUnit => {
                "systemd"
            }
            Self::Helper => "helper",
            Self::PidOne => "exec",
        }
    }
}

/// The file of an agent, as this test sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// The state folder.
    State,
    /// The log file that the agent reads.
    Lines,
    /// The control socket.
    Socket,
    /// The configuration.
    Config,
    /// The program, if the place was told to start from a copy.
    Program,
}

/// An agent and where it runs.
pub(crate) trait Place: Sync {
    /// How the process is replaced here.
    fn way(&self) -> Way;
    /// Starts the agent with a module `scripted` that does what `script` says, and `extra` in the configuration; returns when
    /// it runs.
    fn start(&mut self, script: &str, extra: &str);
    /// The same from a copy of the program, see [`Part::Program`].
    fn start_from_a_copy(&mut self, script: &str);
    /// Writes the configuration that the next process reads.
    fn configure(&self, script: &str, extra: &str);
    /// Sees to it that nobody starts the agent again after a kill.
    fn stay_down_after_a_kill(&mut self) {}
    /// Whether the service manager starts the agent again after a kill.
    fn comes_back_by_itself(&self) -> bool;
    /// Starts the agent where nobody else does; returns at once when it runs already.
    fn bring_back(&mut self);
    /// A verb of the command line, to its end.
    fn cli(&self, words: &[&str]) -> Output;
    /// Where a file of the agent is.
    fn part(&self, part: Part) -> PathBuf;
    /// The pid of the agent, as this test sees it.
    fn pid(&self) -> Option<i32>;
    /// What the agent has logged.
    fn log(&self) -> String;
    /// An operator's stop; returns when the agent is down.
    fn stop(&mut self);
    /// Somebody else's restart, beside ours.
    fn restart_by_others(&self);
}

/// A name for a box of the test `name`, short enough for the path of a socket.
pub(crate) fn box_name(name: &str) -> String {
    let hash = |sum: u32, byte: u8| sum.wrapping_mul(33).wrapping_add(u32::from(byte));
    format!("m{:08x}", name.bytes().fold(5381, hash))
}

/// The pid as this test sees it of the process with the pid `inner` in the pid namespace of `init`.
pub(crate) fn host_pid(init: u32, inner: u32) -> Option<i32> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let meant = namespace(&init.to_string())?;
    fs::read_dir("/proc").ok()?.find_map(|entry| {
        let pid = entry.ok()?.file_name().into_string().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        let has_it = pids.split_ascii_whitespace().last()? == inner.to_string();
        (has_it && namespace(&pid)? == meant).then(|| pid.parse().ok())?
    })
}

/// The configuration of all places.
pub(crate) fn configuration(lines: &Path, script: &str, extra: &str) -> String {
    format!(
        "logcollector:\n  files: [{}]\n  read_interval: 20ms\n  start_at: beginning\nscripted: {{{script}}}\n{extra}",
        lines.display()
    )
}

impl dyn Place + '_ {
    /// Looks until `met` holds.
    pub(crate) fn until(&self, what: &str, mut met: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !met(self) {
            assert!(Instant::now() < deadline, "never: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A verb with `--json`; `None` when the agent cannot be asked.
    pub(crate) fn ask(&self, words: &[&str]) -> Option<Value> {
        let output = self.cli(&[words, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }

    /// A restart that is waited for, from order to outcome.
    pub(crate) fn restart(&self) -> Value {
        let output = self.cli(&["restart", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// Orders a restart and returns its id.
    pub(crate) fn order(&self) -> String {
        let accepted = self.ask(&["restart", "--no-wait"]).expect("the order is accepted");
        accepted["id"].as_str().unwrap_or_else(|| panic!("{accepted:#}")).to_owned()
    }

    /// What became of a command, when it has ended.
    pub(crate) fn end_of(&self, id: &str) -> Value {
        let mut record = Value::Null;
        self.until("the command has ended", |place| {
            record = place.ask(&["commands", "show", id]).unwrap_or_default();
            record["finished_at"].is_string()
        });
        record
    }

    /// What the agent says of itself, when it runs.
    pub(crate) fn running(&self) -> Value {
        let mut status = Value::Null;
        self.until("the agent runs", |place| {
            status = place.ask(&["status"]).unwrap_or_default();
            status["state"] == "running"
        });
        status
    }

    /// Kills the agent, whose pid is `pid`.
    pub(crate) fn kill(&self, pid: i32) {
        let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
        pidfd_send_signal(&process, Signal::KILL).unwrap();
        let mut gone = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut gone, Some(&patience)).unwrap(), 1, "it does not end");
    }

    /// Writes `count` lines that are different from all others of this name.
    pub(crate) fn write_lines(&self, name: &str, count: u32) {
        let text: String = (0..count).map(|number| format!("{name} {number}\n")).collect();
        let path = self.part(Part::Lines);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until each line that was written is delivered, and asserts that none came twice.
    pub(crate) fn all_lines_came_once(&self) {
        let written = fs::read_to_string(self.part(Part::Lines)).unwrap();
        let wanted = written.lines().count();
        let mut came = BTreeMap::new();
        self.until("all lines are delivered", |place| {
            came = place.delivered();
            came.len() >= wanted
        });
        let twice: Vec<_> = came.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "delivered more than once: {twice:?}");
        assert_eq!(came.len(), wanted);
    }

    fn delivered(&self) -> BTreeMap<String, u32> {
        let events = self.part(Part::State).join("events.ndjson");
        delivered_in(&fs::read_to_string(events).unwrap_or_default())
    }
}
