//! Calls off a command whose turn has not come.

use agent_core::control::{ControlClient, command_path};
use command_manager::ErrorCode;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::error::CliError;
use super::get;
use super::paint::{Tone, harmless};
use super::patience::{PAUSE, Patience, QUESTION, SILENCE, Verdict};
use super::record::Record;
use super::screen::Screen;
use crate::exit::Exit;

/// The number in `error` of a command that was cancelled.
const CANCELLED: ErrorCode = ErrorCode::Cancelled;

/// Cancels the command `id`. Success means that it is not begun any more.
pub(super) async fn cancel(
    client: &ControlClient,
    id: &str,
    reason: Option<&str>,
    screen: &mut Screen,
) -> Result<Exit, CliError> {
    let client = client.clone().with_timeout(QUESTION);
    let path = format!("{}/cancel", command_path(id));
    let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
    let mut patience = Patience::new(SILENCE);
    let record = loop {
        match patience.judge(client.post(&path, body.clone()).await, Instant::now()) {
            Verdict::Answer(answer) => break Record::new(answer.body)?,
            Verdict::AskAgain => sleep(PAUSE).await,
            Verdict::GiveUp(refusal) => {
                break cancelled_before(&client, id, refusal, &patience).await?;
            }
        }
    };
    screen.answer(record.value(), |paint| {
        let (kind, id) = (harmless(record.text("type")), harmless(id));
        format!("{}: {kind} {id} will not be begun\n", paint.text(Tone::Good, "cancelled"))
    });
    Ok(Exit::Success)
}

/// The record of the command when it was cancelled by an earlier question whose answer was lost; then it is finished,
/// and asking again is refused as a conflict. Otherwise `refusal` stands.
async fn cancelled_before(
    client: &ControlClient,
    id: &str,
    refusal: CliError,
    patience: &Patience,
) -> Result<Record, CliError> {
    let is_conflict = matches!(&refusal, CliError::Answer(answer) if answer.status == 409);
    if !is_conflict || !patience.has_lost_an_answer() {
        return Err(refusal);
    }
    let record = Record::new(get(client, &command_path(id)).await?.body)?;
    if record.value()["error"] == CANCELLED.code() { Ok(record) } else { Err(refusal) }
}
