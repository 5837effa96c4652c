//! Properties of the shutdown loop: whatever answers come, late, lost, doubled or foreign, it keeps its order and ends.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test moves time by itself, from any instant"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use module_api::ModuleName;
use proptest::prelude::*;
use restart::{Answer, Call, Effect, Event, Limits, Purpose, Shutdown};

/// One thing that happens to the loop.
#[derive(Debug, Clone)]
enum Act {
    /// Time passes, up to the given number of milliseconds, and the loop is told when its deadline has come.
    Wait(u16),
    /// Somebody answers: module and attempt by number, which may be of nobody.
    Answer(usize, u32, Reply),
    Tell(Word),
}

#[derive(Debug, Clone, Copy)]
enum Reply {
    Done,
    Busy,
    Failed,
}

#[derive(Debug, Clone, Copy)]
enum Word {
    Accepted,
    Unconditional,
    Refused,
    Terminated,
    Stop,
    Forced,
}

fn act() -> impl Strategy<Value = Act> {
    let reply = prop_oneof![Just(Reply::Done), Just(Reply::Busy), Just(Reply::Failed)];
    let word = prop_oneof![
        Just(Word::Accepted),
        Just(Word::Unconditional),
        Just(Word::Refused),
        Just(Word::Terminated),
        Just(Word::Stop),
        Just(Word::Forced),
    ];
    prop_oneof![
        3 => (0_u16..4_000).prop_map(Act::Wait),
        6 => (0_usize..6, 1_u32..8, reply).prop_map(|(who, attempt, reply)| Act::Answer(who, attempt, reply)),
        1 => word.prop_map(Act::Tell),
    ]
}

/// What the effects so far mean for one module.
#[derive(Debug, Default)]
struct Seen {
    outstanding: Option<(Call, u32)>,
    save_was_called: bool,
    ended: bool,
}

/// The loop with a naive record of what it asked for.
struct Run {
    shutdown: Shutdown,
    began: Instant,
    now: Instant,
    names: Vec<ModuleName>,
    seen: BTreeMap<ModuleName, Seen>,
}

impl Run {
    fn begin(purpose: Purpose, modules: usize) -> Self {
        let names: Vec<ModuleName> =
            (0..modules).map(|number| ModuleName::new(&format!("m{number}")).unwrap()).collect();
        let began = Instant::now();
        let (shutdown, effects) = Shutdown::begin(purpose, names.clone(), Limits::default(), began);
        let seen = names.iter().map(|name| (name.clone(), Seen::default())).collect();
        let mut run = Self { shutdown, began, now: began, names, seen };
        run.check(effects);
        run
    }

    fn step(&mut self, event: Event) {
        if let Event::Answered { module, attempt, .. } = &event
            && let Some(seen) = self.seen.get_mut(module)
            && let Some((call, _)) = seen.outstanding.filter(|(_, number)| number == attempt)
        {
            seen.outstanding = None;
            seen.ended |= call == Call::Stop
                && matches!(&event, Event::Answered { answer: Answer::Done | Answer::Busy(_), .. });
        }
        let over = self.shutdown.outcome().is_some();
        let effects = self.shutdown.step(self.now, event);
        assert!(
            !over || effects.is_empty(),
            "something is to be done after the outcome: {effects:?}"
        );
        self.check(effects);
    }

    fn check(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Call { module, call, attempt } => {
                    let seen = self.seen.get_mut(&module).unwrap();
                    assert_eq!(seen.outstanding, None, "{module} is called twice at once");
                    assert!(!seen.ended, "{module} is called after its end");
                    assert!(
                        call != Call::Stop || seen.save_was_called,
                        "{module} is stopped before it was saved"
                    );
                    seen.save_was_called |= call == Call::Save;
                    seen.outstanding = Some((call, attempt));
                }
                Effect::GiveUp { module, attempt } => {
                    let seen = self.seen.get_mut(&module).unwrap();
                    assert_eq!(seen.outstanding.map(|(_, number)| number), Some(attempt));
                    seen.outstanding = None;
                }
                Effect::Abandon { module } => self.seen.get_mut(&module).unwrap().ended = true,
                Effect::Resume { module } => {
                    assert!(
                        !self.seen[&module].save_was_called,
                        "{module} is resumed after it was saved"
                    );
                }
                Effect::Release { .. } | Effect::RequestReplacement | Effect::Report(_) => {}
            }
        }
    }

    fn wait_until(&mut self, until: Instant) {
        while let Some(deadline) =
            self.shutdown.next_deadline().filter(|deadline| *deadline <= until)
        {
            self.now = self.now.max(deadline);
            self.step(Event::DeadlinePassed);
        }
        self.now = self.now.max(until);
    }
}

proptest! {
    #[test]
    fn the_loop_keeps_its_order_and_time_alone_ends_it(
        replace in any::<bool>(),
        modules in 0_usize..6,
        acts in proptest::collection::vec(act(), 0..80),
    ) {
        let purpose = if replace { Purpose::Replace } else { Purpose::End };
        let mut run = Run::begin(purpose, modules);
        for act in acts {
            match act {
                Act::Wait(millis) => run.wait_until(run.now + Duration::from_millis(millis.into())),
                Act::Answer(who, attempt, reply) => {
                    let stranger = ModuleName::new("stranger").unwrap();
                    let module = run.names.get(who).cloned().unwrap_or(stranger);
                    let answer = match reply {
                        Reply::Done => Answer::Done,
                        Reply::Busy => Answer::Busy("busy".to_owned()),
                        Reply::Failed => Answer::Failed("failed".to_owned()),
                    };
                    run.step(Event::Answered { module, attempt, answer });
                }
                Act::Tell(word) => run.step(match word {
                    Word::Accepted => Event::ReplacementAccepted,
                    Word::Unconditional => Event::ReplacementUnconditional,
                    Word::Refused => Event::ReplacementRefused("refused".to_owned()),
                    Word::Terminated => Event::Terminated,
                    Word::Stop => Event::StopRequested,
                    Word::Forced => Event::Forced,
                }),
            }
        }
        run.wait_until(run.began.max(run.now) + Limits::default().overall);
        let outcome = run.shutdown.outcome().cloned();
        prop_assert!(outcome.is_some(), "it has not ended");
        let outcome = outcome.unwrap();
        prop_assert_eq!(outcome.modules.len(), modules);
        prop_assert!(outcome.took <= Limits::default().overall, "it took {:?}", outcome.took);
    }
}
