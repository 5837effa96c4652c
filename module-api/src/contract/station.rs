//! Instances of the subject that come and go around one spool, as they do in the agent.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

use super::attempt::within;
use super::kept::Kept;
use super::ledger::{Ledger, Mode, Sink};
use super::tasks::CountedTasks;
use super::{Patience, Rule, Subject, Violation};
use crate::{EventId, Module, ModuleName, Readiness, Restored, SavedState, SensorFd, StartContext};

/// Pause between two questions to a busy module, and between two looks at the runtime; short beside all patience.
const POLL: Duration = Duration::from_millis(10);

/// One check's world.
pub(super) struct Station<'a> {
    pub(super) subject: &'a dyn Subject,
    pub(super) patience: Patience,
    pub(super) ledger: Arc<Ledger>,
    name: OnceLock<ModuleName>,
    state: Restored,
    sensors: Vec<SensorFd>,
    kept: Arc<Kept>,
    /// The state folder of an agent, made for the first instance and removed with the station.
    agent: Option<TempDir>,
    instances: u32,
    /// Tasks that the runtime had before.
    tasks_before: usize,
}

/// A started instance.
pub(super) struct Instance {
    /// Dropped before the module, as the agent does it.
    end: EndOnDrop,
    pub(super) module: Arc<dyn Module>,
    pub(super) tasks: Arc<CountedTasks>,
    sink: Arc<Sink>,
    pub(super) number: u32,
}

/// Ends an instance when it is dropped, also by a check that leaves early: the tasks of a module that is let go of must not
/// go on.
struct EndOnDrop(Option<(Arc<Sink>, Arc<CountedTasks>)>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if let Some((sink, tasks)) = self.0.take() {
            sink.close();
            tasks.end();
        }
    }
}

impl<'a> Station<'a> {
    pub(super) fn new(subject: &'a dyn Subject) -> Self {
        Self {
            subject,
            patience: subject.patience(),
            ledger: Ledger::new(),
            name: OnceLock::new(),
            state: Restored::Nothing,
            sensors: Vec::new(),
            kept: Arc::default(),
            agent: None,
            instances: 0,
            tasks_before: alive_tasks(),
        }
    }

    /// An instance that is not started, and what it is to be started with.
    pub(super) fn build(&mut self) -> Result<(Instance, StartContext), Violation> {
        self.instances += 1;
        let sink = Arc::new(Sink::new(&self.ledger, self.instances));
        let tasks = Arc::new(CountedTasks::new());
        let instance = Instance {
            end: EndOnDrop(Some((Arc::clone(&sink), Arc::clone(&tasks)))),
            module: self.subject.build(),
            tasks,
            sink,
            number: self.instances,
        };
        self.check_name(&instance)?;
        let (own, folder) = self.folders(instance.module.name())?;
        let context = StartContext {
            state: self.state.clone(),
            checkpoints: self.ledger.books().checkpoints.clone(),
            sensors: self.kept.with(std::mem::take(&mut self.sensors)),
            keeper: Arc::<Kept>::clone(&self.kept),
            folder,
            own_folders: vec![own],
            events: Arc::<Sink>::clone(&instance.sink),
            tasks: Arc::<CountedTasks>::clone(&instance.tasks),
        };
        Ok((instance, context))
    }

    /// The folder of the agent, and in it that of the module, which is the same for all instances of this check.
    fn folders(&mut self, name: &ModuleName) -> Result<(PathBuf, PathBuf), Violation> {
        let failed = |error: std::io::Error| {
            let seen = format!("no temporary folder could be made for it: {error}");
            Violation::new(Rule::StartWorks, seen)
        };
        let agent = match self.agent.take() {
            Some(agent) => agent,
            None => tempfile::tempdir().map_err(failed)?,
        };
        // Without symbolic links, as the agent has it.
        let own = agent.path().canonicalize().map_err(failed)?;
        let folder = own.join("modules").join(name.as_str());
        let mut private = DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        self.agent = Some(agent);
        Ok((own, folder))
    }

    /// The next instance, started.
    pub(super) async fn start(&mut self) -> Result<Instance, Violation> {
        let (instance, context) = self.build()?;
        let started = within(self.patience.slow, instance.module.start(context)).await;
        let seen = match started {
            Ok(Ok(())) => {
                self.check_name(&instance)?;
                self.sensors = within(self.patience.slow, instance.module.sensors())
                    .await
                    .map_err(|fault| Violation::new(Rule::StartWorks, format!("sensors {fault}")))?
                    .map_err(|error| {
                        Violation::new(Rule::StartWorks, format!("sensors failed: {error}"))
                    })?;
                return Ok(instance);
            }
            Ok(Err(error)) => format!("start failed: {error}"),
            Err(fault) => format!("start {fault}"),
        };
        self.end(instance);
        Err(Violation::new(Rule::StartWorks, seen))
    }

    /// Gives a piece of work and waits until something new is stored.
    pub(super) async fn see_work(&self, instance: &Instance, rule: Rule) -> Result<(), Violation> {
        let before = self.ledger.books().stored.len();
        self.subject.give_work().await;
        let published =
            self.ledger.until(self.patience.slow, |books| books.stored.len() > before).await;
        self.no_failures(instance)?;
        let seen = format!("no event was published within {:?} of the work", self.patience.slow);
        if published { Ok(()) } else { Err(Violation::new(rule, seen)) }
    }

