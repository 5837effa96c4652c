//! The contract's checks on scripted modules: one that keeps it passes, and each rule that is broken is found.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

#[path = "contract/faulty.rs"]
mod faulty;
#[path = "contract/filing.rs"]
mod filing;

use faulty::{Case, Fault};
use module_api::contract::{Rule, Violations, check};
use module_api::{Act, Lie, Script};

/// A script that keeps the contract.
fn truthful() -> Script {
    Script { publish_every_ms: Some(100), ..Script::default() }
}

/// What is found of a truthful script with a fault.
async fn found(fault: Fault) -> Result<(), Violations> {
    check(&Case::new(truthful(), fault)).await
}

/// The rules that a script breaks.
async fn broken_by(script: Script) -> Vec<Rule> {
    let checked = check(&Case::new(script, Fault::Nothing)).await;
    checked.map_or_else(|found| found.0.iter().map(|one| one.rule).collect(), |()| Vec::new())
}

#[tokio::test(start_paused = true)]
async fn a_module_that_keeps_the_contract_passes() {
    assert_eq!(found(Fault::Nothing).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_module_that_is_slow_but_within_its_budgets_passes() {
    let script = Script {
        start: vec![Act::OkAfterMs(5_000)],
        ready: vec![Act::Busy, Act::Fail, Act::OkAfterMs(300)],
        save: vec![Act::OkAfterMs(5_000)],
        stop: vec![Act::OkAfterMs(5_000)],
        resume: vec![Act::OkAfterMs(5_000)],
        slow_by_ms: 200,
        ..truthful()
    };
    assert_eq!(broken_by(script).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_method_that_fails_hangs_or_panics_breaks_the_rule_about_it() {
    let acts = [Act::Fail, Act::Hang, Act::Panic, Act::OkAfterMs(60_000)];
    for acts in acts.map(|act| vec![act]) {
        let of_start = Script { start: acts.clone(), ..truthful() };
        assert_eq!(broken_by(of_start).await, [Rule::StartWorks], "{acts:?}");
        let of_save = Script { save: acts.clone(), ..truthful() };
        assert_eq!(broken_by(of_save).await, [Rule::SaveWorks], "{acts:?}");
        let of_stop = Script { stop: acts.clone(), ..truthful() };
        assert_eq!(broken_by(of_stop).await, [Rule::StopWorks], "{acts:?}");
    }
    for acts in [Act::Hang, Act::Panic].map(|act| vec![act]) {
        let of_resume = Script { resume: acts.clone(), ..truthful() };
        assert_eq!(broken_by(of_resume).await, [Rule::ResumeGoesOn], "{acts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_that_is_late_missing_or_never_reached_is_found() {
    let readiness = [
        (vec![Act::Hang], Rule::ReadyAnswersAtOnce),
        (vec![Act::Panic], Rule::ReadyAnswersAtOnce),
        (vec![Act::OkAfterMs(1_500)], Rule::ReadyAnswersAtOnce),
        // The question after the first answer counts as well.
        (vec![Act::Ok, Act::Hang], Rule::ReadyAnswersAtOnce),
        (vec![Act::Busy], Rule::BusyEnds),
    ];
    for (ready, rule) in readiness {
        let script = Script { ready: ready.clone(), ..truthful() };
        assert_eq!(broken_by(script).await, [rule], "{ready:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_module_that_does_nothing_or_fails_by_itself_is_found() {
    let idle = Script { publish_every_ms: None, ..truthful() };
    assert_eq!(broken_by(idle).await, [Rule::StartWorks]);
    let failing = Script { fail_after_ms: Some(50), ..truthful() };
    assert_eq!(broken_by(failing).await, [Rule::TasksDoNotFail]);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_that_fails_is_found() {
    let script = Script { stop: vec![Act::Ok, Act::Fail], ..truthful() };
    assert_eq!(broken_by(script).await, [Rule::StopAgainIsOk]);
}

#[tokio::test(start_paused = true)]
async fn a_module_that_lies_about_its_save_or_its_stop_is_found() {
    let liar = |lie| Script { lies: vec![lie], ..truthful() };
    assert_eq!(broken_by(liar(Lie::Save)).await, [Rule::SaveIsFinal]);
    assert_eq!(broken_by(liar(Lie::Stop)).await, [Rule::StopIsFinal, Rule::WorkIsInTasks]);
    // Whether what it does after it was asked is long work cannot be seen from outside.
    assert_eq!(broken_by(liar(Lie::Ready)).await, []);
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_found_and_said_in_words() {
    let faults = [
        (
            Fault::ChangesItsName,
            "the name is always the same, but scripted calls itself other later",
        ),
        (
            Fault::IgnoresResume,
            "a resumed module works as before, but no event was published within 10s of the work",
        ),
        (Fault::StopsOnlyWhenSaved, "stop returns well, but stop failed: nothing was saved"),
        (
            Fault::ForgetsItsState,
            r#"the next instance goes on where the last one ended, but it published again what was stored: [EventId("scripted-1")]"#,
        ),
        (
            Fault::IgnoresRefusals,
            r#"no work is lost, but [EventId("scripted-1")], which the sink refused, were not published again within 10s"#,
        ),
        (
            Fault::PublishesPositionsFirst,
            r#"no work is lost, but [EventId("scripted-2")], which the sink refused before the restart, were not published again within 10s"#,
        ),
        (
            Fault::SetsTheIdField,
            "events, checkpoints and states are well formed, but event scripted-1 sets the field id of the agent",
        ),
        (
            Fault::SavesVersionZero,
            "events, checkpoints and states are well formed, but the state has version 0",
        ),
        (
            Fault::HidesItsTask,
            "work runs in the tasks of the start context only, but other tasks ran on when its own were aborted (1)",
        ),
    ];
    for (fault, sentence) in faults {
        let violations = found(fault).await.unwrap_err();
        assert_eq!(
            violations.to_string(),
            format!("the module breaks its contract:\n- {sentence}"),
            "{fault:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_keeps_a_sink_after_the_end_is_found() {
    let violations = found(Fault::LeaksItsSink).await.unwrap_err();
    assert_eq!(
        violations.to_string(),
        "the module breaks its contract:\n\
         - nothing runs after stop, but its sink is still held when it is dropped (by 1)\n\
         - work runs in the tasks of the start context only, but its sink is still held when it is dropped (by 1)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_method_that_cannot_be_dropped_is_found() {
    let methods = [
        ("start", "start did not return within 10s"),
        ("ready_for_shutdown", "ready_for_shutdown did not return within 1s"),
        ("resume", "resume did not return within 10s"),
        ("save_state", "save_state did not return within 10s"),
        ("stop", "stop did not return within 10s"),
    ];
    for (method, consequence) in methods {
        let violations = found(Fault::HangsAfterDropped(method)).await.unwrap_err();
        let seen = format!("when {method} had been dropped after poll 1, {consequence}");
        assert_eq!(violations.0.len(), 1, "{violations}");
        assert_eq!((violations.0[0].rule, &violations.0[0].seen), (Rule::CallsMayBeDropped, &seen));
    }
}
