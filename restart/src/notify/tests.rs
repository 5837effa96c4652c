//! The messages as a manager receives them, on a datagram socket of our own.

use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;

use super::stand_in::manager;
use super::*;

#[test]
fn each_message_has_the_documented_form() {
    let (socket, notifier) = manager();
    assert!(notifier.is_active());
    notifier.ready("two\nlines").unwrap();
    assert_eq!(socket.receive().0, "READY=1\nSTATUS=two lines");
    notifier.status("saving").unwrap();
    assert_eq!(socket.receive().0, "STATUS=saving");
    notifier.stopping().unwrap();
    assert_eq!(socket.receive().0, "STOPPING=1");
    notifier.watchdog().unwrap();
    assert_eq!(socket.receive().0, "WATCHDOG=1");
    notifier.extend_timeout(Duration::from_millis(2500)).unwrap();
    assert_eq!(socket.receive().0, "EXTEND_TIMEOUT_USEC=2500000");
    notifier.remove_fd("fim.inotify").unwrap();
    assert_eq!(socket.receive().0, "FDSTOREREMOVE=1\nFDNAME=fim.inotify");
    notifier.reloading().unwrap();
    let reloading = socket.receive().0;
    let stamp = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(u128::from(stamp.parse::<u64>().unwrap()) <= monotonic().as_micros());
}

#[test]
fn signs_of_the_end_do_not_wait_for_a_manager_that_does_not_read() {
    let (socket, notifier) = manager();
    let mut unread = 0;
    while notifier.extend_timeout(Duration::from_secs(1)).is_ok() {
        unread += 1;
    }
    // A message that waits: what does not wait is refused while this one still does.
    let waiting = std::thread::spawn({
        let notifier = notifier.clone();
        move || notifier.status("patient")
    });
    let refused = [notifier.stopping(), notifier.extend_timeout(Duration::from_secs(1))];
    assert!(!waiting.is_finished(), "it was waited for as long as it waits");
    let read: Vec<String> = (0..=unread).map(|_| socket.receive().0).collect();
    waiting.join().unwrap().unwrap();
    for refused in refused {
        let Err(NotifyError::Send { source, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), io::ErrorKind::WouldBlock);
    }
    assert_eq!(read.last().unwrap(), "STATUS=patient");
}

#[test]
fn a_stored_descriptor_arrives_as_the_same_open_file() {
    let (socket, notifier) = manager();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept");
    let mut file = std::fs::File::create_new(&path).unwrap();
    notifier.store_fd("kept", file.as_fd()).unwrap();
    let (message, mut fds) = socket.receive();
    assert_eq!(message, "FDSTORE=1\nFDNAME=kept");
    assert_eq!(fds.len(), 1);
    file.write_all(b"before").unwrap();
    std::fs::File::from(fds.remove(0)).write_all(b" and after").unwrap();
    let mut text = String::new();
    std::fs::File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "before and after");
    assert!(matches!(notifier.store_fd("a:b", file.as_fd()), Err(NotifyError::Name(_))));
}

#[test]
fn the_barrier_ends_when_the_manager_closes_its_end() {
    let (socket, notifier) = manager();
    let waiting = std::thread::spawn(move || notifier.barrier(Duration::from_mins(1)));
    let (message, fds) = socket.receive();
    assert_eq!((message.as_str(), fds.len()), ("BARRIER=1", 1));
    assert!(!waiting.is_finished());
    drop(fds);
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_barrier_that_nobody_reads_is_no_proof() {
    let (socket, notifier) = manager();
    let timeout = Duration::from_millis(20);
    assert!(matches!(notifier.barrier(timeout), Err(NotifyError::BarrierTimeout(_))));
    assert_eq!(socket.receive().0, "BARRIER=1");
}

#[test]
fn an_abstract_address_is_understood() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("restart-notify-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let environment = StartEnvironment {
        notify_socket: Some(format!("@{name}").into()),
        ..StartEnvironment::default()
    };
    Notifier::from(&environment).status("here").unwrap();
    let mut bytes = [0; 64];
    let length = socket.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"STATUS=here");
}

#[test]
fn without_a_manager_messages_are_dropped_but_nothing_is_proven() {
    let notifier = Notifier::from(&StartEnvironment::default());
    assert!(!notifier.is_active());
    notifier.ready("here").unwrap();
    notifier.store_fd("x", io::stdin().as_fd()).unwrap();
    assert!(matches!(notifier.barrier(SEND_TIMEOUT), Err(NotifyError::NoManager)));
    let elsewhere =
        StartEnvironment { notify_socket: Some("vsock:2:1".into()), ..StartEnvironment::default() };
    assert!(!Notifier::from(&elsewhere).is_active());
}

#[test]
fn a_manager_that_is_gone_is_an_error_that_names_the_message() {
    let (socket, notifier) = manager();
    drop(socket);
    let error = notifier.ready("here").unwrap_err().to_string();
    assert!(error.starts_with("cannot send \"READY=1\" to the service manager"), "{error}");
}

#[test]
fn the_watchdog_interval_counts_only_for_the_process_it_is_meant_for() {
    let watchdog = Some(Duration::from_secs(3));
    let of = |watchdog_pid| {
        Notifier::from(&StartEnvironment { watchdog, watchdog_pid, ..StartEnvironment::default() })
            .watchdog_interval()
    };
    assert_eq!(of(None), watchdog);
    assert_eq!(of(Some(own_pid())), watchdog);
    assert_eq!(of(Some(1)), None);
}
