//! A naive record of what the loop asked for, which knows by itself what may never be.

use std::time::{Duration, Instant};

use module_api::ModuleName;
use restart::{
    Answer, Call, Effect, Ending, Event, Limits, ModuleEnd, ModuleOutcome, Purpose, Shutdown,
};

/// Which of the calls of a module an answer is for.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// The one under way, or if there is none the last one.
    Awaited,
    /// The one before that.
    Earlier,
    /// One that has not been made.
    Never,
}

/// What the effects so far mean for one module.
#[derive(Debug, Default)]
struct Seen {
    /// The call under way, and the number of the last one.
    underway: Option<Call>,
    last: u32,
    saves: u32,
    stops: u32,
    /// When it was first saved, first stopped, and had ended.
    saving: Option<Instant>,
    stopping: Option<Instant>,
    ended: Option<(Instant, ModuleEnd)>,
    resumed: bool,
    late: u32,
}

/// The loop with its naive record.
pub struct Run {
    shutdown: Shutdown,
    purpose: Purpose,
    limits: Limits,
    began: Instant,
    now: Instant,
    names: Vec<ModuleName>,
    seen: Vec<Seen>,
    /// Whether anything was said that may open the gate.
    open: bool,
    requested: bool,
    strangers: u32,
    last_answer: Option<(usize, u32, Answer)>,
}

impl Run {
    pub fn begin(purpose: Purpose, modules: usize, limits: Limits) -> Self {
        let name = |number| ModuleName::new(&format!("m{number}")).unwrap();
        let names: Vec<ModuleName> = (0..modules).map(name).collect();
        let began = Instant::now();
        let (shutdown, effects) = Shutdown::begin(purpose, names.clone(), limits, began);
        let mut run = Self {
            shutdown,
            purpose,
            limits,
            began,
            now: began,
            names,
            seen: (0..modules).map(|_| Seen::default()).collect(),
            open: purpose == Purpose::End,
            requested: false,
            strangers: 0,
            last_answer: None,
        };
        run.check(effects);
        run
    }

