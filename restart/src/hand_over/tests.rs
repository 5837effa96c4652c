//! Names, order and recognition of what is handed over.

use std::os::unix::net::{UnixListener, UnixStream};

use super::*;

fn fd() -> Result<OwnedFd, String> {
    Ok(std::fs::File::open("/dev/null").unwrap().into())
}

#[test]
fn names_are_taken_in_order_and_each_once() {
    let names = ["a", "b", "a", "", "no\tname"].map(str::to_owned);
    let taken =
        vec![(3, fd()), (4, Err("not open".into())), (5, fd()), (6, fd()), (7, fd()), (8, fd())];
    let mut adopted = Adopted::default();
    name_them(taken, &names, &mut |_, _| Ok(()), &mut adopted);
    assert_eq!(adopted.fds.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
    let removable = adopted.rejected.iter().map(|rejected| rejected.name.as_deref());
    assert_eq!(removable.collect::<Vec<_>>(), [Some("b"), Some("a"), None, None, None]);
    assert_eq!(
        adopted.rejected.iter().map(|rejected| rejected.reason.as_str()).collect::<Vec<_>>(),
        [
            "descriptor 4 \"b\": not open",
            "descriptor 5 \"a\": another one has the same name",
            "descriptor 6 \"\": it has no valid name",
            "descriptor 7 \"no\\tname\": it has no valid name",
            "descriptor 8 \"\": it has no valid name",
        ]
    );
}

#[test]
fn of_several_with_one_name_the_first_that_is_recognised_is_taken() {
    let taken: Vec<_> = (3..6).map(|number| (number, fd())).collect();
    let mut answers = [Err("forged".to_owned()), Ok(()), Ok(())].into_iter();
    let mut adopted = Adopted::default();
    let names = ["control"; 3].map(str::to_owned);
    name_them(taken, &names, &mut |_, _| answers.next().unwrap(), &mut adopted);
    assert_eq!(adopted.fds.len(), 1);
    let reasons: Vec<_> = adopted.rejected.into_iter().map(|rejected| rejected.reason).collect();
    assert_eq!(
        reasons,
        [
            "descriptor 3 \"control\": forged",
            "descriptor 5 \"control\": another one has the same name",
        ]
    );
    assert!(answers.next().is_some(), "the last one is not even looked at");
}

#[test]
fn descriptors_meant_for_another_process_are_left_alone() {
    let environment = StartEnvironment {
        listen_fds: Some(1),
        listen_pid: Some(1),
        ..StartEnvironment::default()
    };
    let adopted = adopt(&environment, |_, _| Ok(()));
    assert!(adopted.fds.is_empty());
    let reason = "1 descriptors: LISTEN_PID says 1, not this process".to_owned();
    assert_eq!(adopted.rejected, [Rejected { name: None, reason }]);
}

#[test]
fn only_the_listener_at_the_path_is_taken_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("a.sock"), folder.path().join("b.sock"));
    let listener: OwnedFd = UnixListener::bind(&path).unwrap().into();
    assert!(is_listening_unix_socket(&listener, &path));
    assert!(!is_listening_unix_socket(&listener, &other));
    let connected: OwnedFd = UnixStream::connect(&path).unwrap().into();
    assert!(!is_listening_unix_socket(&connected, &path));
    assert!(!is_listening_unix_socket(&fd().unwrap(), &path));
    // Bound there, but it does not listen; and a datagram socket cannot.
    let bound = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&bound, &SocketAddrUnix::new(&other).unwrap()).unwrap();
    assert!(!is_listening_unix_socket(&bound, &other));
    let tcp: OwnedFd = std::net::TcpListener::bind("127.0.0.1:0").unwrap().into();
    assert!(!is_listening_unix_socket(&tcp, &path));
}

#[test]
fn a_name_that_the_next_process_would_reject_is_refused_before_anything_is_touched() {
    for names in [&["a:b"][..], &[""], &["a", "a"], &["a\n"]] {
        assert!(check_names(names.iter().copied()).is_err(), "{names:?}");
    }
    check_names(["control", "fim.inotify"].into_iter()).unwrap();
}
