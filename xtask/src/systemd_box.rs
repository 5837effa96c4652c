//! `cargo xtask systemd-box`: a real systemd in namespaces, through `xtask/systemd-box.sh`.
//!
//! The work is in the script, because end-to-end tests call it too and because it consists of
//! mounts and namespaces, for which the system's own tools are the plainest language.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::workspace::Workspace;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Name of the box; boxes of different names may be up side by side
    #[arg(long, global = true, default_value = "box")]
    name: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boot the box; exits with 77 and says why where that cannot work
    Up,
    /// Run a command inside and exit with its code
    Exec {
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CMD"
        )]
        command: Vec<OsString>,
    },
    /// Run a bash script inside and exit with its code
    Sh {
        #[arg(value_name = "SCRIPT", allow_hyphen_values = true)]
        script: OsString,
    },
    /// Say whether the box is up; exits with 3 when it is down
    Status,
    /// Kill everything in the box and remove all traces of it
    Down,
}

impl Verb {
    fn words(&self) -> Vec<OsString> {
        match self {
            Self::Up => vec!["up".into()],
            Self::Exec { command } => [vec!["exec".into()], command.clone()].concat(),
            Self::Sh { script } => vec!["sh".into(), script.clone()],
            Self::Status => vec!["status".into()],
            Self::Down => vec!["down".into()],
        }
    }
}

/// Becomes the script, so that signals, terminal and exit code are its own. Returns only to say
/// why that failed.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let script = workspace.root().join("xtask/systemd-box.sh");
    let mut command = workspace.command(&script);
    command.env("SYSTEMD_BOX_NAME", &arguments.name).args(arguments.verb.words());
    Err(command.exec()).with_context(|| format!("cannot run {}", script.display()))
}
