//! An agent that is a unit of a real systemd, which it can reach, or only in part.

use std::path::PathBuf;
use std::process::Output;

use crate::place::{Part, Place, Way, box_name, configuration, host_pid};
use crate::support::scripted_binary;
use crate::systemd_box::{SystemdBox, inside};

const LINES: &str = "/srv/app.log";
const COPY: &str = "/srv/program/wazuh-agent";
/// Comes after the unit that is shipped.
const DROP_IN: &str = "/etc/systemd/system/wazuh-agent.service.d";

/// Where the agent looks for `systemctl` first.
const SYSTEMCTL: &str = "/srv/bin/systemctl";

pub(crate) struct Unit {
    way: Way,
    up: SystemdBox,
    root: PathBuf,
    comes_back: bool,
}

impl Unit {
    pub(crate) fn new(way: Way, name: &str) -> Result<Self, String> {
        let up = SystemdBox::up(&box_name(name))?;
        let root = up.root();
        let unit = Self { way, up, root, comes_back: true };
        unit.cut_off();
        Ok(unit)
    }

    /// Takes away what this way does without.
    fn cut_off(&self) {
        let (hidden, systemctl) = match self.way {
            Way::PrivateSocket => (vec!["/run/dbus/system_bus_socket"], None),
            // One that works although the agent reaches nobody: it leaves the agent's view of the files.
            Way::Systemctl => (
                vec!["/run/dbus/system_bus_socket", "/run/systemd/private"],
                Some("#!/bin/sh\nexec nsenter -t 1 -m /usr/bin/systemctl \"$@\"\n"),
            ),
            Way::Exit75 => (
                vec!["/run/dbus/system_bus_socket", "/run/systemd/private"],
                Some("#!/bin/sh\nexit 1\n"),
            ),
            Way::DBus | Way::UserUnit | Way::Helper | Way::PidOne => return,
        };
        let mut lines = String::from("[Service]\n");
        for path in hidden {
            lines += &format!("InaccessiblePaths={path}\n");
        }
        if let Some(script) = systemctl {
            self.up.write(SYSTEMCTL, script);
            self.up.sh(&format!("chmod 755 {SYSTEMCTL}"));
            lines += "Environment=PATH=/srv/bin:/usr/bin:/bin\n";
        }
        self.up.write(&format!("{DROP_IN}/cut-off.conf"), &lines);
    }

    fn install(&self, program: &str, script: &str, extra: &str) {
        let text = configuration(LINES.as_ref(), script, extra);
        self.up.install(program.as_ref(), &text);
    }
}

impl Place for Unit {
    fn way(&self) -> Way {
        self.way
    }

    fn start(&mut self, script: &str, extra: &str) {
        self.install(&program(), script, extra);
    }

    fn start_from_a_copy(&mut self, script: &str) {
        self.up.sh(&format!("mkdir -p $(dirname {COPY}) && cp {} {COPY}", program()));
        self.install(COPY, script, "");
    }

    fn configure(&self, script: &str, extra: &str) {
        let text = configuration(LINES.as_ref(), script, extra);
        std::fs::write(self.part(Part::Config), text).unwrap();
    }

    fn stay_down_after_a_kill(&mut self) {
        self.comes_back = false;
        self.up.write(&format!("{DROP_IN}/down.conf"), "[Service]\nRestart=no\n");
        self.up.sh("systemctl daemon-reload");
    }

    fn comes_back_by_itself(&self) -> bool {
        self.comes_back
    }

    fn bring_back(&mut self) {
        self.up.sh("systemctl start wazuh-agent");
    }

    fn cli(&self, words: &[&str]) -> Output {
        let program = program();
        self.up.exec(&[&[program.as_str()], words].concat())
    }

    fn part(&self, part: Part) -> PathBuf {
        self.root.join(match part {
            Part::State => "var/lib/wazuh-agent",
            Part::Lines => &LINES[1..],
            Part::Socket => "run/wazuh-agent/control.sock",
            Part::Config => "etc/wazuh-agent/wazuh-agent.yml",
            Part::Program => &COPY[1..],
        })
    }

    fn pid(&self) -> Option<i32> {
        host_pid(self.up.init(), self.up.property("MainPID").parse().ok()?)
    }

    fn log(&self) -> String {
        self.up.journal()
    }

    fn stop(&mut self) {
        self.up.sh("systemctl stop wazuh-agent");
    }

    fn restart_by_others(&self) {
        self.up.sh("systemctl --no-block restart wazuh-agent");
    }
}

/// The program, which is seen inside at its own place.
fn program() -> String {
    inside(scripted_binary()).display().to_string()
}
