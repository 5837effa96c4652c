//! When failures are too many: rules by name, and the history against a model that keeps everything.

use proptest::prelude::prop;

use super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(500), max: secs(60), reset: secs(300) };

/// Three failures within ten seconds are borne.
const THREE_IN_TEN: Policy =
    Policy { backoff: BACKOFF, quarantine: Quarantine { failures: 3, window: secs(10) } };

/// What is said to each failure, when they come at these seconds.
fn judgements(policy: &Policy, at: &[u64]) -> Vec<Judgement> {
    let origin = Instant::now();
    let mut history = FailureHistory::default();
    at.iter().map(|at| history.add(origin + secs(*at), Duration::ZERO, policy)).collect()
}

fn try_again(in_a_row: u32) -> Judgement {
    Judgement::TryAgain { in_a_row }
}

#[test]
fn one_failure_more_than_is_borne_is_too_often() {
    assert_eq!(
        judgements(&THREE_IN_TEN, &[0, 1, 2, 3]),
        [try_again(1), try_again(2), try_again(3), Judgement::TooOften { failures: 4 }]
    );
}

#[test]
fn a_failure_counts_exactly_as_long_as_the_window() {
    assert_eq!(judgements(&THREE_IN_TEN, &[0, 1, 2, 10])[3], Judgement::TooOften { failures: 4 });
    assert_eq!(judgements(&THREE_IN_TEN, &[0, 1, 2, 11])[3], try_again(4));
}

#[test]
fn a_module_that_fails_seldom_is_started_again_for_ever() {
    let at: Vec<u64> = (0..100).map(|failure| failure * 4).collect();
    let expected: Vec<Judgement> = (1..=100).map(try_again).collect();
    assert_eq!(judgements(&THREE_IN_TEN, &at), expected);
}

#[test]
fn without_a_number_no_failure_is_one_too_many_and_none_is_kept() {
    let policy = Policy {
        quarantine: Quarantine { failures: 0, ..THREE_IN_TEN.quarantine },
        ..THREE_IN_TEN
    };
    let mut history = FailureHistory::default();
    for in_a_row in 1..=1_000 {
        let judgement = history.add(Instant::now(), Duration::ZERO, &policy);
        assert_eq!(judgement, try_again(in_a_row));
    }
    assert!(history.recent.is_empty());
}

#[test]
fn an_instance_that_worked_long_enough_starts_a_new_row_but_its_failure_counts() {
    let origin = Instant::now();
    let mut history = FailureHistory::default();
    let mut add = |at, worked| history.add(origin + secs(at), secs(worked), &THREE_IN_TEN);
    assert_eq!([add(0, 0), add(1, 299), add(2, 300)], [try_again(1), try_again(2), try_again(1)]);
    assert_eq!(add(3, 300), Judgement::TooOften { failures: 4 });
}

#[test]
fn a_smaller_number_after_a_reload_holds_at_once() {
    let origin = Instant::now();
    let mut history = FailureHistory::default();
    for _ in 0..3 {
        history.add(origin, Duration::ZERO, &THREE_IN_TEN);
    }
    let one = Policy {
        quarantine: Quarantine { failures: 1, ..THREE_IN_TEN.quarantine },
        ..THREE_IN_TEN
    };
    let judgement = history.add(origin, Duration::ZERO, &one);
    assert_eq!(judgement, Judgement::TooOften { failures: 4 });
}

proptest::proptest! {
    /// The model remembers every failure and counts those within the window.
    #[test]
    fn it_judges_like_one_who_remembers_everything_and_remembers_little(
        borne in 0_u32..6,
        window in 0_u64..50,
        failures in prop::collection::vec((0_u64..20, 0_u64..400), 1..80),
    ) {
        let policy = Policy {
            quarantine: Quarantine { failures: borne, window: secs(window) },
            backoff: BACKOFF,
        };
        let origin = Instant::now();
        let mut history = FailureHistory::default();
        let (mut at, mut row, mut all) = (0, 0, Vec::new());
        for (pause, worked) in failures {
            at += pause;
            row = if worked >= 300 { 1 } else { row + 1 };
            all.push(at);
            let within = all.iter().filter(|earlier| at - **earlier <= window).count();
            let too_often = borne > 0 && within > borne as usize;
            match history.add(origin + secs(at), secs(worked), &policy) {
                Judgement::TryAgain { in_a_row } => {
                    proptest::prop_assert!(!too_often);
                    proptest::prop_assert_eq!(in_a_row, row);
                }
                Judgement::TooOften { failures } => {
                    proptest::prop_assert!(too_often);
                    proptest::prop_assert_eq!(failures, borne + 1);
                }
            }
            proptest::prop_assert!(history.recent.len() <= borne as usize + 1);
            proptest::prop_assert_eq!(history.in_a_row(), row);
        }
    }
}
