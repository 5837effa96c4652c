//! Hands a command in and follows it to its end, also across the change of the process that works on it.
//!
//! The agent goes away in the middle of a restart and comes back as another process. A connection that breaks, nobody
//! who answers, an answer that does not come: all of that is expected once the command was sent, and asked again.

use std::time::Duration;

use agent_core::control::{ApiAnswer, ClientError, ControlClient, command_path};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};

use super::error::CliError;
use super::record::Record;
use super::screen::Screen;
use super::step_text::live_line;

/// How long to rest before asking again.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the agent may wait for news before it answers.
const POLL: Duration = Duration::from_secs(10);

/// How long a single question may take: longer than the agent waits, short enough to get away from one that is stuck.
const QUESTION: Duration = Duration::from_secs(15);

/// Follows one command.
pub(super) struct Follower<'a> {
    client: ControlClient,
    screen: &'a mut Screen,
    id: String,
    timeout: Duration,
    deadline: Instant,
    history: Vec<Value>,
    last_seq: Option<u64>,
}

impl<'a> Follower<'a> {
    /// A follower of the command `id` that gives up after `timeout` from now.
    pub(super) fn new(
        client: &ControlClient,
        id: String,
        timeout: Duration,
        screen: &'a mut Screen,
    ) -> Self {
        Self {
            client: client.clone().with_timeout(QUESTION),
            screen,
            id,
            timeout,
            deadline: Instant::now() + timeout,
            history: Vec::new(),
            last_seq: None,
        }
    }

    /// Hands `envelope` in, again if the answer is lost: the id makes it one command. Returns what the agent answered.
    pub(super) async fn submit(&mut self, envelope: &Value) -> Result<ApiAnswer, CliError> {
        let submitting = submit(&self.client, envelope);
        timeout_at(self.deadline, submitting).await.unwrap_or_else(|_| Err(self.not_finished()))
    }

    /// Shows what happens to the command until it is finished, and returns its record with the whole history.
    pub(super) async fn until_finished(&mut self) -> Result<Record, CliError> {
        loop {
            match self.news().await? {
                Some(record) if record.is_finished() => {
                    return Ok(record.with_history(std::mem::take(&mut self.history)));
                }
                Some(_) => {}
                None if Instant::now() >= self.deadline => return Err(self.not_finished()),
                // The agent is away; it comes back.
                None => sleep(PAUSE).await,
            }
        }
    }

    /// Waits for news, shows them, and returns the record as it is then; `None` when nobody listens on the socket.
    pub(super) async fn news(&mut self) -> Result<Option<Record>, CliError> {
        let mut path = format!("{}?wait_ms={}", command_path(&self.id), POLL.as_millis());
        if let Some(last) = self.last_seq {
            path.push_str(&format!("&after={last}"));
        }
        let asking = ask(&self.client, &path);
        let answer = timeout_at(self.deadline, asking).await;
        let Some(answer) = answer.unwrap_or_else(|_| Err(self.not_finished()))? else {
            return Ok(None);
        };
        let record = Record::new(answer.body)?;
        if !self.show(&record) && !record.is_finished() {
            // An answer without news came early, for example because the agent stops: no reason to ask in a hurry.
            sleep(PAUSE).await;
        }
        Ok(Some(record))
    }

    /// Shows the entries that were not shown yet. Whether there were any.
    fn show(&mut self, record: &Record) -> bool {
        let mut any = false;
        for entry in record.history() {
            let Some(seq) = entry["seq"].as_u64() else { continue };
            if self.last_seq.is_none_or(|last| seq > last) {
                self.last_seq = Some(seq);
                self.screen.live(|paint| live_line(entry, record.accepted_at(), paint));
                self.history.push(entry.clone());
                any = true;
            }
        }
        any
    }

    fn not_finished(&self) -> CliError {
        CliError::NotFinished { id: self.id.clone(), timeout: self.timeout }
    }
}

async fn submit(client: &ControlClient, envelope: &Value) -> Result<ApiAnswer, CliError> {
    let mut was_sent = false;
    loop {
        match client.post("/v1/commands", envelope.clone()).await {
            Ok(answer) if answer.is_success() => return Ok(answer),
            Ok(answer) if answer.status == 503 => was_sent = true,
            Ok(answer) => return Err(CliError::Answer(answer)),
            Err(ClientError::Interrupted { .. } | ClientError::TimedOut) => was_sent = true,
            Err(ClientError::NotRunning { .. }) if was_sent => {}
            Err(error) => return Err(error.into()),
        }
        sleep(PAUSE).await;
    }
}

/// The answer to a question that is asked again while the agent is being replaced; `None` when nobody listens.
async fn ask(client: &ControlClient, path: &str) -> Result<Option<ApiAnswer>, CliError> {
    loop {
        match client.get(path).await {
            Ok(answer) if answer.is_success() => return Ok(Some(answer)),
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => return Err(CliError::Answer(answer)),
            Err(ClientError::NotRunning { .. }) => return Ok(None),
            Err(ClientError::Interrupted { .. } | ClientError::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        sleep(PAUSE).await;
    }
}
