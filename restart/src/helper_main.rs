//! What the restart helper does: waits until the old agent has ended, and becomes the new one.
//!
//! ```text
//!  order ──> ready ──go──> SIGTERM ──> ended ───────────────────────────> exec of the agent
//!              │             ├─ still there at the deadline: SIGKILL ──────^
//!              │             └─ called off: leave
//!              ├─ called off, or the agent closes the link and lives: leave
//!              └─ the agent has ended: straight to the start ──────────────^
//! ```

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::Signal;

use crate::controller::link::{Heard, Parcel, Word, hear, say};
use crate::controller::successor::Successor;
use crate::controller::watched::Watched;
use crate::identity::own_pid;
use crate::kernel_clock::monotonic;
use crate::ticket::{REQUESTED, amend};
use crate::{ProcessIdentity, Stamp};

/// The one argument with which the agent's program has to call [`run`].
pub const HELPER_ARGUMENT: &str = "restart-helper";

/// How long the order may take, and how long an agent that has closed the link may take to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is said that a killed process is still there.
const REMIND: Duration = Duration::from_secs(10);
/// Somebody else than the agent has called.
const EXIT_USAGE: u8 = 2;

/// Runs the helper: call it before any thread or runtime is started, with the log set up as for the agent, when the
/// program's only argument is [`HELPER_ARGUMENT`].
///
/// Does not return when all goes well, since the process becomes the agent. It waits without limit for a killed process
/// to be gone: two agents at once would be worse than a late one.
#[must_use]
pub fn run() -> ExitCode {
    // Its records go where the agent's go, and each is marked as the helper's.
    let _marked = tracing::error_span!("restart-helper", pid = own_pid()).entered();
    let link = match fcntl_dupfd_cloexec(io::stdin(), 3) {
        Ok(link) => link,
        Err(error) => {
            tracing::error!(%error, "cannot use standard input");
            return ExitCode::FAILURE;
        }
    };
    let parcel = match Parcel::receive(link.as_fd(), PATIENCE) {
        Ok(parcel) => parcel,
        Err(error) => {
            tracing::error!(%error, "no order; {HELPER_ARGUMENT} is started by the agent, not by hand");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    // Away from the agent's terminal and process group: their signals are not for the helper.
    if let Err(error) = rustix::process::setsid() {
        tracing::warn!(%error, "the restart helper stays in the session of the agent");
    }
    match replace(parcel, link) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!(%error, "the restart helper gives up");
            ExitCode::FAILURE
        }
    }
}

fn replace(mut parcel: Parcel, link: OwnedFd) -> io::Result<ExitCode> {
    let old = match parcel.pidfd.take() {
        Some(pidfd) => Watched::ByDescriptor(pidfd),
        None => Watched::ByIdentity(parcel.order.old.clone()),
    };
    if let Err(error) = say(link.as_fd(), Word::Ready) {
        // What is heard next tells whether the agent has ended or has given up.
        tracing::warn!(%error, "the agent does not listen");
    }
    let pid = parcel.order.old.pid;
    let mut link = Link(Some(link));
    match link.wait_for_go(&old)? {
        Next::Leave => {
            tracing::info!(pid, "the agent has given the restart up");
            return Ok(ExitCode::SUCCESS);
        }
        Next::Start => {
            tracing::warn!(pid, "the agent has ended before it was told to; it is started again");
            note_successor(&parcel.order.ticket);
        }
        Next::Replace => {
            old.signal(Signal::TERM)?;
            tracing::info!(pid, "SIGTERM was sent to the agent");
            let grace = Duration::from_millis(parcel.order.kill_after_ms);
            match link.wait_for_end(&old, Some(monotonic() + grace))? {
                End::Ended => {}
                End::Late => kill(&old, &mut link, &parcel, grace)?,
            }
        }
    }
    drop(link);
    nix::unistd::dup2_stdin(&parcel.stdin).map_err(io::Error::from)?;
    drop(parcel.stdin);
    let successor =
        Successor { launch: parcel.order.launch, fds: parcel.fds, ticket: parcel.order.ticket };
    let error = successor.start(|message| tracing::error!("{message}"));
    tracing::error!(%error, "the agent does not run");
    Ok(ExitCode::FAILURE)
}

