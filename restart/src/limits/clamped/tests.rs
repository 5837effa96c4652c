//! What is left of the budgets: examples that show the arithmetic, and what holds for any.

use proptest::prelude::*;

use super::*;

fn allowed(after: Duration) -> StopTimeout {
    StopTimeout { unit: "wazuh-agent.service".to_owned(), after }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn budgets_that_fit_stay_as_they_are_without_a_warning() {
    let limits = Limits::default();
    assert_eq!(limits.clamped_to(&allowed(limits.overall)), (limits, None));
    assert_eq!(limits.clamped_to(&allowed(secs(90))), (limits, None));
}

#[test]
fn all_budgets_are_cut_in_the_same_proportion() {
    let limits = Limits::default();
    let (used, clamped) = limits.clamped_to(&allowed(secs(3)));
    let expected = Limits {
        ready: secs(1),
        poll: millis(100),
        save: millis(500),
        stop: millis(500),
        replacement: secs(5),
        overall: secs(3),
    };
    assert_eq!(used, expected);
    let stop_timeout = allowed(secs(3));
    assert_eq!(clamped, Some(Clamped { configured: limits, used, stop_timeout }));
}

#[test]
fn the_warning_shows_the_arithmetic_and_both_remedies() {
    let limits = Limits { overall: secs(45), ..Limits::default() };
    let (_, clamped) = limits.clamped_to(&allowed(secs(30)));
    assert_eq!(
        clamped.unwrap().to_string(),
        "restart.timeout 45s is more than TimeoutStopSec 30s of unit wazuh-agent.service, after which systemd kills the \
         agent; so these hold: ready_timeout 6666ms + save_timeout 3333ms + 2 x stop_timeout 3333ms = 16665ms within \
         timeout 30s; raise TimeoutStopSec= of unit wazuh-agent.service to 45s, or lower restart.timeout to 30s and the \
         others as shown"
    );
}

#[test]
fn a_short_budget_is_not_cut_to_nothing_and_a_long_one_pays_for_it() {
    let limits = Limits {
        ready: Duration::from_mins(9),
        save: millis(20),
        stop: millis(20),
        overall: Duration::from_mins(9) + millis(60),
        ..Limits::default()
    };
    let (used, _) = limits.clamped_to(&allowed(secs(1)));
    assert_eq!((used.ready, used.save, used.stop), (millis(970), millis(10), millis(10)));
}

#[test]
fn a_manager_without_any_patience_leaves_ten_milliseconds_for_each_budget() {
    for after in [Duration::ZERO, millis(39), millis(40)] {
        let (used, clamped) = Limits::default().clamped_to(&allowed(after));
        assert_eq!((used.ready, used.poll, used.save), (millis(10), millis(10), millis(10)));
        assert_eq!((used.stop, used.overall), (millis(10), millis(40)));
        assert!(clamped.is_some());
    }
}

/// Any time: nothing, parts of a millisecond, usual ones, and the longest of which four still add up.
fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX / 8),
        (0_u64..20_000_000).prop_map(Duration::from_nanos),
        (0_u64..600_000).prop_map(millis),
        any::<u64>().prop_map(millis),
    ]
}

prop_compose! {
    /// Any limits that pass the check.
    fn any_limits()(
        ready in any_time(), poll in any_time(), save in any_time(), stop in any_time(), slack in any_time(),
    ) -> Limits {
        let limits = Limits { ready, poll, save, stop, ..Limits::default() };
        Limits { overall: limits.parts().saturating_add(slack), ..limits }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_fits_and_nothing_grows_or_is_cut_to_nothing(
        limits in any_limits(), after in any_time(),
    ) {
        let (used, clamped) = limits.clamped_to(&allowed(after));
        let most = after.max(millis(40));
        prop_assert_eq!(used.check(), Ok(used));
        prop_assert!(used.overall <= most);
        prop_assert_eq!(used.replacement, limits.replacement);
        let pairs = [
            (used.ready, limits.ready),
            (used.poll, limits.poll),
            (used.save, limits.save),
            (used.stop, limits.stop),
            (used.overall, limits.overall),
        ];
        prop_assert!(pairs.iter().all(|(used, before)| used <= before), "{used:?}");
        let not_nothing = |(used, before): &(Duration, Duration)| *used >= (*before).min(millis(10));
        prop_assert!([pairs[0], pairs[2], pairs[3]].iter().all(not_nothing), "{used:?}");
        prop_assert_eq!(clamped.is_none(), used == limits);
        prop_assert_eq!(clamped.is_none(), limits.overall <= most);
        if clamped.is_some() {
            prop_assert!(used.poll <= used.ready);
        }
    }
}
