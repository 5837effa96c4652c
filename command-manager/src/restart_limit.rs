//! How many restarts of the agent an hour has room for.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How much room the limit of restarts leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartRoom {
    /// How many restarts of the agent are allowed within an hour; 0 is no limit.
    pub limit: u32,
    /// How many of them are left now; means nothing without a limit.
    pub left: u32,
    /// How long a further one has to wait; `None` when it would be accepted.
    pub wait: Option<Duration>,
}

impl RestartRoom {
    /// What `limit` leaves at `now` when `before` were asked for, the oldest first; as [`wait`] counts them.
    pub(crate) fn of(before: &[Timestamp], limit: u32, now: Timestamp) -> Self {
        let used = u32::try_from(recent(before, now).len()).unwrap_or(u32::MAX);
        Self { limit, left: limit.saturating_sub(used), wait: wait(before, limit, now) }
    }
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// How long a further restart has to wait at `now` when `before` were asked for, the oldest first, and `limit` are allowed
/// within an hour; `None` when it may be accepted. Times after `now`, from a clock that was set back, do not count.
pub(crate) fn wait(before: &[Timestamp], limit: u32, now: Timestamp) -> Option<Duration> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let recent = recent(before, now);
    if limit == 0 || recent.len() < limit {
        return None;
    }
    // When this one is an hour old there is room again.
    let last = recent[recent.len() - limit];
    let wait = HOUR.saturating_sub(now.duration_since(last));
    Some(wait.unsigned_abs())
}

fn recent(before: &[Timestamp], now: Timestamp) -> Vec<Timestamp> {
    before.iter().copied().filter(|at| *at <= now && now.duration_since(*at) < HOUR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_what_this_hour_has_left() {
        let before: Vec<_> = [0, 10, 20].map(at).into();
        let room = |limit, now| {
            let room = RestartRoom::of(&before, limit, at(now));
            (room.left, room.wait.map(|wait| wait.as_secs() / 60))
        };
        assert_eq!(room(5, 30), (2, None));
        assert_eq!(room(3, 30), (0, Some(30)));
        assert_eq!(room(3, 60), (1, None), "the first is an hour old");
        assert_eq!(room(1, 30), (0, Some(50)), "the limit was lowered");
        assert_eq!(room(0, 30), (0, None), "no limit");
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn minutes(before: &[i64], limit: u32, now: i64) -> Option<u64> {
        let before: Vec<_> = before.iter().map(|minute| at(*minute)).collect();
        wait(&before, limit, at(now)).map(|wait| wait.as_secs() / 60)
    }

    #[test]
    fn below_the_limit_nobody_waits() {
        assert_eq!(minutes(&[], 1, 0), None);
        assert_eq!(minutes(&[0, 1], 3, 2), None);
    }

    #[test]
    fn at_the_limit_it_waits_until_the_oldest_that_counts_is_an_hour_old() {
        assert_eq!(minutes(&[0, 10, 20], 3, 30), Some(30));
        assert_eq!(minutes(&[0, 10, 20], 3, 59), Some(1));
        assert_eq!(minutes(&[0, 10, 20], 3, 60), None, "the first is an hour old");
    }

    #[test]
    fn above_a_limit_that_was_lowered_it_waits_for_enough_of_them() {
        assert_eq!(minutes(&[0, 10, 20], 1, 30), Some(50));
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        assert_eq!(minutes(&[0; 1000], 0, 0), None);
    }

    #[test]
    fn times_from_a_clock_that_was_set_back_do_not_count() {
        assert_eq!(minutes(&[100, 200], 2, 0), None);
    }
}
