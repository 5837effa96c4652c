//! A pid namespace of its own for an agent that is to be the first process of a container.

use std::process::{Command, Stdio};

/// What makes a process PID 1 of a namespace of its own, as this user.
pub(crate) fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// Why there can be no namespace here, if so.
pub(crate) fn obstacle() -> Option<String> {
    match unshare().arg("true").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            Some(format!("no pid namespace: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => Some(format!("no `unshare`: {error}")),
    }
}
