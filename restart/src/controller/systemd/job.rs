//! Asks systemd over D-Bus to restart the unit, and watches what becomes of the job.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use tokio::sync::oneshot;
use zbus::message::Type as MessageType;
use zbus::{MatchRule, MessageStream, OwnedObjectPath};

use super::manager::{MANAGER, MANAGER_PATH, OwnUnit, SystemdError};

/// A job that is under way and would be cancelled by the new one keeps the new one from being placed, in one step within
/// systemd: so a stop, of the unit or of the machine, wins also when its SIGTERM has not come yet.
const MODE: &str = "fail";

/// Asks for the restart. The answer receives a message if the job ends while this process still runs.
pub(super) async fn restart(unit: &OwnUnit) -> Result<oneshot::Receiver<String>, SystemdError> {
    // Watched from before the job exists, so that its end is not missed. A restart is possible without.
    let ends = match job_ends(unit).await {
        Ok(ends) => Some(ends),
        Err(error) => {
            tracing::warn!(%error, "cannot watch the restart job");
            None
        }
    };
    // The counter of starts covers starts by hand too. Used up, it would make systemd stop the unit and leave it so.
    // Whoever may restart but not reset has that risk only after several starts within seconds.
    if let Err(error) = unit.call("ResetFailedUnit", &unit.id).await {
        tracing::warn!(%error, "cannot reset the counter of starts");
    }
    let reply = unit.call("RestartUnit", &(&unit.id, MODE)).await?;
    let job: OwnedObjectPath = reply
        .body()
        .deserialize()
        .map_err(|source| SystemdError::Call { call: "RestartUnit".to_owned(), source })?;
    tracing::info!(unit = %unit.id, job = %job.as_str(), "systemd was asked for the restart");

    let (tell, fate) = oneshot::channel();
    if let Some(ends) = ends {
        tokio::spawn(watch(ends, job, unit.id.clone(), tell));
    }
    Ok(fate)
}

/// Asks for the stop of the unit; a restart of it that is under way is cancelled by that.
pub(super) async fn stop(unit: &OwnUnit) -> Result<(), SystemdError> {
    unit.call("StopUnit", &(&unit.id, "replace")).await?;
    tracing::info!(unit = %unit.id, "systemd was asked for the stop");
    Ok(())
}

async fn job_ends(unit: &OwnUnit) -> Result<MessageStream, SystemdError> {
    let failed = |source| SystemdError::Call { call: "JobRemoved".to_owned(), source };
    let rule = MatchRule::builder()
        .msg_type(MessageType::Signal)
        .path(MANAGER_PATH)
        .interface(MANAGER)
        .member("JobRemoved")
        .build()
        .map_err(failed)?;
    let stream =
        MessageStream::for_match_rule(rule, &unit.connection, None).await.map_err(failed)?;
    // Without it the manager sends no signals to a bus.
    unit.call("Subscribe", &()).await?;
    Ok(stream)
}

async fn watch(
    mut ends: MessageStream,
    job: OwnedObjectPath,
    unit: String,
    tell: oneshot::Sender<String>,
) {
    while let Some(message) = poll_fn(|context| Pin::new(&mut ends).poll_next(context)).await {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(%error, "the restart job can no longer be watched");
                return;
            }
        };
        let body = message.body();
        let Ok((_, path, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>()
        else {
            continue;
        };
        if path != job {
            continue;
        }
        // "done" while this process runs would mean that it is the new one, which never asked.
        if result != "done"
            && let Err(message) =
                tell.send(format!("systemd ended the restart job of {unit} with {result:?}"))
        {
            tracing::warn!("{message}");
        }
        return;
    }
}
