//! Turns the calling process into the next agent: the last step of the helper and of an exec in place.
#![expect(unsafe_code, reason = "nix leaves it to the caller what a disposition does to others")]

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

use super::inherited::detach_from_other_threads;
use super::launch::LaunchPlan;
use super::program::{PROGRAM_VARIABLE, RUNNING_PROGRAM};
use crate::hand_over::place_for_exec;
use crate::ticket::amend;

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
    /// Signals ignored since the agent was started (`nohup`) stay ignored, as for the agent itself; but not SIGPIPE, which
    /// the runtime of this very program ignores.
    pub(crate) fn start(self, report: impl Fn(&str)) -> ExecError {
        let Self { launch, fds, ticket } = self;
        // Found out last: nobody can switch a link between this look and another one.
        let program = launch.program().to_owned();
        let shown = program.display();
        let mut call = match prepare(&launch, &program, fds, &report) {
            Ok(call) => call,
            Err(error) => {
                let reason = format!("{shown}: {error}");
                record_failure(&ticket, &reason, &report);
                return ExecError(reason);
            }
        };
        if let Err(error) = SigSet::empty().thread_set_mask() {
            report(&format!("cannot reset the signal mask: {error}"));
        }
        let reason = format!("{shown}: {}", call.exec_with_pipe_signal(&call.path).desc());
        record_failure(&ticket, &reason, &report);
        report(&format!("cannot start {reason}; starting the program that runs now instead"));
        call.env.extend(call.called_as.take());
        let reason = format!(
            "{reason}; nor the running one: {}",
            call.exec_with_pipe_signal(RUNNING_PROGRAM).desc()
        );
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
    /// One variable more for the program that runs now, which cannot see how it was called first.
    called_as: Option<CString>,
}

impl Call {
    /// Like [`exec`](Self::exec), with SIGPIPE as a fresh program finds it. If that fails it is ignored again.
    fn exec_with_pipe_signal(&self, program: &CStr) -> Errno {
        let set = |to: SigHandler| {
            // SAFETY: neither disposition runs code of this process. In the moment before execve ends them, a write of
            // another thread to a closed pipe may end the process, as it is about to end anyway.
            unsafe { signal(Signal::SIGPIPE, to) }.err()
        };
        let not_set = set(SigHandler::SigDfl);
        let failed = self.exec(program);
        set(SigHandler::SigIgn).or(not_set).unwrap_or(failed)
    }

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
    program: &Path,
    fds: Vec<(String, OwnedFd)>,
    report: &impl Fn(&str),
) -> io::Result<Call> {
    detach_from_other_threads();
    // Where the directory was deleted the process is most likely still in it, which is as close as one can get.
    if let Err(error) = std::env::set_current_dir(&launch.cwd) {
        report(&format!("cannot go to {}: {error}; staying where we are", launch.cwd.display()));
    }
    let path = c_string(program.as_os_str())?;
    let args = launch.args.iter().map(|arg| c_string(arg)).collect::<io::Result<_>>()?;
    let variables = place_for_exec(fds)?;
    let env = launch
        .env
        .iter()
        .chain(&variables)
        .map(|(name, value)| variable(name, value))
        .collect::<io::Result<_>>()?;
    let called_as = launch.called_as.as_deref();
    let called_as =
        called_as.map(|path| variable(OsStr::new(PROGRAM_VARIABLE), path)).transpose()?;
    Ok(Call { path, args, env, called_as })
}

fn variable(name: &OsStr, value: &OsStr) -> io::Result<CString> {
    let mut pair = OsString::with_capacity(name.len() + 1 + value.len());
    pair.push(name);
    pair.push("=");
    pair.push(value);
    c_string(&pair)
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}
