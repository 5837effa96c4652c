//! How long an agent that is being replaced is asked again.
//!
//! Once an agent has answered, or may have got a question, a connection that breaks, nobody who listens and an answer
//! that does not come are expected: the agent comes back as another process. When that takes too long, it does not.

use std::time::Duration;

use agent_core::control::{ApiAnswer, ClientError, ErrorKind};
use tokio::time::Instant;

use super::error::CliError;

/// How long nobody may answer: an end of 30 s and a start that takes as long.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// How long a single question may take: longer than the agent waits for news, short enough to get away from one that is
/// stuck.
pub(super) const QUESTION: Duration = Duration::from_secs(15);

/// How long to rest before asking again.
pub(super) const PAUSE: Duration = Duration::from_millis(100);

/// What to do with an answer, or without one.
#[derive(Debug)]
#[must_use]
pub(super) enum Verdict {
    /// Take it.
    Answer(ApiAnswer),
    /// Rest and ask again.
    AskAgain,
    /// Stop asking.
    GiveUp(CliError),
}

/// Judges the answers to questions that can be asked twice.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// Whether there is an agent, or was.
    met: bool,
    /// Whether an agent may have done what it was asked for without having said so.
    lost_an_answer: bool,
    /// Since when there was no good answer.
    silent_since: Option<Instant>,
}

impl Patience {
    /// Gives up when nobody has answered for `limit`.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, met: false, lost_an_answer: false, silent_since: None }
    }

    /// See [`Verdict`]. An error of the agent is given up at once, unless it is one that passes.
    pub(super) fn judge(
        &mut self,
        answer: Result<ApiAnswer, ClientError>,
        now: Instant,
    ) -> Verdict {
        let error = match answer {
            Ok(answer) if answer.is_success() => {
                self.met = true;
                self.silent_since = None;
                return Verdict::Answer(answer);
            }
            Ok(answer) if answer.status == 503 => CliError::Answer(answer),
            // Its module is being started, as the agent itself is.
            Ok(answer) if self.met && is_not_running(&answer) => CliError::Answer(answer),
            Ok(answer) => return Verdict::GiveUp(CliError::Answer(answer)),
            Err(error @ (ClientError::Interrupted { .. } | ClientError::TimedOut)) => {
                self.lost_an_answer = true;
                CliError::Silent { limit: self.limit, error }
            }
            Err(error @ ClientError::NotRunning { .. }) if self.met => {
                CliError::Silent { limit: self.limit, error }
            }
            Err(error) => return Verdict::GiveUp(error.into()),
        };
        self.met = true;
        let silent_since = *self.silent_since.get_or_insert(now);
        if now.duration_since(silent_since) < self.limit {
            Verdict::AskAgain
        } else {
            Verdict::GiveUp(error)
        }
    }

    /// Whether an agent may have done what it was asked for without having said so.
    pub(super) fn has_lost_an_answer(&self) -> bool {
        self.lost_an_answer
    }
}

/// Whether it was a module that could not be asked.
fn is_not_running(answer: &ApiAnswer) -> bool {
    answer.body["error"]["code"] == ErrorKind::NotRunning.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exit::Exit;

    const LIMIT: Duration = Duration::from_secs(60);

    type Asked = Result<ApiAnswer, ClientError>;

    fn good() -> Asked {
        Ok(ApiAnswer::ok(json!({})))
    }

    fn status(status: u16) -> Asked {
        Ok(ApiAnswer { status, body: json!({ "error": { "message": "the disk is full" } }) })
    }

    fn nobody() -> Asked {
        Err(ClientError::NotRunning { socket: "/s".into(), reason: "refused".into() })
    }

    fn broken() -> Asked {
        Err(ClientError::Interrupted { reason: "closed".into() })
    }

    /// What is made of answers that come so many seconds after the first question: `+` taken, `.` asked again, or the
    /// exit code with which it is given up.
    fn story(answers: impl IntoIterator<Item = (u64, Asked)>) -> String {
        let (mut patience, begin) = (Patience::new(LIMIT), Instant::now());
        let mut told = String::new();
        for (second, answer) in answers {
            match patience.judge(answer, begin + Duration::from_secs(second)) {
                Verdict::Answer(_) => told.push('+'),
                Verdict::AskAgain => told.push('.'),
                Verdict::GiveUp(error) => told.push_str(&(error.exit() as u8).to_string()),
            }
        }
        told
    }

    #[test]
    fn nobody_is_given_up_at_once_when_there_never_was_an_agent() {
        assert_eq!(story([(0, nobody())]), "5");
        let denied = Err(ClientError::PermissionDenied { socket: "/s".into() });
        assert_eq!(story([(0, denied)]), "4");
    }

    #[test]
    fn an_agent_that_was_there_may_be_away_for_the_limit_and_no_longer() {
        let away = [(0, good()), (9, broken()), (10, nobody()), (68, nobody()), (69, nobody())];
        assert_eq!(story(away), "+...5");
    }

    #[test]
    fn every_good_answer_gives_the_whole_limit_again() {
        let away = [
            (0, broken()),
            (59, nobody()),
            (59, good()),
            (70, nobody()),
            (129, nobody()),
            (130, nobody()),
        ];
        assert_eq!(story(away), "..+..5");
    }

    #[test]
    fn an_agent_that_cannot_answer_now_is_asked_again_and_then_has_the_last_word() {
        assert_eq!(story([(0, status(503)), (1, good())]), ".+");
        assert_eq!(story([(0, status(503)), (60, status(503))]), ".1");
        assert_eq!(story([(0, good()), (1, status(404))]), "+1");
        assert_eq!(story([(0, good()), (1, status(403))]), "+4");
    }

    #[test]
    fn a_module_that_does_not_run_is_asked_again_only_if_there_was_an_answer_before() {
        let stopped = || Ok(ApiAnswer::error(ErrorKind::NotRunning, "module fim does not run now"));
        assert_eq!(story([(0, stopped())]), "4");
        let restarted = [(0, good()), (1, nobody()), (2, stopped()), (3, good())];
        assert_eq!(story(restarted), "+..+");
        assert_eq!(story([(0, good()), (1, stopped()), (61, stopped())]), "+.4");
    }

    #[test]
    fn an_answer_is_lost_when_the_question_may_have_arrived() {
        for (answer, lost) in [
            (good(), false),
            (nobody(), false),
            (status(503), false),
            (broken(), true),
            (Err(ClientError::TimedOut), true),
        ] {
            let mut patience = Patience::new(LIMIT);
            drop(patience.judge(answer, Instant::now()));
            assert_eq!(patience.has_lost_an_answer(), lost, "{patience:?}");
        }
    }

    #[test]
    fn giving_up_says_for_how_long_and_why() {
        let mut patience = Patience::new(Duration::ZERO);
        let Verdict::GiveUp(error) = patience.judge(broken(), Instant::now()) else {
            panic!("{patience:?}")
        };
        let expected =
            "no answer for 0ms, given up: the connection broke before the answer was whole: closed";
        assert_eq!((error.exit(), error.to_string().as_str()), (Exit::NotRunning, expected));
    }
}
