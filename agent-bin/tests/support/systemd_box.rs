//! A real systemd for end-to-end tests, with the agent installed in it as a unit.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::skip;

/// The exit status of the box when it cannot work on this machine.
const CANNOT_WORK_HERE: i32 = 77;

/// A box that is taken down when it is dropped, or when the test process ends in any way.
pub(crate) struct SystemdBox {
    name: String,
}

impl SystemdBox {
    /// Boots a box. `Err` is the reason why there can be none here.
    pub(crate) fn up(name: &str) -> Result<Self, String> {
        let this = Self { name: format!("{name}-{}", std::process::id()) };
        let output = this.command("up").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(this),
            Some(CANNOT_WORK_HERE) => {
                let reason = said.lines().last().unwrap_or_default().to_owned();
                Err(reason.trim_start_matches("systemd-box: cannot work here: ").to_owned())
            }
            _ => panic!("the box did not boot: {said}"),
        }
    }

    fn command(&self, verb: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/systemd-box.sh");
        let mut command = Command::new("bash");
        command
            .arg(script)
            .arg(verb)
            .env("SYSTEMD_BOX_NAME", &self.name)
            .env("SYSTEMD_BOX_OWNER", std::process::id().to_string());
        command
    }

    /// Runs a script inside; it has to succeed.
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.command("sh").arg(script).output().unwrap();
        assert!(output.status.success(), "{script}: {}\n{}", describe(&output), self.journal());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a program inside.
    pub(crate) fn exec(&self, words: &[&str]) -> Output {
        self.command("exec").args(words).output().unwrap()
    }

    /// The box's file system, seen from outside.
    pub(crate) fn root(&self) -> PathBuf {
        Path::new("/proc").join(self.init().to_string()).join("root")
    }

    /// The pid outside of the box's PID 1.
    pub(crate) fn init(&self) -> u32 {
        let output = self.command("status").output().unwrap();
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        let pid = status.split("host pid ").nth(1).and_then(|rest| rest.split(',').next());
        pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{status}"))
    }

    /// Installs `binary` as the unit that is shipped, with `config`, and starts it.
    pub(crate) fn install(&self, binary: &Path, config: &str) {
        let shipped = include_str!("../../packaging/wazuh-agent.service");
        let unit = shipped.replace("/usr/bin/wazuh-agent", &binary.display().to_string());
        assert_ne!(unit, shipped);
        self.write("/etc/systemd/system/wazuh-agent.service", &unit);
        self.write("/etc/wazuh-agent/wazuh-agent.yml", config);
        self.sh("systemctl daemon-reload && systemctl start wazuh-agent");
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        use std::io::Write;
        let mut child = self
            .command("sh")
            .arg(format!("mkdir -p \"$(dirname {path})\" && cat >{path}"))
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// Runs the command line of the agent inside, with `--json`.
    pub(crate) fn agent(&self, binary: &Path, words: &[&str]) -> (Option<i32>, Value) {
        let program = binary.display().to_string();
        let output = self.exec(&[&[program.as_str()], words, &["--json"]].concat());
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{words:?}: {error}: {}\n{}", describe(&output), self.journal())
        });
        (output.status.code(), value)
    }

    /// One property of the agent's unit.
    pub(crate) fn property(&self, name: &str) -> String {
        self.sh(&format!("systemctl show --value --property={name} wazuh-agent")).trim().to_owned()
    }

    pub(crate) fn journal(&self) -> String {
        let output = self.exec(&["journalctl", "--no-pager", "--output=short-monotonic"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(120)..].join("\n")
    }
}

impl Drop for SystemdBox {
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

/// Where the binary is seen inside: the target folder is bound at the same place.
pub(crate) fn inside(binary: PathBuf) -> PathBuf {
    binary.canonicalize().unwrap()
}

/// Boots a box for `test`, or says that the test is skipped.
pub(crate) fn boot(test: &str, name: &str) -> Option<SystemdBox> {
    match SystemdBox::up(name) {
        Ok(up) => Some(up),
        Err(reason) => {
            skip(test, &reason);
            None
        }
    }
}
