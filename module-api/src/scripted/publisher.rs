//! The work of a scripted module: publishes one event after the other, and may lie about having ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Lie, Script};
use crate::{
    Batch, Checkpoint, Event, EventId, EventSink, ModuleError, ModuleName, PublishError, Restored,
    StartContext,
};

/// The checkpoint and the saved state: how many events there were, over all instances, in decimal.
const COUNT: &str = "published";

/// One attempt of a scripted module to publish an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Which event, counted from 1 over all instances; its id is `NAME-NUMBER`.
    pub number: u64,
    /// When the sink answered, on tokio's clock.
    pub at: Instant,
    /// What the sink said.
    pub told: Result<(), PublishError>,
}

/// What the module was told last. The order is that of a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Working,
    Asked,
    Saved,
    Stopped,
}

/// Shared by the module and the task that publishes.
#[derive(Debug)]
pub(super) struct Publisher {
    name: ModuleName,
    every: Option<Duration>,
    lies: Vec<Lie>,
    /// Where the publisher goes on that outlives its instance.
    elsewhere: Option<Handle>,
    phase: watch::Sender<Phase>,
    running: watch::Sender<bool>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Over all instances.
    count: u64,
    publications: Vec<Publication>,
}

impl Publisher {
    pub(super) fn new(name: ModuleName, script: &Script) -> Arc<Self> {
        Arc::new(Self {
            name,
            every: script.publish_every_ms.map(|millis| Duration::from_millis(millis.max(1))),
            lies: script.lies.clone(),
            elsewhere: Handle::try_current().ok(),
            phase: watch::Sender::new(Phase::Working),
            running: watch::Sender::new(false),
            told: Mutex::default(),
        })
    }

    /// Begins to publish where an earlier instance ended, if there is anything to publish.
    pub(super) fn start(self: &Arc<Self>, context: StartContext) -> Result<(), ModuleError> {
        let StartContext { state, checkpoints, events, tasks, .. } = context;
        self.told().count = restored(&state, checkpoints.get(COUNT).map(Vec::as_slice));
        let Some(every) = self.every else { return Ok(()) };
        self.phase.send_replace(Phase::Working);
        self.running.send_replace(true);
        let running = Running(Arc::clone(self));
        let work = async move {
            running.0.run(every, events.as_ref()).await;
            Ok(())
        };
        if self.lies.contains(&Lie::Stop) {
            let here = Handle::try_current();
            let handle = self.elsewhere.clone().map_or(here, Ok);
            let handle =
                handle.map_err(|error| ModuleError::caused_by("no place to lie", error))?;
            drop(handle.spawn(work));
        } else {
            tasks.spawn("publisher", Box::pin(work));
        }
        Ok(())
    }

    /// Notes what the module was told. It never goes back from stopped.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_modify(|now| {
            if *now != Phase::Stopped {
                *now = phase;
            }
        });
    }

    /// Ends the work, or pretends to.
    pub(super) async fn stop(&self) {
        self.enter(Phase::Stopped);
        if !self.lies.contains(&Lie::Stop) {
            // The sender is here, so waiting cannot fail.
            drop(self.running.subscribe().wait_for(|running| !running).await);
        }
    }

    /// What there is to save.
    pub(super) fn state(&self) -> Vec<u8> {
        self.told().count.to_string().into_bytes()
    }

    pub(super) fn publications(&self) -> Vec<Publication> {
        self.told().publications.clone()
    }

    async fn run(&self, every: Duration, sink: &dyn EventSink) {
        loop {
            tokio::select! {
                biased;
                () = self.is_over() => return,
                () = sleep(every) => {}
            }
            let mut phases = self.phase.subscribe();
            let phase = tokio::select! {
                biased;
                () = self.is_over() => return,
                phase = phases.wait_for(|phase| self.publishes_in(*phase)) => match phase {
                    Ok(phase) => *phase,
                    Err(_) => return,
                },
            };
            let number = self.told().count + 1;
            let told = tokio::select! {
                biased;
                () = self.is_over() => return,
                told = sink.publish(self.batch(number, phase)) => told,
            };
            if self.note(number, told) == Some(PublishError::Closed)
                && !self.lies.contains(&Lie::Stop)
            {
                return;
            }
        }
    }

    /// Whether the work goes on in this phase.
    fn publishes_in(&self, phase: Phase) -> bool {
        match phase {
            Phase::Working => true,
            Phase::Asked => self.lies.contains(&Lie::Ready),
            Phase::Saved => self.lies.contains(&Lie::Save),
            Phase::Stopped => self.lies.contains(&Lie::Stop),
        }
    }

    /// Returns once the work has to end; never for a liar.
    async fn is_over(&self) {
        let over = |phase: &Phase| *phase == Phase::Stopped && !self.publishes_in(*phase);
        // The sender is here, so waiting cannot fail.
        drop(self.phase.subscribe().wait_for(over).await);
    }

    fn batch(&self, number: u64, phase: Phase) -> Batch {
        let fields = json!({ "message": format!("event {number} as scripted") });
        let fields = fields.as_object().cloned().unwrap_or_default();
        let event = Event { id: EventId(format!("{}-{number}", self.name)), fields };
        let count =
            Checkpoint { key: COUNT.to_owned(), value: Some(number.to_string().into_bytes()) };
        let checkpoints = if phase == Phase::Saved { Vec::new() } else { vec![count] };
        Batch { events: vec![event], checkpoints }
    }

    fn note(&self, number: u64, told: Result<(), PublishError>) -> Option<PublishError> {
        let mut all = self.told();
        if told.is_ok() {
            all.count = number;
        }
        all.publications.push(Publication { number, at: Instant::now(), told: told.clone() });
        told.err()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the publisher has ended, however it ended.
struct Running(Arc<Publisher>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_replace(false);
    }
}

/// The count that an earlier instance left; a checkpoint is never older than the state.
fn restored(state: &Restored, checkpoint: Option<&[u8]>) -> u64 {
    let state = match state {
        Restored::Found { bytes, .. } => Some(bytes.as_slice()),
        Restored::Nothing | Restored::Unreadable { .. } => None,
    };
    checkpoint
        .or(state)
        .and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok())
        .unwrap_or(0)
}
