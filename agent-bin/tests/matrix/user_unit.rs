//! An agent that is a unit of an ordinary user's own systemd.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::place::{Part, Place, Way, box_name, configuration, host_pid};
use crate::support::{binary, scripted_binary};
use crate::user_box::{Bus, UserBox};

const PROGRAM: &str = ".local/bin/wazuh-agent";

pub(crate) struct UserUnit {
    up: UserBox,
    comes_back: bool,
}

impl UserUnit {
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let up = UserBox::up(&box_name(name), Bus::Session)?;
        Ok(Self { up, comes_back: true })
    }

    fn lines(&self) -> PathBuf {
        self.up.home.join("app.log")
    }
}

impl Place for UserUnit {
    fn way(&self) -> Way {
        Way::UserUnit
    }

    fn start(&mut self, script: &str, extra: &str) {
        // Seen from inside the home is elsewhere.
        std::fs::write(self.lines(), "").unwrap();
        let text = configuration(&Path::new(UserBox::HOME).join("app.log"), script, extra);
        self.up.install(&scripted_binary(), &text, "");
    }

    fn start_from_a_copy(&mut self, script: &str) {
        // It always is one.
        self.start(script, "");
    }

    fn configure(&self, script: &str, extra: &str) {
        let text = configuration(&Path::new(UserBox::HOME).join("app.log"), script, extra);
        std::fs::write(self.part(Part::Config), text).unwrap();
    }

    fn stay_down_after_a_kill(&mut self) {
        self.comes_back = false;
        let drop_in = ".config/systemd/user/wazuh-agent.service.d/down.conf";
        std::fs::write(self.up.home.join(drop_in), "[Service]\nRestart=no\n").unwrap();
        self.up.sh("systemctl --user daemon-reload");
    }

    fn comes_back_by_itself(&self) -> bool {
        self.comes_back
    }

    fn bring_back(&mut self) {
        self.up.sh("systemctl --user start wazuh-agent");
    }

    fn cli(&self, words: &[&str]) -> Output {
        // Not the program that the unit runs, which some happenings break.
        let target = binary().parent().unwrap().parent().unwrap().to_owned();
        let program = scripted_binary();
        let program = Path::new(UserBox::TARGET).join(program.strip_prefix(target).unwrap());
        self.up.run(&program, words)
    }

    fn part(&self, part: Part) -> PathBuf {
        self.up.home.join(match part {
            Part::State => ".local/state/wazuh-agent",
            Part::Lines => "app.log",
            Part::Config => ".config/wazuh-agent/wazuh-agent.yml",
            Part::Program => PROGRAM,
            Part::Socket => return self.up.runtime_dir().join("wazuh-agent/control.sock"),
        })
    }

    fn pid(&self) -> Option<i32> {
        host_pid(self.up.init(), self.up.property("MainPID").parse().ok()?)
    }

    fn log(&self) -> String {
        self.up.log()
    }

    fn stop(&mut self) {
        self.up.sh("systemctl --user stop wazuh-agent");
    }

    fn restart_by_others(&self) {
        self.up.sh("systemctl --user --no-block restart wazuh-agent");
    }
}
