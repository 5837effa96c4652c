//! The sensor of a scripted module: an inotify instance, and the task that publishes what it has seen.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use serde_json::json;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::{
    Batch, Event, EventId, EventSink, KeepSensorError, ModuleError, ModuleName, Script, SensorFd,
    SensorKeeper, StartContext,
};

/// The name of the queue.
const SENSOR: &str = "inotify";
/// The name of the memory.
const SEEN: &str = "seen";

/// Watches one folder, if there is one to watch.
#[derive(Debug)]
pub(super) struct Watcher {
    name: ModuleName,
    folder: Option<PathBuf>,
    remember: bool,
    queue: Mutex<Option<OwnedFd>>,
    wanted: watch::Sender<bool>,
    running: watch::Sender<bool>,
}

impl Watcher {
    pub(super) fn new(name: ModuleName, script: &Script) -> Arc<Self> {
        Arc::new(Self {
            name,
            folder: script.watch.clone(),
            remember: script.remember,
            queue: Mutex::default(),
            wanted: watch::Sender::new(true),
            running: watch::Sender::new(false),
        })
    }

    /// Goes on with the queue that an earlier instance has left, or with a new one.
    pub(super) fn start(self: &Arc<Self>, context: &mut StartContext) -> Result<(), ModuleError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let failed = |error: io::Error| ModuleError::caused_by("cannot watch", error);
        let mut sensors = std::mem::take(&mut context.sensors);
        let mut take = |name| {
            let place = sensors.iter().position(|sensor| sensor.name() == name)?;
            Some(sensors.remove(place))
        };
        let memory = take(SEEN).filter(|_| self.remember);
        let seen = memory.map(|memory| seen_before(&memory)).transpose()?;
        let queue = match take(SENSOR) {
            Some(sensor) => sensor.into_fd(),
            None => init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
                .map_err(|error| failed(error.into()))?,
        };
        add_watch(&queue, folder, WatchFlags::CREATE).map_err(|error| failed(error.into()))?;
        let copy = queue.try_clone().map_err(failed)?;
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        self.running.send_replace(true);
        let running = Running(Arc::clone(self));
        let (events, keeper) = (Arc::clone(&context.events), Arc::clone(&context.keeper));
        let work = async move {
            let watcher = &running.0;
            if let Some(seen) = seen {
                remember(seen, keeper.as_ref()).await?;
                if !watcher.publish(events.as_ref(), &format!("remembered {seen}")).await {
                    return Ok(());
                }
            }
            watcher.run(queue, seen.unwrap_or(0), events.as_ref(), keeper.as_ref()).await
        };
        context.tasks.spawn("watcher", Box::pin(work));
        Ok(())
    }

    pub(super) fn sensors(&self) -> Result<Vec<SensorFd>, ModuleError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else { return Ok(Vec::new()) };
        let copy = queue.try_clone().map_err(|error| ModuleError::caused_by("no copy", error))?;
        let sensor = SensorFd::new(SENSOR, copy);
        Ok(vec![sensor.map_err(|error| ModuleError::caused_by("no sensor", error))?])
    }

    /// Ends once what was read has been published; what comes later stays in the queue.
    pub(super) async fn stop(&self) {
        self.wanted.send_replace(false);
        // The sender is here, so waiting cannot fail.
        drop(self.running.subscribe().wait_for(|running| !running).await);
    }

    async fn run(
        &self,
        queue: OwnedFd,
        mut seen: u64,
        sink: &dyn EventSink,
        keeper: &dyn SensorKeeper,
    ) -> Result<(), ModuleError> {
        let failed = |error: io::Error| ModuleError::caused_by("cannot read the queue", error);
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd stays open as it has to"
        )]
        let queue = AsyncFd::new(queue).map_err(failed)?;
        let mut wanted = self.wanted.subscribe();
        loop {
            let mut ready = tokio::select! {
                biased;
                _ = wanted.wait_for(|wanted| !wanted) => return Ok(()),
                ready = queue.readable() => ready.map_err(failed)?,
            };
            let Ok(files) = ready.try_io(|queue| read(queue.get_ref())) else { continue };
            for file in files.map_err(failed)? {
                seen += 1;
                if self.remember {
                    remember(seen, keeper).await?;
                }
                if !self.publish(sink, &format!("created {file}")).await {
                    return Ok(());
                }
            }
        }
    }

    /// Publishes an event whose original is `text`; `false` when nothing is taken any more.
    async fn publish(&self, sink: &dyn EventSink, text: &str) -> bool {
        let fields = json!({ "event": { "original": text } });
        let id = EventId(format!("{}-{}", self.name, text.replace(' ', "-")));
        let event = Event { id, fields: fields.as_object().cloned().unwrap_or_default() };
        sink.publish(Batch { events: vec![event], checkpoints: Vec::new() }).await.is_ok()
    }
}

/// Has it kept that so many files were seen.
async fn remember(seen: u64, keeper: &dyn SensorKeeper) -> Result<(), ModuleError> {
    let memory = SensorFd::memory(SEEN, seen.to_string().as_bytes());
    let memory = memory.map_err(|error| ModuleError::caused_by("no memory", error))?;
    match keeper.keep(memory).await {
        // Nobody asks this instance any more.
        Ok(()) | Err(KeepSensorError::Ended | KeepSensorError::HandedOver) => Ok(()),
        Err(error) => Err(ModuleError::caused_by("cannot remember", error)),
    }
}

fn seen_before(memory: &SensorFd) -> Result<u64, ModuleError> {
    let text = memory.read_memory().map_err(|error| ModuleError::caused_by("no memory", error))?;
    let text = String::from_utf8_lossy(&text);
    text.parse().map_err(|error| ModuleError::caused_by("not a number of files", error))
}

/// The files of one read; never part of one.
fn read(queue: &OwnedFd) -> io::Result<Vec<String>> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(queue, &mut buffer);
    let mut files = Vec::new();
    loop {
        let name = reader.next()?.file_name().map(|name| name.to_string_lossy().into_owned());
        files.extend(name);
        if reader.is_buffer_empty() {
            return Ok(files);
        }
    }
}

/// Says that the task has ended, however it ended.
struct Running(Arc<Watcher>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.send_replace(false);
    }
}
