//! Replaces the process through a helper: a second process of the same program that outlives this one and becomes the
//! next agent. For an agent that was started by hand.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{PidfdFlags, getpid, pidfd_open};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

use super::exec::check_executable;
use super::link::{Heard, Parcel, Word, hear_within, pair, say};
use super::{LaunchPlan, Method, ProcessController, Refusal, ReplaceError, Requested};
use crate::hand_over::check_names;
use crate::helper_main::HELPER_ARGUMENT;
use crate::{CommittedTicket, ProcessIdentity};

/// How long the helper may take to say that it is there. It has nothing to do before but start.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// The controller for an agent that nobody supervises.
#[derive(Debug)]
pub struct HelperController {
    launch: LaunchPlan,
}

impl HelperController {
    /// A controller that will start the agent again as `launch` says. The program has to call
    /// [`helper_main::run`](crate::helper_main::run) when its only argument is [`HELPER_ARGUMENT`].
    #[must_use]
    pub fn new(launch: LaunchPlan) -> Self {
        Self { launch }
    }
}

#[async_trait]
impl ProcessController for HelperController {
    fn method(&self) -> Method {
        Method::Helper
    }

    async fn preflight(&self) -> Result<Vec<String>, Refusal> {
        check_executable(&self.launch)
    }

    async fn request(
        &self,
        ticket: &mut CommittedTicket,
        fds: Vec<(String, OwnedFd)>,
        remaining: Duration,
    ) -> Result<Requested, ReplaceError> {
        check_names(fds.iter().map(|(name, _)| name.as_str())).map_err(ReplaceError::HandOver)?;
        let order =
            (self.launch.clone(), ticket.ticket().old.clone(), remaining, ticket.path().to_owned());
        let parcel = parcel(order, fds).map_err(ReplaceError::HandOver)?;
        // Dropped before it is sent off, the helper is killed: with this call as well.
        let started = tokio::task::spawn_blocking(move || Helper::start(&parcel));
        let helper = started.await.map_err(|error| ReplaceError::Helper(error.to_string()))??;
        let link =
            helper.watchable_link().map_err(|error| ReplaceError::Helper(error.to_string()))?;

        let identity = helper.identity().map_err(ReplaceError::Helper)?;
        ticket.record_request(Some(identity))?;
        Ok(helper.send_off(link)?)
    }
}

fn parcel(
    order: (LaunchPlan, ProcessIdentity, Duration, std::path::PathBuf),
    fds: Vec<(String, OwnedFd)>,
) -> io::Result<Parcel> {
    // Opened here, where the process certainly is the one meant, and before the helper exists.
    let pidfd = pidfd_open(getpid(), PidfdFlags::empty())
        .inspect_err(
            |error| tracing::debug!(%error, "no pidfd, the helper goes by pid and start time"),
        )
        .ok();
    let stdin = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(Parcel::new(order, pidfd, stdin, fds))
}

/// A helper that is ready and has not been told to go. Dropping it kills it.
#[derive(Debug)]
struct Helper {
    /// Taken when the helper is sent off.
    child: Option<Child>,
    link: Arc<OwnedFd>,
}

impl Helper {
    /// Starts the helper, gives it the order and waits until it is ready. Blocks.
    fn start(parcel: &Parcel) -> Result<Self, ReplaceError> {
        let launch = &parcel.order.launch;
        let path = launch.program();
        let spawn_failed = |source| ReplaceError::Spawn { path: path.to_owned(), source };
        let (link, theirs) = pair().map_err(spawn_failed)?;
        let child = spawn(path, launch, theirs).map_err(spawn_failed)?;
        let helper = Self { child: Some(child), link: Arc::new(link) };
        let link = helper.link.as_fd();
        let ended = || ReplaceError::Helper("it ended at once; its log records say why".to_owned());
        parcel.send(link).map_err(|error| {
            let gone = error.kind() == io::ErrorKind::BrokenPipe;
            if gone { ended() } else { ReplaceError::HandOver(error) }
        })?;
        match hear_within(link, READY_TIMEOUT) {
            Ok(Some(Heard::Word(Word::Ready))) => Ok(helper),
            Ok(Some(Heard::HungUp)) => Err(ended()),
            Ok(Some(Heard::Word(Word::Go))) => {
                Err(ReplaceError::Helper("it answered something else than asked".to_owned()))
            }
            Ok(None) => {
                Err(ReplaceError::Helper(format!("it did not answer in {READY_TIMEOUT:?}")))
            }
            Err(error) => Err(ReplaceError::Helper(error.to_string())),
        }
    }

