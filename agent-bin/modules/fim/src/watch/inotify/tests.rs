//! The events of inotify, made by hand.

use proptest::prelude::*;

use super::*;

fn event(watch: i32, flags: ReadFlags, cookie: u32, name: &[u8]) -> Vec<u8> {
    let mut event = watch.to_ne_bytes().to_vec();
    for number in [flags.bits(), cookie, 16] {
        event.extend(number.to_ne_bytes());
    }
    event.extend(name);
    event.resize(HEADER + 16, 0);
    event
}

fn of(watch: i32, name: &[u8]) -> Notice {
    Notice::of(Parent::Watch(watch), name)
}

fn renamed() -> Told {
    Told::Notice(Notice { renamed_to: Some((Parent::Watch(2), b"b".to_vec())), ..of(1, b"a") })
}

#[test]
fn two_halves_are_one_rename_in_one_read_and_in_two() {
    let from = event(1, ReadFlags::MOVED_FROM, 9, b"a");
    let to = event(2, ReadFlags::MOVED_TO, 9, b"b");
    let mut half = None;
    assert_eq!(parse(&[from.clone(), to.clone()].concat(), &mut half), [renamed()]);
    assert_eq!(half, None);
    assert_eq!(parse(&from, &mut half), []);
    assert!(half.is_some());
    assert_eq!(parse(&to, &mut half), [renamed()]);
    assert_eq!(half, None);
}

#[test]
fn a_half_that_stays_alone_is_a_name_that_was_left() {
    let mut half = None;
    let gone = Told::Notice(Notice { deleted: true, ..of(1, b"a") });
    assert_eq!(parse(&event(1, ReadFlags::MOVED_FROM, 9, b"a"), &mut half), []);
    let told = parse(&event(1, ReadFlags::CREATE, 0, b"b"), &mut half);
    let created = Told::Notice(Notice { created: true, ..of(1, b"b") });
    assert_eq!(told, [gone.clone(), created]);
    assert_eq!(half, None);
    assert_eq!(parse(&event(1, ReadFlags::MOVED_FROM, 9, b"a"), &mut half), []);
    let told = parse(&event(3, ReadFlags::MOVED_TO, 10, b"c"), &mut half);
    assert_eq!(told, [gone.clone(), Told::Notice(of(3, b"c"))], "the other half of another one");
    assert_eq!(parse(&event(1, ReadFlags::MOVED_FROM, 9, b"a"), &mut half), []);
    assert_eq!(half.map(|half| Told::Notice(half.into_notice())), Some(gone));
}

#[test]
fn an_overflow_a_lost_watch_and_the_zeros_behind_them_are_told_apart() {
    let mut buffer = event(-1, ReadFlags::QUEUE_OVERFLOW, 0, b"");
    buffer.extend(event(7, ReadFlags::IGNORED, 0, b""));
    buffer.extend(event(7, ReadFlags::DELETE | ReadFlags::ISDIR, 0, b"\xff\n"));
    buffer.resize(4_096, 0);
    let deleted = Told::Notice(Notice { deleted: true, folder: true, ..of(7, b"\xff\n") });
    assert_eq!(parse(&buffer, &mut None), [Told::Overflow, Told::WatchGone(7), deleted]);
    assert_eq!(parse(&[0; 4_096], &mut None), []);
    let cut = event(1, ReadFlags::CREATE, 0, b"a");
    assert_eq!(parse(&cut[..cut.len() - 1], &mut None), [], "an event that is cut is none");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut half = None;
        parse(&bytes, &mut half);
        parse(&bytes, &mut half);
    }
}
