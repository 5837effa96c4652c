//! The numbers that systemd may answer, and what is sent to it.

use std::cell::RefCell;

use super::*;
use crate::notify::stand_in::manager;

/// Settles a store of `names` with a manager that answers `numbers`, one at each question; says what the manager was sent.
async fn settle_with(names: &[&str], numbers: &[u32]) -> (Result<(), String>, Vec<String>) {
    let (manager, notifier) = manager();
    let store = DescriptorStore::new(notifier);
    let fd = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    for name in names {
        store.keep(name, fd.as_fd()).unwrap();
    }
    let answers = RefCell::new(numbers.iter().copied());
    let reading = std::thread::spawn(move || manager.read_until_status());
    let settled = settle(&store, || async {
        let now = answers.borrow_mut().next().unwrap();
        Ok(Kept { now, most: 64 })
    })
    .await;
    assert_eq!(answers.borrow().len(), 0, "it is asked as often as needed");
    store.notifier().status("over").unwrap();
    (settled, reading.join().unwrap())
}

#[tokio::test]
async fn as_many_as_there_are_names_is_proof() {
    let (settled, sent) = settle_with(&["a", "b"], &[2]).await;
    assert_eq!(settled, Ok(()));
    assert_eq!(sent, ["FDSTORE=1\nFDNAME=a", "FDSTORE=1\nFDNAME=b", "BARRIER=1"]);
}

#[tokio::test]
async fn what_is_missing_is_given_again_and_then_there_is_one_of_each() {
    for first in [0, 3] {
        let (settled, sent) = settle_with(&["a"], &[first, 1]).await;
        assert_eq!(settled, Ok(()));
        assert_eq!(
            sent,
            [
                "FDSTORE=1\nFDNAME=a",
                "BARRIER=1",
                "FDSTOREREMOVE=1\nFDNAME=a",
                "FDSTORE=1\nFDNAME=a",
                "BARRIER=1",
            ]
        );
    }
}

#[tokio::test]
async fn a_store_that_is_too_small_is_an_error_that_says_what_to_raise() {
    let (settled, _) = settle_with(&["a", "b"], &[1, 1]).await;
    let reason = settled.unwrap_err();
    assert_eq!(reason, "systemd keeps 1 of 2 descriptors (a, b); raise FileDescriptorStoreMax=64");
}

#[tokio::test]
async fn an_empty_store_asks_nobody() {
    let never = || async { panic!("nothing to ask") };
    assert_eq!(settle(&DescriptorStore::default(), never).await, Ok(()));
}
