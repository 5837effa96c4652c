//! Properties of the shutdown loop: whatever answers come, late, lost, doubled or foreign, it keeps its order and ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "a test moves time by itself, from any instant"
)]

#[path = "properties/naive.rs"]
mod naive;

use std::time::Duration;

use naive::{Run, Which};
use proptest::prelude::*;
use proptest::sample::Index;
use restart::{Answer, Event, Limits, Purpose};

/// One thing that happens to the loop.
#[derive(Debug, Clone)]
enum Act {
    /// Time passes, and the loop is told when its deadline has come.
    Wait(u64),
    /// The loop is told that its deadline has come, though it may not have.
    Alarm,
    /// Somebody answers; what nobody answers is lost.
    Answer(Index, Which, Answer),
    /// The last answer comes again.
    Again,
    /// A module that is not in the loop answers.
    Stranger(u32),
    Tell(Event),
}

fn act() -> impl Strategy<Value = Act> {
    let answer = prop_oneof![
        5 => Just(Answer::Done),
        2 => Just(Answer::Busy("busy".to_owned())),
        1 => Just(Answer::Failed("failed".to_owned())),
    ];
    let which =
        prop_oneof![6 => Just(Which::Awaited), 1 => Just(Which::Earlier), 1 => Just(Which::Never)];
    let word = prop_oneof![
        3 => Just(Event::ReplacementAccepted),
        1 => Just(Event::ReplacementUnconditional),
        1 => Just(Event::ReplacementRefused("refused".to_owned())),
        3 => Just(Event::Terminated),
        1 => Just(Event::StopRequested),
        1 => Just(Event::Forced),
        1 => Just(Event::Hurried),
    ];
    prop_oneof![
        6 => (0_u64..1_500).prop_map(Act::Wait),
        1 => Just(Act::Alarm),
        20 => (any::<Index>(), which, answer).prop_map(|(who, which, answer)| Act::Answer(who, which, answer)),
        2 => Just(Act::Again),
        1 => (0_u32..4).prop_map(Act::Stranger),
        2 => word.prop_map(Act::Tell),
    ]
}

/// Limits that fit, and others that do not.
fn limits() -> impl Strategy<Value = Limits> {
    let millis = |most: u64| (0..most).prop_map(Duration::from_millis);
    let any = (
        millis(12_000),
        millis(2_000),
        millis(6_000),
        millis(6_000),
        millis(8_000),
        millis(40_000),
    );
    let any = any.prop_map(|(ready, poll, save, stop, replacement, overall)| Limits {
        ready,
        poll,
        save,
        stop,
        replacement,
        overall,
    });
    prop_oneof![Just(Limits::default()), any]
}

proptest! {
    #[test]
    fn the_loop_keeps_its_order_and_time_alone_ends_it(
        purpose in prop_oneof![Just(Purpose::Replace), Just(Purpose::End)],
        limits in limits(),
        modules in prop_oneof![3 => 1_usize..8, 1 => 8_usize..=50],
        acts in proptest::collection::vec(act(), 0..300),
    ) {
        let mut run = Run::begin(purpose, modules, limits);
        for act in acts {
            match act {
                Act::Wait(millis) => run.wait(Duration::from_millis(millis)),
                Act::Alarm => run.step(Event::DeadlinePassed),
                Act::Answer(who, which, answer) => run.answer(who.index(modules), which, answer),
                Act::Again => run.answer_again(),
                Act::Stranger(attempt) => run.answer_of_a_stranger(attempt),
                Act::Tell(word) => run.step(word),
            }
        }
        run.wait(limits.overall);
        run.check_outcome();
    }
}
