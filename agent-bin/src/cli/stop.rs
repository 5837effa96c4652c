//! Stops the agent and waits until its process is gone.
//!
//! Gone is seen by a pidfd. The pid that the agent tells means something else when the agent lives in another pid
//! namespace; whether it does is told by the pid that the agent saw of *this* program. Then the end of answers on the
//! socket counts.

use std::os::fd::OwnedFd;
use std::time::Duration;

use agent_core::control::{ClientError, ControlClient};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::command::Order;
use super::error::CliError;
use super::follow::Follower;
use super::get;
use super::outcome_text::outcome;
use super::paint::Tone;
use super::record::Record;
use super::screen::Screen;
use crate::exit::Exit;

/// How often the pidfd is looked at: a call without waiting, so often that nobody notices the difference.
const GLANCE: Duration = Duration::from_millis(10);

/// How often the socket is tried when there is no pidfd to wait for.
const POLL: Duration = Duration::from_millis(100);

/// How long the process may outlive its socket when it is not known whether the pidfd is the agent's.
const LINGER: Duration = Duration::from_secs(5);

/// Stops the agent. Success means that its process is gone.
pub(super) async fn stop(
    client: &ControlClient,
    order: Order,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    let status = get(client, "/v1/status").await?.body;
    let agent = Agent::of(&status, client);
    let begin = Instant::now();
    let mut follower = Follower::new(client, order.id, order.timeout, screen);
    let mut learned = Learned::default();
    let followed = tokio::select! {
        biased;
        followed = stop_and_follow(&mut follower, &order.envelope, &mut learned) => followed,
        () = agent.gone(None) => Ok(None),
    };
    // Once the agent is told to stop, everything but a refusal is overtaken by its end.
    match followed {
        Ok(Some(record)) if record.exit() != Exit::Success => {
            screen.answer(record.value(), |paint| outcome(&record, paint));
            return Ok(record.exit());
        }
        Ok(_) | Err(CliError::NotFinished { .. }) => {}
        Err(error) => return Err(error),
    }
    let gone = timeout_at(begin + order.timeout, agent.gone(learned.same_pids)).await;
    if gone.is_err() {
        return Err(CliError::NotGone { pid: agent.pid, timeout: order.timeout });
    }
    let answer = json!({ "outcome": "stopped", "pid": agent.pid, "id": learned.id });
    screen.answer(&answer, |paint| {
        format!("{}: the agent (pid {}) is gone\n", paint.text(Tone::Good, "stopped"), agent.pid)
    });
    Ok(Exit::Success)
}

/// What the follower found out before the agent went away.
#[derive(Debug, Default)]
struct Learned {
    id: Option<String>,
    /// Whether the agent counts pids as this program does.
    same_pids: Option<bool>,
}

/// Hands the stop in and follows it until it is finished or nobody answers any more (`None`).
async fn stop_and_follow(
    follower: &mut Follower<'_>,
    envelope: &Value,
    learned: &mut Learned,
) -> Result<Option<Record>, CliError> {
    let accepted = follower.submit(envelope).await?;
    learned.id = accepted.body["id"].as_str().map(ToOwned::to_owned);
    loop {
        let Some(record) = follower.news().await? else { return Ok(None) };
        let seen = record.requester_pid();
        learned.same_pids = Some(seen == Some(i64::from(std::process::id())));
        if record.is_finished() {
            return Ok(Some(record));
        }
    }
}

/// The agent that is to be stopped.
struct Agent<'a> {
    pid: i64,
    /// When it started, as it says itself: another process says something else.
    started_at: Value,
    pidfd: Option<OwnedFd>,
    client: &'a ControlClient,
}

impl<'a> Agent<'a> {
    fn of(status: &Value, client: &'a ControlClient) -> Self {
        let pid = status["pid"].as_i64().unwrap_or(0);
        let number = i32::try_from(pid).ok().filter(|pid| *pid > 0);
        let pidfd = number
            .and_then(Pid::from_raw)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { pid, started_at: status["started_at"].clone(), pidfd, client }
    }

    /// Returns once the process of the agent's pid has ended; never if there is no such process.
    async fn pidfd_readable(&self) {
        let Some(pidfd) = &self.pidfd else { return std::future::pending().await };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        while !matches!(poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&at_once)), Ok(1)) {
            sleep(GLANCE).await;
        }
    }

    /// Returns once nobody answers on the socket, or somebody else does.
    async fn silent(&self) {
        loop {
            match self.client.get("/v1/status").await {
                Err(ClientError::NotRunning { .. }) => return,
                Ok(answer)
                    if answer.is_success() && answer.body["started_at"] != self.started_at =>
                {
                    return;
                }
                Ok(_) | Err(_) => sleep(POLL).await,
            }
        }
    }

    /// Returns once the agent is gone.
    async fn gone(&self, same_pids: Option<bool>) {
        match (same_pids, &self.pidfd) {
            (Some(true), Some(_)) => self.pidfd_readable().await,
            (Some(false), _) | (_, None) => self.silent().await,
            (None, Some(_)) => {
                let silent_for_long = async {
                    self.silent().await;
                    sleep(LINGER).await;
                };
                tokio::select! {
                    () = self.pidfd_readable() => {}
                    () = silent_for_long => {}
                }
            }
        }
    }
}