    /// Lets time pass, and tells the loop when its deadline has come.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.shutdown.next_deadline().filter(|at| *at <= until) {
            steps = if at > self.now { 0 } else { steps + 1 };
            assert!(steps < 10, "deadlines come and nothing gets on");
            self.now = self.now.max(at);
            self.step(Event::DeadlinePassed);
        }
        self.now = until;
    }

    pub fn answer(&mut self, who: usize, which: Which, answer: Answer) {
        let last = self.seen[who].last;
        let attempt = match which {
            Which::Awaited => last,
            Which::Earlier => last.saturating_sub(1),
            Which::Never => last + 1,
        };
        self.last_answer = Some((who, attempt, answer.clone()));
        self.answer_to(who, attempt, answer);
    }

    pub fn answer_again(&mut self) {
        if let Some((who, attempt, answer)) = self.last_answer.clone() {
            self.answer_to(who, attempt, answer);
        }
    }

    fn answer_to(&mut self, who: usize, attempt: u32, answer: Answer) {
        let over = self.shutdown.outcome().is_some();
        let seen = &mut self.seen[who];
        if over {
            // Nobody counts any more.
        } else if attempt == seen.last && seen.underway.is_some() {
            let call = seen.underway.take();
            let failed = matches!(answer, Answer::Failed(_));
            if call == Some(Call::Stop) && !failed {
                seen.ended = Some((self.now, ModuleEnd::Stopped));
            }
        } else {
            seen.late += 1;
        }
        let module = self.names[who].clone();
        self.step(Event::Answered { module, attempt, answer });
    }

    pub fn answer_of_a_stranger(&mut self, attempt: u32) {
        self.strangers += u32::from(self.shutdown.outcome().is_none());
        let module = ModuleName::new("stranger").unwrap();
        self.step(Event::Answered { module, attempt, answer: Answer::Done });
    }

    pub fn step(&mut self, event: Event) {
        self.open |= match event {
            Event::Terminated | Event::StopRequested => true,
            Event::ReplacementUnconditional => self.requested,
            Event::Answered { .. }
            | Event::ReplacementAccepted
            | Event::ReplacementRefused(_)
            | Event::Hurried
            | Event::Forced
            | Event::DeadlinePassed => false,
        };
        let over = self.shutdown.outcome().cloned();
        let effects = self.shutdown.step(self.now, event);
        if over.is_some() {
            assert_eq!(effects, [], "something is to be done after the outcome");
            assert_eq!(over.as_ref(), self.shutdown.outcome(), "the outcome has changed");
        }
        self.check(effects);
        let latest = self.began + self.limits.overall;
        match self.shutdown.next_deadline() {
            Some(at) => assert!(at <= latest && self.shutdown.outcome().is_none()),
            None => assert!(self.shutdown.outcome().is_some(), "time alone would never end it"),
        }
    }

    fn number(&self, name: &ModuleName) -> usize {
        self.names.iter().position(|known| known == name).unwrap()
    }

    fn check(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call { module, call, attempt } => self.check_call(&module, call, attempt),
                Effect::GiveUp { module, attempt } => {
                    let number = self.number(&module);
                    let seen = &mut self.seen[number];
                    assert!(seen.underway.take().is_some(), "{module}: no call to give up");
                    assert_eq!(seen.last, attempt, "{module}: another call is given up");
                }
                Effect::Release { module } => {
                    let seen = &self.seen[self.number(&module)];
                    assert_eq!(seen.ended, Some((self.now, ModuleEnd::Stopped)), "{module}");
                }
                Effect::Abandon { module } => {
                    let number = self.number(&module);
                    let seen = &mut self.seen[number];
                    assert_eq!(seen.ended, None, "{module} is abandoned after its end");
                    assert_eq!(seen.underway, None, "{module} is abandoned in a call");
                    seen.ended = Some((self.now, ModuleEnd::Abandoned));
                }
                Effect::Resume { module } => {
                    let number = self.number(&module);
                    let seen = &mut self.seen[number];
                    assert_eq!((seen.resumed, seen.saves), (false, 0), "{module} is resumed");
                    seen.resumed = true;
                }
                Effect::RequestReplacement => {
                    assert_eq!((self.purpose, self.requested), (Purpose::Replace, false));
                    assert!(!self.open, "a replacement is requested after a stop");
                    let idle = self.seen.iter().all(|seen| seen.underway.is_none());
                    assert!(idle, "a replacement is requested while somebody is asked");
                    self.requested = true;
                }
                Effect::Report(_) => {}
            }
        }
    }

    fn check_call(&mut self, module: &ModuleName, call: Call, attempt: u32) {
        let (open, now, requested) = (self.open, self.now, self.requested);
        let number = self.number(module);
        let seen = &mut self.seen[number];
        assert_eq!(seen.underway, None, "{module} is called twice at once");
        assert_eq!(seen.ended, None, "{module} is called after its end");
        assert_eq!(attempt, seen.last + 1, "{module}: the calls are not counted");
        match call {
            Call::Ask => assert!(seen.saves == 0 && !requested, "{module} is asked too late"),
            Call::Save => {
                assert!(open, "{module} is saved before the gate is open");
                assert_eq!(seen.saves, 0, "{module} is saved again");
                (seen.saves, seen.saving) = (1, Some(now));
            }
            Call::Stop => {
                // No call is under way, so its save has ended or was given up.
                assert_eq!(seen.saves, 1, "{module} is stopped without a save");
                assert!(seen.stops < 2, "{module} is stopped three times");
                seen.stops += 1;
                seen.stopping.get_or_insert(now);
            }
        }
        (seen.underway, seen.last) = (Some(call), attempt);
    }

    /// To be asked when enough time has passed for everything.
    pub fn check_outcome(&self) {
        let outcome = self.shutdown.outcome().expect("it has not ended");
        assert!(outcome.took <= self.limits.overall, "it took {:?}", outcome.took);
        let called_off = matches!(outcome.ending, Ending::CalledOff(_));
        assert_eq!(outcome.modules.len(), self.names.len());
        let late: u32 = self.seen.iter().map(|seen| seen.late).sum();
        assert_eq!(outcome.late_answers, late + self.strangers);
        for ((of, seen), name) in outcome.modules.iter().zip(&self.seen).zip(&self.names) {
            assert_eq!(&of.name, name);
            assert_eq!(of.late_answers, seen.late, "{name}");
            assert_eq!(seen.resumed, called_off, "{name}");
            let end = seen.ended.map_or(ModuleEnd::Running, |(_, end)| end);
            assert_eq!(of.ended, end, "{name}");
            assert_eq!(end == ModuleEnd::Running, called_off, "{name}");
            self.check_times(of, seen, outcome.took);
        }
        let last = outcome.modules.iter().map(|of| of.ended_ms).max();
        assert_eq!(last.map(Duration::from_millis), Some(outcome.took));
    }

    fn check_times(&self, of: &ModuleOutcome, seen: &Seen, took: Duration) {
        let parts = [of.ready_ms, of.waited_ms, of.save_ms, of.stop_ms];
        let sums = parts.iter().scan(0, |sum, part| {
            *sum += part.unwrap_or_default();
            Some(Duration::from_millis(*sum))
        });
        let [_, saving, stopping, ended] = sums.collect::<Vec<_>>()[..] else {
            unreachable!("four parts")
        };
        let since = |at: Instant| at - self.began;
        assert_eq!((of.save_ms.is_some(), of.stop_ms.is_some()), (seen.saves == 1, seen.stops > 0));
        assert_eq!(seen.saving.map_or(saving, since), saving, "{}: saved", of.name);
        assert_eq!(seen.stopping.map_or(stopping, since), stopping, "{}: stopped", of.name);
        assert_eq!(ended, Duration::from_millis(of.ended_ms), "{}: the sum", of.name);
        assert_eq!(seen.ended.map_or(took, |(at, _)| since(at)), ended, "{}: ended", of.name);
    }
}
