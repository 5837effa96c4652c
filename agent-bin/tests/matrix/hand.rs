//! An agent without a service manager: started by hand, or as the first process of a pid namespace.

use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::pid_namespace::{obstacle, unshare};
use crate::place::{Part, Place, Way, configuration};
use crate::support::{TestAgent, scripted_binary};

pub(crate) struct Hand {
    way: Way,
    agent: TestAgent,
    /// What is started, if it is not the binary itself.
    copy: Option<PathBuf>,
}

impl Hand {
    pub(crate) fn new(way: Way) -> Result<Self, String> {
        if way == Way::PidOne
            && let Some(reason) = obstacle()
        {
            return Err(reason);
        }
        Ok(Self { way, agent: TestAgent::new(scripted_binary(), ""), copy: None })
    }

    fn run(&mut self) {
        let plain = self.agent.command("run");
        let copy = self.copy.as_ref().map(|copy| copy.as_os_str());
        let program = copy.unwrap_or_else(|| plain.get_program());
        let mut command = if self.way == Way::PidOne {
            let mut command = unshare();
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(plain.get_args());
        self.agent.spawn(&mut command);
    }
}

/// The first process of a namespace is the child of `unshare`, which would end it; but an agent that has replaced itself in place
/// is not bound to its parent any more.
impl Drop for Hand {
    fn drop(&mut self) {
        if self.way == Way::PidOne
            && let Some(pid) = self.pid().and_then(Pid::from_raw)
            && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
        {
            pidfd_send_signal(&process, Signal::KILL).ok();
        }
    }
}

impl Place for Hand {
    fn way(&self) -> Way {
        self.way
    }

    fn start(&mut self, script: &str, extra: &str) {
        self.configure(script, extra);
        self.run();
    }

    fn start_from_a_copy(&mut self, script: &str) {
        let copy = self.agent.path("wazuh-agent");
        std::fs::copy(&self.agent.binary, &copy).unwrap();
        self.copy = Some(copy);
        self.start(script, "");
    }

    fn configure(&self, script: &str, extra: &str) {
        let text = configuration(&self.part(Part::Lines), script, extra);
        std::fs::write(self.part(Part::Config), text).unwrap();
    }

    fn comes_back_by_itself(&self) -> bool {
        false
    }

    fn bring_back(&mut self) {
        let this: &dyn Place = self;
        if this.ask(&["status"]).is_some_and(|status| status["pid"].is_i64()) {
            return;
        }
        self.agent.reap();
        self.run();
    }

    fn cli(&self, words: &[&str]) -> Output {
        self.agent.cli(words)
    }

    fn part(&self, part: Part) -> PathBuf {
        self.agent.path(match part {
            Part::State => "state",
            Part::Lines => "logs/app.log",
            Part::Socket => "run/control.sock",
            Part::Config => "agent.yml",
            Part::Program => "wazuh-agent",
        })
    }

    fn pid(&self) -> Option<i32> {
        if self.way == Way::Helper {
            let this: &dyn Place = self;
            return i32::try_from(this.ask(&["status"])?["pid"].as_i64()?).ok();
        }
        // In its own eyes it is 1; in ours the only child of `unshare`.
        let parent = self.agent.child_id()?;
        let children = format!("/proc/{parent}/task/{parent}/children");
        std::fs::read_to_string(children).ok()?.split(' ').next()?.parse().ok()
    }

    fn log(&self) -> String {
        self.agent.log()
    }

    fn stop(&mut self) {
        assert!(self.agent.cli(&["stop"]).status.success());
        self.agent.reap();
    }

    fn restart_by_others(&self) {
        assert!(self.agent.cli(&["restart", "--no-wait"]).status.success());
    }
}
