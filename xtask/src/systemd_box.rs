//! `cargo xtask systemd-box` and `user-box`: a real systemd in namespaces, through `xtask/systemd-box.sh` and `user-box.sh`.
//!
//! The work is in the scripts, because end-to-end tests call them too and because they consist of
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

/// Which manager runs in a box.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// That of a system, as PID 1.
    System,
    /// That of an ordinary user.
    User,
}

impl Kind {
    fn script(self) -> &'static str {
        match self {
            Self::System => "xtask/systemd-box.sh",
            Self::User => "xtask/user-box.sh",
        }
    }

    fn name_variable(self) -> &'static str {
        match self {
            Self::System => "SYSTEMD_BOX_NAME",
            Self::User => "USER_BOX_NAME",
        }
    }
}

/// Becomes the script, so that signals, terminal and exit code are its own. Returns only to say
/// why that failed.
pub(crate) fn run(
    workspace: &Workspace,
    kind: Kind,
    arguments: &Arguments,
) -> anyhow::Result<ExitCode> {
    let script = workspace.root().join(kind.script());
    let mut command = workspace.command(&script);
    command.env(kind.name_variable(), &arguments.name).args(arguments.verb.words());
    Err(command.exec()).with_context(|| format!("cannot run {}", script.display()))
}
