//! Why a question to the agent has no good answer, as a person and as a program read it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_core::control::{ApiAnswer, ClientError};
use module_api::units::format_duration;
use serde_json::{Value, json};

use crate::exit::Exit;

/// Why there is no outcome.
#[derive(Debug)]
pub(super) enum CliError {
    /// There was no answer.
    Client(ClientError),
    /// The answer is an error of the agent.
    Answer(ApiAnswer),
    /// The answer is JSON, but not what it should be.
    Unexpected {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The time of `--timeout` is over.
    NotFinished {
        /// The command.
        id: String,
        /// The time given.
        timeout: Duration,
    },
    /// There was an agent, but nobody has answered since.
    Silent {
        /// For how long.
        limit: Duration,
        /// Why there was no answer the last time.
        error: ClientError,
    },
    /// The agent took the stop, but its process is still there.
    NotGone {
        /// The agent.
        pid: i64,
        /// The time given.
        timeout: Duration,
    },
    /// A path on the command line does not lead anywhere.
    Path {
        /// As it was given.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// This program has no runtime.
    Runtime {
        /// What the kernel said.
        source: io::Error,
    },
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => f.write_str(&client_text(error)),
            Self::Answer(answer) => f.write_str(&answer_text(answer)),
            Self::Unexpected { what } => {
                write!(f, "the agent's answer cannot be understood: {what}")
            }
            Self::NotFinished { id, timeout } => write!(
                f,
                "the outcome of command {id} is not known after {}; look again with `wazuh-agent commands show {id}`",
                format_duration(*timeout)
            ),
            Self::Silent { limit, error } => {
                let limit = format_duration(*limit);
                write!(f, "no answer for {limit}, given up: {}", client_text(error))
            }
            Self::NotGone { pid, timeout } => {
                write!(
                    f,
                    "the agent (pid {pid}) is still there after {}",
                    format_duration(*timeout)
                )
            }
            Self::Path { path, source } => {
                write!(f, "cannot tell where {:?} is: {source}", path.display().to_string())
            }
            Self::Runtime { source } => write!(f, "cannot start a runtime: {source}"),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl CliError {
    /// How the program ends.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.into(),
            Self::Answer(answer) => answer.into(),
            Self::Silent { .. } => Exit::NotRunning,
            Self::NotFinished { .. } | Self::NotGone { .. } => Exit::TimedOut,
            Self::Unexpected { .. } | Self::Path { .. } | Self::Runtime { .. } => Exit::Failed,
        }
    }

    /// What `--json` prints instead of an answer: code and message, and what else the agent said about it.
    pub(super) fn to_json(&self) -> Value {
        let said = match self {
            Self::Answer(answer) => answer.body["error"].as_object().cloned(),
            Self::Client(_)
            | Self::Unexpected { .. }
            | Self::NotFinished { .. }
            | Self::Silent { .. }
            | Self::NotGone { .. }
            | Self::Path { .. }
            | Self::Runtime { .. } => None,
        };
        let mut error = said.unwrap_or_default();
        error.insert("code".to_owned(), self.code().into());
        error.insert("message".to_owned(), self.to_string().into());
        json!({ "error": error })
    }

    fn code(&self) -> &str {
        match self {
            Self::Client(ClientError::NotRunning { .. }) | Self::Silent { .. } => "not_running",
            Self::Client(ClientError::PermissionDenied { .. }) => "permission_denied",
            Self::Client(ClientError::Interrupted { .. }) => "interrupted",
            Self::Client(ClientError::TimedOut)
            | Self::NotFinished { .. }
            | Self::NotGone { .. } => "timed_out",
            Self::Client(ClientError::BadAnswer { .. }) | Self::Unexpected { .. } => "bad_answer",
            Self::Answer(answer) => answer.body["error"]["code"].as_str().unwrap_or("failed"),
            Self::Path { .. } | Self::Runtime { .. } => "failed",
        }
    }
}

fn client_text(error: &ClientError) -> String {
    match error {
        ClientError::NotRunning { socket, reason } => format!(
            "no agent is running: nobody answers on {} ({reason}); start it with `systemctl start wazuh-agent` or `wazuh-agent run`",
            socket.display()
        ),
        ClientError::PermissionDenied { .. } => {
            format!(
                "{error}; ask as root, as the agent's user, or as a member of the socket's group"
            )
        }
        ClientError::Interrupted { .. } | ClientError::TimedOut | ClientError::BadAnswer { .. } => {
            error.to_string()
        }
    }
}

fn answer_text(answer: &ApiAnswer) -> String {
    match answer.body["error"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("the agent answered with status {}", answer.status),
    }
}
