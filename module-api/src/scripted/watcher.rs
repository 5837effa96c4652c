//! The sensor of a scripted module: an inotify instance, and the task that publishes what it has seen.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
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
/// The name of the recorder.
const COUNT: &str = "count";

/// Watches one folder, if there is one to watch.
#[derive(Debug)]
pub(super) struct Watcher {
    name: ModuleName,
    folder: Option<PathBuf>,
    remember: bool,
    record: bool,
    queue: Mutex<Option<OwnedFd>>,
    counter: Mutex<Option<File>>,
    wanted: watch::Sender<bool>,
    running: watch::Sender<bool>,
}

impl Watcher {
    pub(super) fn new(name: ModuleName, script: &Script) -> Arc<Self> {
        Arc::new(Self {
            name,
            folder: script.watch.clone(),
            remember: script.remember,
            record: script.record,
            queue: Mutex::default(),
            counter: Mutex::default(),
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
        let remembered = memory.map(|memory| seen_before(&memory)).transpose()?;
        let recorder = take(COUNT).filter(|_| self.record);
        let seen = if self.record { self.go_on_counting(recorder)? } else { remembered };
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
                watcher.note(seen, keeper.as_ref()).await?;
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
        let counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().map(|queue| sensor(SENSOR, queue.as_fd()));
        let counter = counter.as_ref().map(|counter| sensor(COUNT, counter.as_fd()));
        [queue, counter].into_iter().flatten().collect()
    }

    /// Counts in the recorder of an earlier instance, or in a new one. Returns how far that one had come.
    fn go_on_counting(&self, recorder: Option<SensorFd>) -> Result<Option<u64>, ModuleError> {
        let failed = |error: io::Error| ModuleError::caused_by("cannot count", error);
        let is_new = recorder.is_none();
        let recorder = match recorder {
            Some(recorder) => recorder,
            None => SensorFd::recorder(COUNT, size_of::<u64>())
                .map_err(|error| ModuleError::caused_by("no recorder", error))?,
        };
        let file = File::from(recorder.into_fd());
        let mut count = [0; size_of::<u64>()];
        file.read_exact_at(&mut count, 0).map_err(failed)?;
        *self.counter.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok((!is_new).then(|| u64::from_le_bytes(count)))
    }

    /// Notes that so many files were seen.
    async fn note(&self, seen: u64, keeper: &dyn SensorKeeper) -> Result<(), ModuleError> {
        if let Some(counter) = &*self.counter.lock().unwrap_or_else(PoisonError::into_inner) {
            let written = counter.write_all_at(&seen.to_le_bytes(), 0);
            written.map_err(|error| ModuleError::caused_by("cannot count", error))?;
        }
        if self.remember { remember(seen, keeper).await } else { Ok(()) }
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
                self.note(seen, keeper).await?;
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

fn sensor(name: &str, fd: BorrowedFd<'_>) -> Result<SensorFd, ModuleError> {
    let copy = fd.try_clone_to_owned();
    let copy = copy.map_err(|error| ModuleError::caused_by("no copy", error))?;
    SensorFd::new(name, copy).map_err(|error| ModuleError::caused_by("no sensor", error))
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
