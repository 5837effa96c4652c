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
    UserBox::up(name, bus).inspect_err(|reason| skip(test, reason)).ok()
}

impl UserBox {
    /// The user's home, seen from inside.
    pub(crate) const HOME: &str = "/run/user-box/home";

    /// The target folder, seen from inside.
    pub(crate) const TARGET: &str = "/run/user-box/target";

    /// Starts a box. `Err` is the reason why there can be none here.
    pub(crate) fn up(name: &str, bus: Bus) -> Result<Self, String> {
        let name = format!("{name}-{}", std::process::id());
        let mut this = Self { name, bus, home: PathBuf::new() };
        let output = this.command("up").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => {
                this.home = this.root().join(&Self::HOME[1..]);
                Ok(this)
            }
            Some(CANNOT_WORK_HERE) => {
                let reason = said.lines().last().unwrap_or_default();
                Err(reason.trim_start_matches("user-box: cannot work here: ").to_owned())
            }
            _ => panic!("the box did not start: {said}"),
        }
    }

    /// The pid outside of the box's PID 1.
    pub(crate) fn init(&self) -> u32 {
        let status = self.command("status").output().unwrap();
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        let pid = status.split("host pid ").nth(1).and_then(|rest| rest.split(',').next());
        pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{status}"))
    }

    /// The box's file system, seen from outside.
    fn root(&self) -> PathBuf {
        Path::new("/proc").join(self.init().to_string()).join("root")
    }

    /// The user's `XDG_RUNTIME_DIR`, seen from outside.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.root().join("run/user/59999")
    }

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

    /// Runs a program inside.
    pub(crate) fn run(&self, program: &Path, words: &[&str]) -> Output {
        self.command("exec").arg(program).args(words).output().unwrap()
    }

    /// Runs the command line of the agent inside, with `--json`.
    pub(crate) fn agent(&self, words: &[&str]) -> (Option<i32>, Value) {
        let program = Path::new(Self::HOME).join(".local/bin/wazuh-agent");
        let output = self.run(&program, &[words, &["--json"]].concat());
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