/// Writes down who replaces an agent that has ended before it could write it itself.
fn note_successor(ticket: &Path) {
    let noted = ProcessIdentity::own().map_err(io::Error::other).and_then(|own| {
        amend(ticket, |ticket| {
            if ticket.successor.is_none() {
                ticket.successor = Some(own);
                ticket.stamps.push(Stamp::now(REQUESTED));
            }
        })
        .map_err(io::Error::other)
    });
    if let Err(error) = noted {
        tracing::warn!(%error, "cannot write into the ticket who replaces the agent");
    }
}

/// Kills the old agent, waits until it is gone and writes it down: its own ticket cannot say so.
fn kill(old: &Watched, link: &mut Link, parcel: &Parcel, grace: Duration) -> io::Result<()> {
    old.signal(Signal::KILL)?;
    let pid = parcel.order.old.pid;
    tracing::warn!(pid, ?grace, "the agent did not end in time after SIGTERM and was killed");
    // Nobody is left to ask anything.
    link.0 = None;
    while link.wait_for_end(old, Some(monotonic() + REMIND))? != End::Ended {
        tracing::warn!(pid, "the killed agent is still in the kernel; waiting");
    }
    if let Err(error) = amend(&parcel.order.ticket, |ticket| ticket.killed_by_helper = true) {
        tracing::warn!(%error, "cannot write into the ticket that the agent was killed");
    }
    Ok(())
}

enum Next {
    /// End the old agent and start the new one.
    Replace,
    /// The old agent has ended already.
    Start,
    /// Do nothing.
    Leave,
}

#[derive(PartialEq, Eq)]
enum End {
    Ended,
    Late,
}

/// The agent's end of the link; `None` once nothing more can come.
struct Link(Option<OwnedFd>);

impl Link {
    fn hear(&mut self) -> io::Result<Option<Heard>> {
        let heard = self.0.as_ref().map_or(Ok(None), |link| hear(link.as_fd()))?;
        if heard == Some(Heard::HungUp) {
            // It would wake every poll from now on.
            self.0 = None;
        }
        Ok(heard)
    }

    fn wait_for_go(&mut self, old: &Watched) -> io::Result<Next> {
        loop {
            let woken = old.wait(self.0.as_ref().map(AsFd::as_fd), None)?;
            // What was said before the end counts, so it is heard first.
            match self.hear()? {
                Some(Heard::Word(Word::Go)) => return Ok(Next::Replace),
                Some(Heard::Word(Word::Ready)) => {}
                Some(Heard::HungUp) => {
                    // An ending process closes its descriptors a little before it counts as ended.
                    return match self.wait_for_end(old, Some(monotonic() + PATIENCE))? {
                        End::Ended => Ok(Next::Start),
                        End::Late => Ok(Next::Leave),
                    };
                }
                None if woken.ended => return Ok(Next::Start),
                None => {}
            }
        }
    }

    fn answer(&self) {
        if let Some(link) = &self.0
            && let Err(error) = say(link.as_fd(), Word::Ready)
        {
            tracing::debug!(%error, "the agent does not wait for the answer");
        }
    }

    fn wait_for_end(&mut self, old: &Watched, deadline: Option<Duration>) -> io::Result<End> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_sub(monotonic()));
            let woken = old.wait(self.0.as_ref().map(AsFd::as_fd), left)?;
            match self.hear()? {
                // The agent asks whether somebody is there before it ends.
                Some(Heard::Word(Word::Ready)) => self.answer(),
                Some(Heard::Word(Word::Go) | Heard::HungUp) | None => {}
            }
            if woken.ended {
                return Ok(End::Ended);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(End::Late);
            }
        }
    }
}

#[cfg(test)]
mod tests;
