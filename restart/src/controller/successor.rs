//! Turns the calling process into the next agent: the last step of the helper and of an exec in place.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::SigSet;

use super::inherited::detach_from_other_threads;
use super::launch::LaunchPlan;
use crate::hand_over::place_for_exec;
use crate::ticket::amend;

/// The program that runs now, whatever has become of its file.
const RUNNING_PROGRAM: &CStr = c"/proc/self/exe";

/// Everything that the next agent is made of.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) launch: LaunchPlan,
    pub(crate) fds: Vec<(String, OwnedFd)>,
    pub(crate) ticket: PathBuf,
}

/// The next agent could not be started in this process. The process must end.
#[derive(Debug, thiserror::Error)]
#[error("cannot replace this process: {0}")]
pub struct ExecError(pub(super) String);

impl Successor {
    /// Execs the recorded program; if that fails, says so through `report`, writes it into the ticket, and execs the
    /// program that runs now, which may be older but is known to run. Returns only if that fails too.
    ///
    /// The signal mask becomes empty, since a blocked SIGTERM would stay blocked. Handlers are left to `execve`, which
    /// resets them at the very moment the program changes: no signal in between finds a half-reset process.
    /// Signals ignored since the agent was started (`nohup`) stay ignored, as for the agent itself.
    pub(crate) fn start(self, report: impl Fn(&str)) -> ExecError {
        let Self { launch, fds, ticket } = self;
        let program = launch.executable.display();
        let call = match prepare(&launch, fds, &report) {
            Ok(call) => call,
            Err(error) => {
                let reason = format!("{program}: {error}");
                record_failure(&ticket, &reason, &report);
                return ExecError(reason);
            }
        };
        if let Err(error) = SigSet::empty().thread_set_mask() {
            report(&format!("cannot reset the signal mask: {error}"));
        }
        let reason = format!("{program}: {}", call.exec(&call.path).desc());
        record_failure(&ticket, &reason, &report);
        report(&format!("cannot start {reason}; starting the program that runs now instead"));
        let reason =
            format!("{reason}; nor the running one: {}", call.exec(RUNNING_PROGRAM).desc());
        record_failure(&ticket, &reason, &report);
        ExecError(reason)
    }
}

fn record_failure(ticket: &Path, reason: &str, report: &impl Fn(&str)) {
    if let Err(error) = amend(ticket, |ticket| ticket.exec_failed = Some(reason.to_owned())) {
        report(&error.to_string());
    }
}

/// The arguments of `execve`, ready made.
struct Call {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Call {
    /// Returns only with the reason why it failed.
    fn exec(&self, program: &CStr) -> Errno {
        match nix::unistd::execve(program, &self.args, &self.env) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }
}

fn prepare(
    launch: &LaunchPlan,
    fds: Vec<(String, OwnedFd)>,
    report: &impl Fn(&str),
) -> io::Result<Call> {
    detach_from_other_threads();
    // Where the directory was deleted the process is most likely still in it, which is as close as one can get.
    if let Err(error) = std::env::set_current_dir(&launch.cwd) {
        report(&format!("cannot go to {}: {error}; staying where we are", launch.cwd.display()));
    }
    let path = c_string(launch.executable.as_os_str())?;
    let args = launch.args.iter().map(|arg| c_string(arg)).collect::<io::Result<_>>()?;
    let variables = place_for_exec(fds)?;
    let env = launch
        .env
        .iter()
        .chain(&variables)
        .map(|(name, value)| {
            let mut pair = OsString::with_capacity(name.len() + 1 + value.len());
            pair.push(name);
            pair.push("=");
            pair.push(value);
            c_string(&pair)
        })
        .collect::<io::Result<_>>()?;
    Ok(Call { path, args, env })
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}
