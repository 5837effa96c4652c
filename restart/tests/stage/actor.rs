//! The cast of a run: modules, host and controller that do what the plan says, under virtual time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use async_trait::async_trait;
use module_api::{
    Act, Lie, Module, ModuleError, ModuleName, Readiness, SavedState, Script, ScriptedModule,
    StartContext,
};
use restart::{Answer, Clock, Event, Host, Progress, Shutdown, TokioClock, drive};
use tokio::sync::mpsc;

use super::plan::{Kind, LOSS, ModulePlan, Plan, REFUSAL, Request, Stray, Turn, Word};
use super::record::{How, Method, Record, Recorder, Underway, What};
use super::sink::Sink;

/// How long the stage is watched after the outcome: whatever still happens then is in the record.
const AFTERWARDS: Duration = Duration::from_secs(30);

/// Plays `plan` from its beginning to well after its end.
pub fn play(plan: &Plan) -> Record {
    silence_planned_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (requests, receiver) = mpsc::channel(1_024);
        let stage = Arc::new(Stage {
            recorder: Recorder::new(),
            plan: plan.clone(),
            requests: Mutex::new(Some(requests)),
        });
        tokio::spawn(Arc::clone(&stage).send_requests());
        let names = plan.listed.iter().map(|number| plan.modules[*number].name.clone()).collect();
        let begun = Shutdown::begin(plan.purpose, names, plan.limits, TokioClock.now());
        let host = Arc::new(Director::of(&stage));
        host.start_liars().await;
        let outcome = drive(host, begun, &TokioClock, receiver).await;
        stage.recorder.add(What::Over);
        tokio::time::sleep(AFTERWARDS).await;
        Record { entries: stage.recorder.take(), outcome }
    })
}

/// The default hook would print a page for each panic that the plan asks for.
fn silence_planned_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic.payload_as_str().is_some_and(|text| text.ends_with("as scripted")) {
                default(panic);
            }
        }));
    });
}

/// What all share.
struct Stage {
    recorder: Recorder,
    plan: Plan,
    /// To the loop, until nothing more can come.
    requests: Mutex<Option<mpsc::Sender<Event>>>,
}

impl Stage {
    async fn send_requests(self: Arc<Self>) {
        let began = tokio::time::Instant::now();
        for (at, request) in self.plan.requests.clone() {
            tokio::time::sleep_until(began + Duration::from_millis(at)).await;
            self.send(request);
        }
        if self.plan.controller.sigterm.is_none() && self.plan.controller.lost.is_none() {
            self.requests.lock().unwrap().take();
        }
    }

    fn send(&self, request: Request) {
        let event = match request {
            Request::Stop => Event::StopRequested,
            Request::Sigterm => Event::Terminated,
            Request::Force => Event::Forced,
            Request::Lost => Event::ReplacementRefused(LOSS.to_owned()),
            Request::Stray(Stray::Stranger) => {
                let module = ModuleName::new("stranger").unwrap();
                Event::Answered { module, attempt: 1, answer: Answer::Done }
            }
            Request::Stray(Stray::Of(number)) => {
                let module = self.plan.modules[number].name.clone();
                let attempt = self.recorder.last_over(number);
                Event::Answered { module, attempt, answer: Answer::Done }
            }
        };
        if let Some(requests) = self.requests.lock().unwrap().as_ref()
            && let Ok(place) = requests.try_reserve()
        {
            self.recorder.add(What::Sent(request));
            place.send(event);
        }
    }

    fn send_after(self: &Arc<Self>, after: Option<u64>, request: Request) {
        let Some(after) = after else { return };
        let stage = Arc::clone(self);
        tokio::spawn(async move {
            pause(after).await;
            stage.send(request);
        });
    }
}

/// The host: it has the modules, and plays the controller.
struct Director {
    stage: Arc<Stage>,
    cast: Vec<Arc<Actor>>,
    numbers: HashMap<ModuleName, usize>,
}

impl Director {
    fn of(stage: &Arc<Stage>) -> Self {
        let actor = |number| Arc::new(Actor::new(Arc::clone(stage), number));
        let modules = &stage.plan.modules;
        let number = |(number, module): (usize, &ModulePlan)| (module.name.clone(), number);
        Self {
            stage: Arc::clone(stage),
            cast: (0..modules.len()).map(actor).collect(),
            numbers: modules.iter().enumerate().map(number).collect(),
        }
    }

    /// Only modules that publish need to have been started.
    async fn start_liars(&self) {
        for actor in &self.cast {
            if self.stage.plan.modules[actor.number].lies_every.is_some() {
                let sink = Sink { actor: Arc::clone(actor) };
                actor.start(sink.into_context()).await.unwrap();
            }
        }
    }
}

