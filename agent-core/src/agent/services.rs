//! What runs beside the main loop: the outputs, the command queue and the control API, with the order of their end.

use std::sync::Arc;

use command_manager::{CommandId, ErrorCode, Finish};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::boot::Booted;
use super::core::Core;
use super::executors::executors;
use super::order::{Order, Urgent};
use super::{CLOSE_STEP, RunError, api, reporters};
use crate::control::{self, ControlPolicy, ControlServer};
use crate::file_output::{FileOutput, FileOutputConfig};

/// What runs beside the main loop from start to end.
pub(crate) struct Services {
    control: ControlServer,
    stop: watch::Sender<bool>,
    outputs: Vec<JoinHandle<()>>,
    queue: JoinHandle<()>,
    reporters: Vec<JoinHandle<()>>,
}

impl Services {
    /// Recovers the journal and starts outputs, queue and control API.
    pub(crate) async fn start(
        booted: &Booted,
        orders: mpsc::Sender<Order>,
        urgent: mpsc::Sender<Urgent>,
    ) -> Result<Self, RunError> {
        let core = &booted.core;
        let config = core.config();
        let (stop, stopping) = watch::channel(false);
        let mut outputs = Vec::new();
        if config.config.events.file.enabled {
            let file = &config.config.events.file;
            let output = FileOutput::new(
                Arc::clone(&core.spool),
                FileOutputConfig {
                    path: file.path.clone().unwrap_or_else(|| core.paths.state("events.ndjson")),
                    rotate_bytes: file.rotate_size,
                    keep: file.keep,
                },
            );
            let (stopping, core) = (stopping.clone(), Arc::clone(core));
            outputs.push(tokio::spawn(async move {
                core.until_started().await;
                if let Err(error) = output.run(stopping).await {
                    tracing::error!(%error, "the file output has ended");
                }
            }));
        }
        if !config.config.events.file.enabled
            && let Err(error) = core.spool.forget_output(FileOutput::NAME).await
        {
            // Its cursor keeps every event, until the spool is full.
            core.warn("output_not_forgotten", &error.to_string()).await;
        }
        let executors = executors(core, orders, booted.ticket.as_ref());
        if let Err(error) = core.commands.recover(&executors).await {
            core.warn("journal_unreadable", &error.to_string()).await;
        }
        let reporters = reporters::start(core, &stopping);
        let queue = tokio::spawn(Arc::clone(&core.commands).run(executors, stopping));
        let policy = ControlPolicy { allowed_uids: config.config.control.allowed_uids.clone() };
        let handler = Arc::new(api::Api { core: Arc::clone(core), urgent });
        let served = core
            .listener
            .try_clone()
            .and_then(|listener| control::serve(listener, handler, policy));
        let control = served.map_err(RunError::Serve)?;
        Ok(Self { control, stop, outputs, queue, reporters })
    }

    /// Takes no new requests and begins no more commands; what is under way goes on.
    pub(crate) fn refuse_more(&self) {
        self.control.stop_accepting();
        self.stop.send_replace(true);
    }

    /// Ends everything in the order in which it is needed: the outputs, then those who wait for an answer, then the
    /// journal. `stops` are the commands that asked for this end.
    pub(crate) async fn end(self, core: &Core, stops: Vec<CommandId>, replaced: bool) {
        for output in self.outputs {
            if tokio::time::timeout(CLOSE_STEP, output).await.is_err() {
                tracing::warn!(
                    "an output did not end in time; it goes on at its cursor after the start"
                );
            }
        }
        for id in stops {
            let end = if replaced {
                let text = "the agent was being replaced when the stop came; stop the new one";
                Finish::failure(ErrorCode::Interrupted, text)
            } else {
                Finish::success("the agent was stopped")
            };
            core.finish_at_the_end(&id, end).await;
        }
        let cut_off = self.control.finished(CLOSE_STEP).await;
        if cut_off > 0 {
            tracing::info!(cut_off, "clients were cut off; they ask the successor");
        }
        if tokio::time::timeout(CLOSE_STEP, self.queue).await.is_err() {
            tracing::debug!("the command queue was cut off");
        }
        for reporter in self.reporters {
            if tokio::time::timeout(CLOSE_STEP, reporter).await.is_err() {
                tracing::warn!("a result on its way was cut off; it is sent again after the start");
            }
        }
        core.spool.close();
        if replaced {
            tracing::info!("the agent makes way for its successor");
        } else {
            remove_socket(core);
            tracing::info!("the agent has stopped");
        }
    }
}

/// Nobody comes after who would answer on it.
fn remove_socket(core: &Core) {
    let path = core.paths.socket(&core.config());
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "cannot remove {}", path.display());
    }
}