    fn identity(&self) -> Result<ProcessIdentity, String> {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        // It is our child and not reaped yet, so the pid cannot mean another process.
        ProcessIdentity::of(pid.unwrap_or(0)).map_err(|error| error.to_string())
    }

    fn watchable_link(&self) -> io::Result<UnixStream> {
        let link = std::os::unix::net::UnixStream::from(self.link.try_clone()?);
        link.set_nonblocking(true)?;
        UnixStream::from_std(link)
    }

    /// Tells the helper to go and watches whether it lives.
    fn send_off(mut self, link: UnixStream) -> Result<Requested, ReplaceError> {
        say(self.link.as_fd(), Word::Go)
            .map_err(|error| ReplaceError::Helper(error.to_string()))?;
        let (tell, fate) = oneshot::channel();
        let call_off = self.child.take().map(|child| {
            let sent_off = Arc::new(SentOff { child: Mutex::new(child), answered: Notify::new() });
            tokio::spawn(watch(Arc::clone(&sent_off), link, tell));
            CallOff { link: Arc::clone(&self.link), sent_off }
        });
        Ok(Requested::SigtermWillCome { fate, call_off })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take()
            && let Err(error) = child.kill().and_then(|()| child.wait())
        {
            tracing::warn!(%error, pid = child.id(), "cannot end the restart helper");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "controllers are where processes are started")]
fn spawn(program: &Path, launch: &LaunchPlan, link: OwnedFd) -> io::Result<Child> {
    // Nothing that would make std fork by itself: this process has threads, so it has to be posix_spawn.
    Command::new(program)
        .arg(HELPER_ARGUMENT)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(link))
        .spawn()
}

/// A helper that was told to go.
#[derive(Debug)]
struct SentOff {
    /// Reaped under the lock, so that its pid means no other process while it is killed.
    child: Mutex<Child>,
    /// It has said that it is still there.
    answered: Notify,
}

impl SentOff {
    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the helper's end of the link is closed, which only happens when the helper ends.
async fn watch(helper: Arc<SentOff>, link: UnixStream, tell: oneshot::Sender<String>) {
    loop {
        let read = match link.readable().await {
            Ok(()) => link.try_read(&mut [0]),
            Err(error) => Err(error),
        };
        match read {
            Ok(0) => break,
            Ok(_) => helper.answered.notify_one(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => {
                tracing::warn!(%error, "cannot watch the restart helper");
                return;
            }
        }
    }
    // Its descriptors are closed, so it is ending.
    let how = match helper.child().wait() {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let message = format!("the restart helper ended ({how}) without replacing this process");
    if let Err(message) = tell.send(message) {
        tracing::debug!("{message}");
    }
}

/// Takes a replacement by the helper back.
#[derive(Debug)]
pub struct CallOff {
    link: Arc<OwnedFd>,
    sent_off: Arc<SentOff>,
}

impl CallOff {
    /// Ends the helper, also one that is stopped or hangs: afterwards it signals nobody and starts no agent. It does not
    /// bring back a SIGTERM that was sent before, and nobody enforces any deadline from now on. Blocks for the moment
    /// that the helper takes to end.
    ///
    /// # Errors
    /// The helper could not be ended; the kernel's answer.
    pub fn call_off(self) -> io::Result<()> {
        let mut child = self.sent_off.child();
        child.kill()?;
        child.wait().map(drop)
    }

    /// Whether the helper answers `within` this time. One that does not is dead or hangs, and would not start the next
    /// agent: call it off and find another way before this process ends. May be dropped at any await.
    pub async fn helper_answers(&self, within: Duration) -> bool {
        let asked = say(self.link.as_fd(), Word::Ready);
        asked.is_ok()
            && tokio::time::timeout(within, self.sent_off.answered.notified()).await.is_ok()
    }
}