#[async_trait]
impl Host for Director {
    fn module(&self, name: &ModuleName) -> Option<Arc<dyn Module>> {
        let actor = &self.cast[self.numbers[name]];
        self.stage.plan.modules[actor.number].runs.then(|| Arc::clone(actor) as Arc<dyn Module>)
    }

    async fn keep_state(&self, name: &ModuleName, _: SavedState) -> Result<(), String> {
        let kept = self.cast[self.numbers[name]].keep().await;
        kept.map_err(|()| format!("cannot write {name}/state: disk full"))
    }

    fn release(&self, name: &ModuleName) {
        self.cast[self.numbers[name]].close_sink();
        self.stage.recorder.add(What::Released(self.numbers[name]));
    }

    fn abandon(&self, name: &ModuleName) {
        self.cast[self.numbers[name]].close_sink();
        self.stage.recorder.add(What::Abandoned(self.numbers[name]));
    }

    async fn request_replacement(&self) -> Event {
        let underway = Underway::request(&self.stage.recorder);
        let controller = self.stage.plan.controller;
        self.stage.send_after(controller.sigterm, Request::Sigterm);
        self.stage.send_after(controller.lost, Request::Lost);
        pause(controller.after).await;
        let (how, event) = match controller.answer {
            Word::Accepts => (How::Done, Event::ReplacementAccepted),
            Word::Unconditional => (How::Otherwise, Event::ReplacementUnconditional),
            Word::Refuses => (How::Failed, Event::ReplacementRefused(REFUSAL.to_owned())),
            Word::Panics => panic!("the controller panics as scripted"),
            Word::Hangs => std::future::pending().await,
        };
        underway.ended(how);
        event
    }

    fn report(&self, progress: Progress) {
        self.stage.recorder.add(What::Reported(progress));
    }
}

/// A scripted module, and a witness of what really happens to it.
pub(super) struct Actor {
    stage: Arc<Stage>,
    number: usize,
    scripted: ScriptedModule,
    kept: AtomicUsize,
    sink_is_closed: AtomicBool,
}

impl Actor {
    fn new(stage: Arc<Stage>, number: usize) -> Self {
        let plan = &stage.plan.modules[number];
        let acts = |turns: &[Turn]| turns.iter().map(|turn| turn.act()).collect::<Vec<Act>>();
        let script = Script {
            ready: acts(&plan.ready),
            save: acts(&plan.save),
            stop: acts(&plan.stop),
            resume: acts(&plan.resume),
            publish_every_ms: plan.lies_every,
            lies: vec![Lie::Ready, Lie::Save, Lie::Stop],
            ..Script::default()
        };
        let scripted = ScriptedModule::new(plan.name.clone(), script);
        let (kept, sink_is_closed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { stage, number, scripted, kept, sink_is_closed }
    }

    fn call(&self, method: Method) -> Underway<'_> {
        Underway::call(&self.stage.recorder, self.number, method)
    }

    fn close_sink(&self) {
        self.sink_is_closed.store(true, Ordering::Relaxed);
    }

    /// Takes an event, if the host still does.
    pub(super) fn publish(&self) -> bool {
        let taken = !self.sink_is_closed.load(Ordering::Relaxed);
        self.stage.recorder.add(What::Published(self.number, taken));
        taken
    }

    /// The host's part: makes the state durable.
    async fn keep(&self) -> Result<(), ()> {
        let underway = self.call(Method::Keep);
        let number = self.kept.fetch_add(1, Ordering::Relaxed);
        let turn = Turn::of(&self.stage.plan.modules[self.number].keep, number);
        pause(turn.after).await;
        let kept = match turn.kind {
            Kind::Ok | Kind::Busy => Ok(()),
            Kind::Fail => Err(()),
            Kind::Panic => panic!("keep_state panics as scripted"),
            Kind::Hang => std::future::pending().await,
        };
        underway.answered(kept)
    }
}

#[async_trait]
impl Module for Actor {
    fn name(&self) -> &ModuleName {
        self.scripted.name()
    }

    async fn start(&self, context: StartContext) -> Result<(), ModuleError> {
        self.scripted.start(context).await
    }

    async fn ready_for_shutdown(&self) -> Readiness {
        let underway = self.call(Method::Ready);
        let readiness = self.scripted.ready_for_shutdown().await;
        underway.ended(if readiness == Readiness::Ready { How::Done } else { How::Otherwise });
        readiness
    }

    async fn resume(&self) {
        let underway = self.call(Method::Resume);
        self.scripted.resume().await;
        underway.ended(How::Done);
    }

    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        let underway = self.call(Method::Save);
        underway.answered(self.scripted.save_state().await)
    }

    async fn stop(&self) -> Result<(), ModuleError> {
        let underway = self.call(Method::Stop);
        underway.answered(self.scripted.stop().await)
    }
}

async fn pause(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}
