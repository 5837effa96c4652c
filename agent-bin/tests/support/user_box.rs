//! A real `systemd --user` for end-to-end tests, with the agent installed as a unit of its user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{PATIENCE, skip};

/// The exit status of the box when it cannot work on this machine.
const CANNOT_WORK_HERE: i32 = 77;

/// Whether there is a session bus, or only the manager's private socket.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bus {
    Session,
    None,
}

/// A box that is taken down when it is dropped, or when the test process ends in any way.
pub(crate) struct UserBox {
    name: String,
    bus: Bus,
    /// The user's home, seen from outside.
    pub(crate) home: PathBuf,
}

/// Starts a box for `test`, or says that the test is skipped.
pub(crate) fn boot(test: &str, name: &str, bus: Bus) -> Option<UserBox> {
    let name = format!("{name}-{}", std::process::id());
    let mut this = UserBox { name, bus, home: PathBuf::new() };
    let output = this.command("up").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => {
            let status = this.command("status").output().unwrap();
            let status = String::from_utf8_lossy(&status.stdout).into_owned();
            let pid = status.split("host pid ").nth(1).and_then(|rest| rest.split(',').next());
            let root = Path::new("/proc").join(pid.unwrap_or_else(|| panic!("{status}")));
            this.home = root.join("root/run/user-box/home");
            Some(this)
        }
        Some(CANNOT_WORK_HERE) => {
            let reason = said.lines().last().unwrap_or_default();
            skip(test, reason.trim_start_matches("user-box: cannot work here: "));
            None
        }
        _ => panic!("the box did not start: {said}"),
    }
}

impl UserBox {
    fn command(&self, verb: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/user-box.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(verb).env("USER_BOX_NAME", &self.name);
        command.env("USER_BOX_OWNER", std::process::id().to_string());
        command.env("USER_BOX_BUS", if matches!(self.bus, Bus::None) { "none" } else { "session" });
        command
    }

    /// Runs a script inside as the user; it has to succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.command("sh").arg(script).output().unwrap();
        assert!(output.status.success(), "{script}: {}\n{}", describe(&output), self.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Installs `binary` and the unit that is shipped for users, with `config` and whatever `drop_in` adds to the unit,
    /// and starts it.
    pub(crate) fn install(&self, binary: &Path, config: &str, drop_in: &str) {
        self.sh("mkdir -p ~/.local/bin ~/.config/wazuh-agent ~/.config/systemd/user/wazuh-agent.service.d");
        // By a process of its own: a child of another test could inherit a descriptor by which this one writes, and keep
        // the program busy.
        let program = self.home.join(".local/bin/wazuh-agent");
        assert!(Command::new("cp").arg(binary).arg(program).status().unwrap().success());
        let units = self.home.join(".config/systemd/user");
        let shipped = include_str!("../../packaging/user/wazuh-agent.service");
        fs::write(units.join("wazuh-agent.service"), shipped).unwrap();
        // There is no journal in the box.
        let log =
            "[Service]\nStandardOutput=append:%h/agent.log\nStandardError=append:%h/agent.log\n";
        let drop_ins = units.join("wazuh-agent.service.d");
        fs::write(drop_ins.join("test.conf"), format!("{log}{drop_in}\n")).unwrap();
        fs::write(self.home.join(".config/wazuh-agent/wazuh-agent.yml"), config).unwrap();
        self.sh("systemctl --user daemon-reload && systemctl --user start wazuh-agent");
    }

    /// Runs the command line of the agent inside, with `--json`.
    pub(crate) fn agent(&self, words: &[&str]) -> (Option<i32>, Value) {
        let mut command = self.command("exec");
        command.arg("/run/user-box/home/.local/bin/wazuh-agent").args(words).arg("--json");
        let output = command.output().unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{words:?}: {error}: {}\n{}", describe(&output), self.log())
        });
        (output.status.code(), value)
    }

    /// One property of the agent's unit.
    pub(crate) fn property(&self, name: &str) -> String {
        let show = format!("systemctl --user show --value --property={name} wazuh-agent");
        self.sh(&show).trim().to_owned()
    }

    /// What the agent has logged, and what its manager said.
    pub(crate) fn log(&self) -> String {
        let boot = Path::new(env!("CARGO_BIN_EXE_wazuh-agent"))
            .ancestors()
            .map(|folder| folder.join("user-box").join(&self.name).join("boot.log"))
            .find_map(|path| fs::read_to_string(path).ok());
        format!("{}\n{}", self.agent_log(), boot.unwrap_or_default())
    }

    pub(crate) fn agent_log(&self) -> String {
        fs::read_to_string(self.home.join("agent.log")).unwrap_or_default()
    }

    /// The events that were delivered.
    pub(crate) fn events(&self) -> String {
        fs::read_to_string(self.home.join(".local/state/wazuh-agent/events.ndjson"))
            .unwrap_or_default()
    }

    /// Looks until `met` holds; fails with the log when it never does.
    pub(crate) fn until(&self, what: &str, mut met: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !met(self) {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for UserBox {
    fn drop(&mut self) {
        match self.command("down").output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("the box is left: {}", describe(&output)),
            Err(error) => eprintln!("the box is left: {error}"),
        }
    }
}

fn describe(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
