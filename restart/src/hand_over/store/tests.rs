//! What the manager is sent, and what the next process would receive.

use std::os::unix::net::UnixDatagram;

use super::*;
use crate::Rejected;
use crate::notify::stand_in::manager;

fn fd() -> OwnedFd {
    UnixDatagram::unbound().unwrap().into()
}

/// What the manager is sent by `act`.
fn sent(act: impl FnOnce(&DescriptorStore)) -> Vec<String> {
    let (manager, notifier) = manager();
    let store = DescriptorStore::new(notifier);
    act(&store);
    store.notifier().status("over").unwrap();
    manager.read_until_status()
}

#[test]
fn the_same_socket_under_the_same_name_is_given_to_the_manager_once() {
    let fd = fd();
    let sent = sent(|store| {
        store.keep("control", fd.as_fd()).unwrap();
        store.keep("control", fd.as_fd()).unwrap();
        store.keep("control", fd.try_clone().unwrap().as_fd()).unwrap();
        assert_eq!(store.names(), ["control"]);
    });
    assert_eq!(sent, ["FDSTORE=1\nFDNAME=control"]);
}

#[test]
fn another_one_under_the_same_name_takes_the_place_of_the_first() {
    let (first, second) = (fd(), fd());
    let sent = sent(|store| {
        store.keep("a", first.as_fd()).unwrap();
        store.keep("a", second.as_fd()).unwrap();
        let kept = store.get("a").unwrap().unwrap();
        assert!(same_open_file(kept.as_fd(), second.as_fd()));
        assert_eq!(store.descriptors().unwrap().len(), 1);
    });
    assert_eq!(sent, ["FDSTORE=1\nFDNAME=a", "FDSTOREREMOVE=1\nFDNAME=a", "FDSTORE=1\nFDNAME=a"]);
}

#[test]
fn what_the_manager_did_not_get_is_sent_when_it_is_kept_again() {
    let (first, second) = (fd(), fd());
    let (manager, notifier) = manager();
    let store = DescriptorStore::new(notifier);
    store.keep("a", first.as_fd()).unwrap();
    manager.is_away_during(|| {
        let kept = store.keep("a", second.as_fd());
        assert!(matches!(kept, Err(KeepError::Notify(_))), "{kept:?}");
    });
    store.keep("a", second.as_fd()).unwrap();
    store.keep("a", second.as_fd()).unwrap();
    store.notifier().status("over").unwrap();
    assert_eq!(
        manager.read_until_status(),
        ["FDSTORE=1\nFDNAME=a", "FDSTOREREMOVE=1\nFDNAME=a", "FDSTORE=1\nFDNAME=a"]
    );
}

#[test]
fn what_was_adopted_is_not_given_again_and_what_was_rejected_is_removed() {
    let rejected = |name: Option<&str>| Rejected {
        name: name.map(str::to_owned),
        reason: "for a test".to_owned(),
    };
    let sent = sent(|store| {
        store.take_over(Adopted {
            fds: vec![("control".to_owned(), fd()), ("twice".to_owned(), fd())],
            rejected: vec![
                rejected(Some("unknown")),
                rejected(Some("twice")),
                rejected(Some("unknown")),
                rejected(None),
            ],
        });
        assert_eq!(store.names(), ["control", "twice"]);
    });
    assert_eq!(
        sent,
        [
            "FDSTOREREMOVE=1\nFDNAME=twice",
            "FDSTOREREMOVE=1\nFDNAME=unknown",
            "FDSTORE=1\nFDNAME=twice",
        ]
    );
}

#[test]
fn what_is_forgotten_is_removed_once() {
    let fd = fd();
    let sent = sent(|store| {
        store.keep("a", fd.as_fd()).unwrap();
        store.forget("a");
        store.forget("a");
        assert!(store.get("a").unwrap().is_none());
    });
    assert_eq!(sent, ["FDSTORE=1\nFDNAME=a", "FDSTOREREMOVE=1\nFDNAME=a"]);
}

#[test]
fn without_a_manager_it_is_handed_over_all_the_same() {
    let store = DescriptorStore::default();
    for number in 0..MOST {
        store.keep(&number.to_string(), fd().as_fd()).unwrap();
    }
    assert_eq!(store.descriptors().unwrap().len(), MOST);
    assert!(matches!(store.keep("one-more", fd().as_fd()), Err(KeepError::TooMany)));
    assert!(matches!(store.keep("a:b", fd().as_fd()), Err(KeepError::Name(_))));
    store.keep("0", fd().as_fd()).unwrap();
}
