//! The events of fanotify, made by hand.

use proptest::prelude::*;

use super::*;

fn handle(inode: u8) -> Handle {
    Handle { filesystem: 0x0807_0605_0403_0201, sort: 0x81, bytes: vec![inode; 12] }
}

fn record(sort: u8, inode: u8, name: Option<&[u8]>) -> Vec<u8> {
    let mut rest = Vec::new();
    // Two numbers of 32 bits.
    rest.extend(0x0403_0201_u32.to_ne_bytes());
    rest.extend(0x0807_0605_u32.to_ne_bytes());
    rest.extend(12_u32.to_ne_bytes());
    rest.extend(0x81_i32.to_ne_bytes());
    rest.extend([inode; 12]);
    if let Some(name) = name {
        rest.extend(name);
        rest.push(0);
    }
    rest.resize(rest.len().next_multiple_of(4), 0);
    let mut record = vec![sort, 0];
    record.extend((rest.len() as u16 + 4).to_ne_bytes());
    record.extend(rest);
    record
}

fn event(mask: u64, records: &[Vec<u8>]) -> Vec<u8> {
    let records = records.concat();
    let mut event = (24 + records.len() as u32).to_ne_bytes().to_vec();
    event.extend([3, 0]);
    event.extend(24_u16.to_ne_bytes());
    event.extend(mask.to_ne_bytes());
    event.extend((-1_i32).to_ne_bytes());
    event.extend(77_i32.to_ne_bytes());
    event.extend(records);
    event
}

fn notices(bytes: &[u8]) -> Vec<Notice> {
    let notice = |(told, pid)| match told {
        Told::Notice(notice) => {
            assert_eq!(pid, 77);
            notice
        }
        Told::Overflow | Told::WatchGone(_) => panic!("{told:?}"),
    };
    parse(bytes).into_iter().map(notice).collect()
}

#[test]
fn a_rename_has_both_names_and_the_file() {
    let records = [record(10, 1, Some(b"a")), record(12, 2, Some(b"\xff\n")), record(1, 3, None)];
    let expected = Notice {
        folder: true,
        target: Some(handle(3)),
        renamed_to: Some((Parent::Handle(handle(2)), b"\xff\n".to_vec())),
        ..Notice::of(Parent::Handle(handle(1)), b"a")
    };
    assert_eq!(notices(&event(libc::FAN_RENAME | ONDIR, &records)), [expected]);
}

#[test]
fn a_rename_of_which_one_side_is_told_is_about_that_name() {
    let told = notices(&event(libc::FAN_RENAME, &[record(12, 2, Some(b"b"))]));
    assert_eq!(told, [Notice::of(Parent::Handle(handle(2)), b"b")]);
    let told = notices(&event(libc::FAN_RENAME, &[record(10, 1, Some(b"a"))]));
    assert_eq!(told, [Notice::of(Parent::Handle(handle(1)), b"a")]);
}

#[test]
fn what_was_merged_to_one_event_says_all_of_it() {
    let records = [record(2, 1, Some(b"a")), record(1, 3, None)];
    let told = notices(&event(CREATE | DELETE | libc::FAN_MODIFY, &records));
    let expected = Notice {
        created: true,
        deleted: true,
        target: Some(handle(3)),
        ..Notice::of(Parent::Handle(handle(1)), b"a")
    };
    assert_eq!(told, [expected]);
}

#[test]
fn an_event_of_a_file_without_a_name_tells_nothing_and_one_of_a_folder_itself_does() {
    // The names that such a file has lost or got have events of their own.
    assert_eq!(parse(&event(libc::FAN_ATTRIB, &[record(1, 3, None)])), []);
    let itself = Notice { folder: true, ..Notice::of(Parent::Handle(handle(1)), b"") };
    for record in [record(2, 1, Some(b".")), record(3, 1, None)] {
        assert_eq!(
            notices(&event(libc::FAN_ATTRIB | ONDIR, &[record])),
            std::slice::from_ref(&itself)
        );
    }
}

#[test]
fn information_of_an_unknown_sort_is_passed_over() {
    let records = [record(99, 9, None), vec![4, 0, 8, 0, 1, 2, 3, 4], record(2, 1, Some(b"a"))];
    let told = notices(&event(CREATE, &records));
    let expected = Notice { created: true, ..Notice::of(Parent::Handle(handle(1)), b"a") };
    assert_eq!(told, [expected]);
}

#[test]
fn an_overflow_has_no_records_and_zeros_end_the_buffer() {
    let mut buffer = event(OVERFLOW, &[]);
    buffer.extend(event(CREATE, &[record(2, 1, Some(b"a"))]));
    buffer.resize(4_096, 0);
    let told: Vec<Told> = parse(&buffer).into_iter().map(|(told, _)| told).collect();
    let created = Notice { created: true, ..Notice::of(Parent::Handle(handle(1)), b"a") };
    assert_eq!(told, [Told::Overflow, Told::Notice(created)]);
    let created = event(CREATE, &[record(2, 1, Some(b"a"))]);
    assert_eq!(parse(&created[..created.len() - 1]), [], "an event that is cut is none");
    assert_eq!(parse(&[0; 4_096]), []);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        parse(&bytes);
    }

    #[test]
    fn no_change_of_an_event_makes_it_panic(place in 0..128_usize, value: u8) {
        let records = [record(10, 1, Some(b"a")), record(12, 2, Some(b"b"))];
        let mut buffer = event(libc::FAN_RENAME, &records);
        let place = place % buffer.len();
        buffer[place] = value;
        parse(&buffer);
    }
}
