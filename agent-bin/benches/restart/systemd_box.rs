//! A real systemd, in which units are restarted and asked for their times.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The exit status of the box when it cannot work on this machine.
const CANNOT_WORK_HERE: i32 = 77;

/// A box that is taken down when it is dropped, or when this process ends in any way.
pub(crate) struct SystemdBox {
    name: String,
}

impl SystemdBox {
    /// Boots a box. `Err` is the reason why there can be none here.
    pub(crate) fn up() -> Result<Result<Self, String>, String> {
        let this = Self { name: format!("bench-{}", std::process::id()) };
        let output = this.command("up").output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(Ok(this)),
            Some(CANNOT_WORK_HERE) => Ok(Err(said.lines().last().unwrap_or_default().to_owned())),
            _ => Err(format!("the box did not boot: {said}")),
        }
    }

    fn command(&self, verb: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../xtask/systemd-box.sh");
        let mut command = Command::new("bash");
        command.arg(script).arg(verb).env("SYSTEMD_BOX_NAME", &self.name);
        command.env("SYSTEMD_BOX_OWNER", std::process::id().to_string());
        command
    }

    /// Runs a script inside; it has to succeed.
    pub(crate) fn sh(&self, script: &str) -> Result<String, String> {
        let output = self.command("sh").arg(script).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{script}: {}", said(&output)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) fn write(&self, path: &str, text: &str) -> Result<(), String> {
        let script = format!("mkdir -p \"$(dirname {path})\" && cat >{path}");
        let mut command = self.command("sh");
        let child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child = child.map_err(|error| error.to_string())?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes()).map_err(|error| format!("{path}: {error}"))?;
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("{path}: {status}")) }
    }

    /// ms for which systemd saw a unit that was just restarted away: from inactive to active. The unit has to be active.
    pub(crate) fn downtime(&self, unit: &str) -> Result<f64, String> {
        let properties =
            "-p ActiveState -p InactiveEnterTimestampMonotonic -p ActiveEnterTimestampMonotonic";
        let shown = self.sh(&format!("systemctl show {properties} {unit}"))?;
        let value =
            |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let number = |name: &str| {
            value(name).and_then(|value| value.parse::<u64>().ok()).filter(|at| *at > 0)
        };
        let wrong = || format!("{unit} was not restarted: {shown}");
        if value("ActiveState") != Some("active") {
            return Err(wrong());
        }
        let (away, back) =
            (number("InactiveEnterTimestampMonotonic"), number("ActiveEnterTimestampMonotonic"));
        let took =
            back.zip(away).and_then(|(back, away)| back.checked_sub(away)).ok_or_else(wrong)?;
        Ok(took as f64 / 1e3)
    }
}

impl Drop for SystemdBox {
    fn drop(&mut self) {
        match self.command("down").output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("the box is left: {}", said(&output)),
            Err(error) => eprintln!("the box is left: {error}"),
        }
    }
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{} {}{}", output.status, text(&output.stdout), text(&output.stderr))
}
