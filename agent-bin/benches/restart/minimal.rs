//! The minimal program, started and ended by the bench.

use std::process::{Command, Stdio};

use crate::agent::until_ready;
use crate::ready_socket::ReadySocket;

/// How long the minimal program takes until it is ready, in ms.
pub(crate) fn minimal_start(socket: &ReadySocket) -> Result<f64, String> {
    let mut command = Command::new(crate::minimal()?);
    command.env("NOTIFY_SOCKET", socket.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let (mut child, took) = until_ready(&mut command, socket)?;
    child.kill().map_err(|error| error.to_string())?;
    child.wait().map_err(|error| error.to_string())?;
    Ok(took)
}
