//! What is left by an instance that is there no more.

use super::*;
use crate::watch::{Parent, without_repeats};

fn notice(name: &str) -> Notice {
    Notice { created: true, read_at: (7, 1), ..Notice::of(Parent::Watch(1), name.as_bytes()) }
}

/// What the next instance finds.
fn again(recorder: &Recorder) -> Left {
    Recorder::adopt(recorder.sensor().unwrap(), 7).unwrap().1
}

fn names(left: &Left) -> Vec<String> {
    let name = |notice: &Notice| String::from_utf8(notice.name.clone()).unwrap();
    left.notices.iter().map(name).collect()
}

fn is_empty(left: &Left) -> bool {
    left.notices.is_empty() && left.scratch.iter().all(|byte| *byte == 0)
}

#[test]
fn what_was_recorded_or_read_and_not_forgotten_is_left() {
    let mut recorder = Recorder::new("test-recorder", 7).unwrap();
    assert!(is_empty(&again(&recorder)));
    recorder.append(&notice("a")).unwrap();
    recorder.switch();
    recorder.append(&notice("b")).unwrap();
    recorder.append(&notice("")).unwrap();
    let left = again(&recorder);
    assert_eq!(left.notices, [notice("a"), notice("b"), notice("")]);
    recorder.forget();
    assert_eq!(names(&again(&recorder)), ["b", ""], "those before the switch are durable");
    recorder.scratch()[..3].copy_from_slice(b"raw");
    assert_eq!(&again(&recorder).scratch[..4], b"raw\0");
    recorder.clear_scratch(3);
    recorder.switch();
    recorder.forget();
    assert!(is_empty(&again(&recorder)));
}

/// A recorder that adopted two records and bytes that were read and not recorded.
fn adopted() -> Recorder {
    let mut old = Recorder::new("test-recorder", 7).unwrap();
    old.append(&notice("a")).unwrap();
    old.switch();
    old.append(&notice("b")).unwrap();
    old.scratch()[..3].copy_from_slice(b"raw");
    let (recorder, left) = Recorder::adopt(old.sensor().unwrap(), 7).unwrap();
    assert_eq!(names(&left), ["a", "b"]);
    recorder
}

#[test]
fn what_was_left_stays_until_it_is_durable_and_nothing_is_read_meanwhile() {
    let mut recorder = adopted();
    recorder.take_over(&[notice("c")]);
    assert!(recorder.has_room(), "until it is worked off");
    recorder.append(&notice("d")).unwrap();
    recorder.switch();
    assert!(!recorder.has_room());
    assert_eq!(names(&again(&recorder)), ["a", "b", "c", "d"], "after one more kill");
    recorder.forget();
    assert!(is_empty(&again(&recorder)));
    assert!(recorder.has_room());
}

#[test]
fn what_was_read_and_does_not_fit_stays_where_it_was_read_into() {
    let mut recorder = adopted();
    let long = notice(&"x".repeat(255));
    while recorder.append(&long) == Ok(()) {}
    recorder.take_over(&[long]);
    assert!(!recorder.has_room());
    assert_eq!(&again(&recorder).scratch[..4], b"raw\0");
    recorder.forget();
    assert!(is_empty(&again(&recorder)));
    assert!(recorder.has_room());
}

#[test]
fn it_is_known_which_records_are_of_what_is_in_the_scratch() {
    let mut recorder = Recorder::new("test-recorder", 7).unwrap();
    recorder.append(&notice("a")).unwrap();
    assert_eq!(again(&recorder).of_scratch, 1, "as if it was of the first read");
    recorder.begin_read(1)[..3].copy_from_slice(b"raw");
    assert_eq!(again(&recorder).of_scratch, 0);
    recorder.append(&notice("b")).unwrap();
    let left = again(&recorder);
    assert_eq!((names(&left), left.of_scratch), (vec!["a".to_owned(), "b".to_owned()], 1));
    recorder.switch();
    recorder.begin_read(2);
    assert_eq!(again(&recorder).of_scratch, 0);
}

#[test]
fn of_what_was_read_twice_the_repeats_alone_are_left_out() {
    let told = |names: [&str; 3]| names.map(notice).to_vec();
    let all = |of_scratch| {
        let left = without_repeats(told(["a", "b", "a"]), of_scratch, told(["a", "c", "b"]));
        names(&Left { notices: left, ..Left::default() }).concat()
    };
    assert_eq!([all(0), all(1)], ["abaacb", "abacb"]);
}

#[test]
fn stamps_grow_where_the_clock_was_set_back() {
    let tomorrow = clock::now() + 86_400_000_000_000;
    let mut recorder = Recorder::new("test-recorder", 7).unwrap();
    assert!(recorder.next_stamp() < tomorrow);
    recorder.begin_read(tomorrow);
    assert_eq!(recorder.next_stamp(), tomorrow + 1);
    recorder.later_than(7);
    let (next, _) = Recorder::adopt(recorder.sensor().unwrap(), 7).unwrap();
    assert_eq!(next.next_stamp(), tomorrow + 1);
}

#[test]
fn that_something_is_lost_stays_noted_until_it_is_found() {
    let mut recorder = Recorder::new("test-recorder", 7).unwrap();
    assert!(!again(&recorder).lost);
    recorder.set_lost(true);
    recorder.switch();
    recorder.forget();
    assert!(again(&recorder).lost, "what is durable does not tell what is lost");
    recorder.set_lost(false);
    assert!(!again(&recorder).lost);
}

#[test]
fn a_full_half_refuses_and_stays_as_it_is() {
    let mut recorder = Recorder::new("test-recorder", 7).unwrap();
    let long = notice(&"x".repeat(255));
    let mut count = 0;
    while recorder.append(&long) == Ok(()) {
        count += 1;
    }
    assert!(!recorder.has_room());
    assert_eq!(again(&recorder).notices, vec![long.clone(); count]);
    recorder.switch();
    assert_eq!(recorder.append(&long), Ok(()), "the other half is empty");
    recorder.forget();
    assert_eq!(again(&recorder).notices, [long]);
}

#[test]
fn a_whole_read_of_the_smallest_events_is_recorded_where_there_is_room() {
    let mut recorder = Recorder::new("test-recorder", 7).unwrap();
    let folder_itself = Notice {
        read_at: (i64::MAX, u32::MAX),
        folder: true,
        deleted: true,
        ..Notice::of(Parent::Watch(i32::MAX), b"")
    };
    // Up to the last record with which it still says that there is room.
    while recorder.has_room() {
        recorder.append(&folder_itself).unwrap();
    }
    const SMALLEST: usize = 16;
    for _ in 1..SCRATCH / SMALLEST {
        assert_eq!(recorder.append(&folder_itself), Ok(()));
    }
}

#[test]
fn memory_of_another_baseline_or_another_kind_is_foreign() {
    let recorder = Recorder::new("test-recorder", 7).unwrap();
    let other = Recorder::adopt(recorder.sensor().unwrap(), 8);
    assert!(matches!(other, Err(RecorderError::Foreign)));
    let smaller = SensorFd::recorder("test-recorder", SIZE - 1).unwrap();
    assert!(matches!(Recorder::adopt(smaller, 7), Err(RecorderError::Foreign)));
    let empty = SensorFd::recorder("test-recorder", SIZE).unwrap();
    assert!(matches!(Recorder::adopt(empty, 0), Err(RecorderError::Foreign)));
}
