//! The demonstration's agent as a unit of systemd: the unit that is shipped, with other folders.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// The unit file that is shipped.
const SHIPPED: &str = include_str!("../../packaging/wazuh-agent.service");

/// Where units of this boot are kept.
const UNITS: &str = "/run/systemd/system";

/// A unit that is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Unit {
    name: String,
    file: PathBuf,
}

impl Unit {
    /// Writes a unit that runs `arguments` and makes systemd know it.
    pub(super) fn install(name: &str, arguments: &[OsString]) -> Result<Self> {
        if !Path::new(UNITS).is_dir() {
            bail!(
                "systemd does not run here ({UNITS} is missing); try the demonstration without --systemd"
            );
        }
        let unit = Self {
            name: format!("{name}.service"),
            file: Path::new(UNITS).join(format!("{name}.service")),
        };
        let words: Vec<String> =
            arguments.iter().map(|word| format!("{:?}", word.to_string_lossy())).collect();
        fs::write(&unit.file, adapt(SHIPPED, &words.join(" ")))
            .with_context(|| format!("cannot write {}", unit.file.display()))?;
        systemctl(&["daemon-reload"])?;
        Ok(unit)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn start(&self) -> Result<()> {
        systemctl(&["start", &self.name])
    }

    pub(super) fn stop(&self) -> Result<()> {
        systemctl(&["stop", &self.name])
    }

    /// What the unit logged, as far as the journal can be read.
    pub(super) fn journal(&self) -> String {
        run("journalctl", &["--no-pager", "--output=cat", "--unit", &self.name])
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let removed = systemctl(&["stop", &self.name])
            .and_then(|()| fs::remove_file(&self.file).context("cannot remove the unit"))
            .and_then(|()| systemctl(&["daemon-reload"]));
        if let Err(error) = removed {
            tracing::warn!("the unit {} is left: {error:#}", self.name);
        }
    }
}

/// The shipped unit with another command, and without the folders and the sandbox that belong to an installation.
fn adapt(shipped: &str, command: &str) -> String {
    let belongs_to_an_installation = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default();
        key.ends_with("Directory")
            || key.contains("DirectoryMode")
            || key.starts_with("Protect")
            || key.starts_with("Private")
            || key.starts_with("ReadWrite")
            || key == "RuntimeDirectoryPreserve"
    };
    let mut unit = String::new();
    for line in shipped.lines().filter(|line| !belongs_to_an_installation(line)) {
        if line.starts_with("ExecStart=") {
            unit.push_str("ExecStart=");
            unit.push_str(command);
        } else {
            unit.push_str(line);
        }
        unit.push('\n');
    }
    unit
}

fn systemctl(words: &[&str]) -> Result<()> {
    let output = run("systemctl", words)?;
    if output.status.success() {
        return Ok(());
    }
    bail!("systemctl {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
}

#[expect(
    clippy::disallowed_methods,
    reason = "the demonstration installs a unit as a person would"
)]
fn run(program: &str, words: &[&str]) -> Result<Output> {
    Command::new(program).args(words).output().with_context(|| format!("cannot run {program}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demonstrations_unit_is_the_shipped_one_with_another_command() {
        let unit = adapt(SHIPPED, "/bin/agent run");
        assert!(unit.contains("\nExecStart=/bin/agent run\n"));
        for kept in ["Type=notify", "FileDescriptorStoreMax=", "Restart=always", "KillMode=mixed"] {
            assert!(unit.contains(kept), "{kept} is missing");
        }
        assert!(!unit.contains("StateDirectory="));
    }
}
