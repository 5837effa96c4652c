//! The verbs that ask a running agent: what they send, how they wait, and what they print.

mod audit_text;
mod cancel;
mod command;
mod envelope;
mod error;
mod fim;
mod follow;
mod outcome_text;
mod paint;
mod patience;
mod preflight;
mod quantity;
mod record;
mod screen;
mod status_text;
mod step_text;
mod stop;
mod table;
mod watch;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use agent_core::control::{ApiAnswer, ControlClient, command_path};

use crate::args::{CommandsVerb, GlobalOptions, Question};
use crate::exit::Exit;
use crate::paths::Surroundings;
use command::Order;
use error::CliError;
use patience::SILENCE;
use record::Record;
use screen::Screen;

/// Asks the agent that listens on `socket`, prints what it says, and returns the exit code of the program.
pub(crate) fn dispatch(options: &GlobalOptions, socket: &Path, question: Question) -> ExitCode {
    let around = Surroundings::read();
    let mut screen = Screen::standard(options.json, around.no_color);
    let exit = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(answer(socket, question, &mut screen)),
        Err(source) => screen.report(&CliError::Runtime { source }),
    };
    screen.finish(exit).into()
}

/// Asks the agent behind `socket` and prints the answer or the error.
async fn answer(socket: &Path, question: Question, screen: &mut Screen) -> Exit {
    let client = ControlClient::new(socket);
    match ask(&client, question, screen).await {
        Ok(exit) => exit,
        Err(error) => screen.report(&error),
    }
}

async fn ask(
    client: &ControlClient,
    question: Question,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    match question {
        Question::Restart(args) if args.dry_run => {
            preflight::dry_run(client, &args.modules, args.force, screen).await
        }
        Question::Restart(args) => {
            let order = Order::restart(&args.modules, args.force, args.following);
            command::give(client, order, args.no_wait, screen).await
        }
        Question::Reload(args) => {
            command::give(client, Order::reload(args.following), args.no_wait, screen).await
        }
        Question::Stop(args) => stop::stop(client, Order::stop(args.following), screen).await,
        Question::Status => {
            let answer = get(client, "/v1/status").await?;
            screen.answer(&answer.body, |paint| status_text::status(&answer.body, paint));
            Ok(Exit::Success)
        }
        Question::Modules => {
            let answer = get(client, "/v1/modules").await?;
            screen.answer(&answer.body, |paint| status_text::modules(&answer.body, paint));
            Ok(Exit::Success)
        }
        Question::Commands(verb) => commands(client, verb, screen).await,
        Question::Fim(verb) => fim::ask(client, verb, screen).await,
    }
}

async fn commands(
    client: &ControlClient,
    verb: CommandsVerb,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    match verb {
        CommandsVerb::List { limit } => {
            let answer = get(client, &format!("/v1/commands?limit={limit}")).await?;
            screen.answer(&answer.body, |paint| status_text::commands(&answer.body, paint));
            Ok(Exit::Success)
        }
        CommandsVerb::Show { id } => {
            let record = Record::new(get(client, &command_path(&id)).await?.body)?;
            screen.answer(record.value(), |paint| audit_text::command(&record, paint));
            Ok(Exit::Success)
        }
        CommandsVerb::Cancel { id, reason } => {
            cancel::cancel(client, &id, reason.as_deref(), screen).await
        }
        CommandsVerb::Watch { after } => watch::watch(client, after, SILENCE, screen).await,
    }
}

/// A GET whose answer is not an error.
async fn get(client: &ControlClient, path_and_query: &str) -> Result<ApiAnswer, CliError> {
    let answer = client.get(path_and_query).await?;
    if answer.is_success() { Ok(answer) } else { Err(CliError::Answer(answer)) }
}
