//! `fim scan`: begins a scan and follows it to its end, also across restarts of the agent.

use std::path::PathBuf;
use std::time::Duration;

use agent_core::control::ControlClient;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::status_text::finished;
use super::{path, progress, question};
use crate::args::ScanArgs;
use crate::cli::error::CliError;
use crate::cli::paint::{Tone, harmless};
use crate::cli::patience::{PAUSE, Patience, QUESTION, SILENCE, Verdict};
use crate::cli::screen::Screen;
use crate::exit::Exit;

/// How long to rest between two looks at a scan.
const LOOK: Duration = Duration::from_millis(200);

/// Begins a scan and, unless told not to, waits for its end.
pub(super) async fn scan(
    client: &ControlClient,
    args: &ScanArgs,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    let paths: Result<Vec<PathBuf>, CliError> =
        args.paths.iter().map(|given| path::absolute(given)).collect();
    let mut asker = Asker { client: client.clone(), patience: Patience::new(SILENCE) };
    // Asked again if the answer is lost: a scan too many harms nobody.
    let mut begun = asker.ask("scan", path::arguments(&paths?), screen).await?;
    let number = match (begun["started"].as_bool(), begun["scan"].as_u64()) {
        (Some(true), Some(number)) => number,
        (Some(false), _) => {
            screen.answer(&begun, |paint| {
                let reason =
                    harmless(begun["reason"].as_str().unwrap_or("the module does not say why"));
                format!("{} {reason}\n", paint.text(Tone::Bad, "no scan was begun:"))
            });
            return Ok(Exit::Refused);
        }
        (Some(true) | None, _) => {
            return Err(CliError::Unexpected { what: "a scan without its number" });
        }
    };
    if args.no_wait {
        screen.answer(&begun, |_| format!("scan {number} was begun\n"));
        return Ok(Exit::Success);
    }
    screen.live(|_| format!("scan {number} was begun"));
    // Short enough to get away from an agent that is stuck.
    asker.client = asker.client.with_timeout(QUESTION);
    let last = asker.until_finished(number, screen).await?;
    begun["last_scan"] = last;
    screen.answer(&begun, |paint| {
        format!("{} {}\n", paint.text(Tone::Good, "finished:"), finished(&begun["last_scan"]))
    });
    Ok(Exit::Success)
}

/// Asks a module that may be started anew meanwhile, in the same process or another.
struct Asker {
    client: ControlClient,
    patience: Patience,
}

impl Asker {
    /// Shows how far scan `number` is until it has ended, and returns the last scan as the module tells of it then.
    async fn until_finished(
        &mut self,
        number: u64,
        screen: &mut Screen,
    ) -> Result<Value, CliError> {
        let mut unknown_since = None;
        loop {
            let mut status = self.ask("status", Map::new(), screen).await?;
            if status["last_scan"]["number"].as_u64().is_some_and(|last| last >= number) {
                return Ok(status["last_scan"].take());
            }
            // A module that is idle without having ended the scan has lost its memory, or is about to begin.
            let idle = status["scan"].is_null() && status["state"] != json!("waiting");
            let since = idle.then(|| *unknown_since.get_or_insert_with(Instant::now));
            if since.is_some_and(|since| since.elapsed() >= SILENCE) {
                return Err(CliError::Unexpected { what: "the scan is not known any more" });
            }
            unknown_since = since;
            screen.progress(|paint| progress::line(&status["scan"], paint));
            sleep(LOOK).await;
        }
    }

    /// The body of the answer, whoever gives it at last.
    async fn ask(
        &mut self,
        verb: &str,
        arguments: Map<String, Value>,
        screen: &mut Screen,
    ) -> Result<Value, CliError> {
        loop {
            let answer = question(&self.client, verb, arguments.clone()).await;
            match self.patience.judge(answer, Instant::now()) {
                Verdict::Answer(answer) => return Ok(answer.body),
                Verdict::AskAgain => {
                    screen.progress(|paint| paint.text(Tone::Faint, "waiting for the agent"));
                    sleep(PAUSE).await;
                }
                Verdict::GiveUp(error) => return Err(error),
            }
        }
    }
}