    /// Gives a piece of work while the spool is in this mode, and waits until an event was offered to it. Returns the
    /// events that are not stored.
    pub(super) async fn see_unstored(
        &self,
        instance: &Instance,
        mode: Mode,
    ) -> Result<Vec<EventId>, Violation> {
        self.ledger.set(mode);
        self.subject.give_work().await;
        let offered = |books: &super::ledger::Books| !books.unstored(instance.number).is_empty();
        if !self.ledger.until(self.patience.slow, offered).await {
            self.no_failures(instance)?;
            let seen = format!("no event was offered within {:?} of the work", self.patience.slow);
            return Err(Violation::new(Rule::StartWorks, seen));
        }
        Ok(self.ledger.books().unstored(instance.number))
    }

    /// Asks whether the instance is ready.
    pub(super) async fn ask(&self, instance: &Instance) -> Result<Readiness, Violation> {
        within(self.patience.at_once, instance.module.ready_for_shutdown()).await.map_err(|fault| {
            Violation::new(Rule::ReadyAnswersAtOnce, format!("ready_for_shutdown {fault}"))
        })
    }

    /// Asks until the instance is ready.
    pub(super) async fn get_ready(&self, instance: &Instance) -> Result<(), Violation> {
        let mut last = String::new();
        let asking = async {
            while let Readiness::Busy { reason } = self.ask(instance).await? {
                last = reason;
                sleep(POLL).await;
            }
            Ok(())
        };
        let asked = timeout(self.patience.slow, asking).await;
        asked.unwrap_or_else(|_| {
            let seen = format!("after {:?} it was still busy: {last}", self.patience.slow);
            Err(Violation::new(Rule::BusyEnds, seen))
        })
    }

    /// Resumes the instance.
    pub(super) async fn resume(&self, instance: &Instance) -> Result<(), Violation> {
        within(self.patience.slow, instance.module.resume())
            .await
            .map_err(|fault| Violation::new(Rule::ResumeGoesOn, format!("resume {fault}")))
    }

    /// Saves, and keeps the state for the next instance.
    pub(super) async fn save(&mut self, instance: &Instance) -> Result<(), Violation> {
        let saved = match within(self.patience.slow, instance.module.save_state()).await {
            Ok(Ok(saved)) => saved,
            Ok(Err(error)) => {
                return Err(Violation::new(Rule::SaveWorks, format!("save_state failed: {error}")));
            }
            Err(fault) => {
                return Err(Violation::new(Rule::SaveWorks, format!("save_state {fault}")));
            }
        };
        self.keep(&saved)
    }

    /// Stops the instance; what went wrong breaks `rule`.
    pub(super) async fn stop(&self, instance: &Instance, rule: Rule) -> Result<(), Violation> {
        let seen = match within(self.patience.slow, instance.module.stop()).await {
            Ok(Ok(())) => {
                self.no_failures(instance)?;
                return self.check_name(instance);
            }
            Ok(Err(error)) => format!("stop failed: {error}"),
            Err(fault) => format!("stop {fault}"),
        };
        Err(Violation::new(rule, seen))
    }

    /// Ends an instance as the agent does when it is stopped, abandoned or killed: closes its sink, aborts its tasks, and
    /// lets go of it.
    pub(super) fn end(&self, instance: Instance) {
        drop(instance);
    }

    /// The end of a check.
    pub(super) fn close(&self, instance: Instance) -> Result<(), Violation> {
        self.end(instance);
        self.well_formed()
    }

    /// Whether all that came by was well formed.
    pub(super) fn well_formed(&self) -> Result<(), Violation> {
        match self.ledger.books().malformed.first() {
            None => Ok(()),
            Some(fault) => Err(Violation::new(Rule::WellFormed, fault)),
        }
    }

    /// Drops an instance and waits until nobody holds its sink any more, or says how many do.
    pub(super) async fn let_go(&self, instance: Instance) -> Result<(), usize> {
        let Instance { mut end, module, tasks, sink, .. } = instance;
        // Nothing is aborted here: what still runs is what is looked for.
        end.0 = None;
        drop((module, tasks));
        let gone = self.until(|| Arc::strong_count(&sink) == 1).await;
        sink.close();
        if gone { Ok(()) } else { Err(Arc::strong_count(&sink) - 1) }
    }

    /// Waits until the runtime has no more tasks than before this check, or says how many more there are.
    pub(super) async fn no_more_tasks(&self) -> Result<(), usize> {
        let ended = self.until(|| alive_tasks() <= self.tasks_before).await;
        if ended { Ok(()) } else { Err(alive_tasks().saturating_sub(self.tasks_before)) }
    }

    /// Waits for what is to be so at once, and which nobody announces.
    async fn until(&self, wanted: impl Fn() -> bool) -> bool {
        let waiting = async {
            while !wanted() {
                sleep(POLL).await;
            }
        };
        timeout(self.patience.at_once, waiting).await.is_ok()
    }

    fn no_failures(&self, instance: &Instance) -> Result<(), Violation> {
        match instance.tasks.failures().into_iter().next() {
            None => Ok(()),
            Some(failure) => Err(Violation::new(Rule::TasksDoNotFail, failure)),
        }
    }

    fn check_name(&self, instance: &Instance) -> Result<(), Violation> {
        let name = instance.module.name();
        let known = self.name.get_or_init(|| name.clone());
        if name == known {
            return Ok(());
        }
        Err(Violation::new(Rule::NameIsStable, format!("{known} calls itself {name} later")))
    }

    fn keep(&mut self, saved: &SavedState) -> Result<(), Violation> {
        if let Some((version, bytes)) = saved.payload() {
            if version == 0 {
                return Err(Violation::new(Rule::WellFormed, "the state has version 0"));
            }
            self.state = Restored::Found { version, bytes: bytes.to_vec() };
        }
        Ok(())
    }
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}
