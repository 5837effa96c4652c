//! `fim …`: questions to the module `fim`, and what it answers.

mod check_text;
mod path;
mod progress;
mod scan;
mod status_text;

use agent_core::control::{ApiAnswer, ClientError, ControlClient};
use serde_json::{Map, Value, json};

use super::error::CliError;
use super::screen::Screen;
use crate::args::FimVerb;
use crate::exit::Exit;

/// Asks what `verb` says and prints the answer.
pub(super) async fn ask(
    client: &ControlClient,
    verb: FimVerb,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    match verb {
        FimVerb::Status => {
            let body = good(question(client, "status", Map::new()).await)?;
            screen.answer(&body, |paint| status_text::status(&body, paint));
            Ok(Exit::Success)
        }
        FimVerb::Scan(args) => scan::scan(client, &args, screen).await,
        FimVerb::Check { path } => {
            let path = path::absolute(&path)?;
            let body = good(question(client, "check", path::argument(&path)).await)?;
            let verdict = check_text::Verdict::of(&body)?;
            screen.answer(&body, |paint| check_text::text(&path, &verdict, &body, paint));
            Ok(if verdict.is_same() { Exit::Success } else { Exit::Differs })
        }
    }
}

/// Asks the module once.
async fn question(
    client: &ControlClient,
    verb: &str,
    arguments: Map<String, Value>,
) -> Result<ApiAnswer, ClientError> {
    let body = json!({ "verb": verb, "arguments": arguments });
    client.post("/v1/modules/fim/ask", body).await
}

/// The body of an answer that is no error.
fn good(answer: Result<ApiAnswer, ClientError>) -> Result<Value, CliError> {
    let answer = answer?;
    if answer.is_success() { Ok(answer.body) } else { Err(CliError::Answer(answer)) }
}
