//! The control socket in its folder.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::control::{BindError, bind};

/// Runs `action` on a thread that file permissions apply to, also when the tests run as root.
fn as_somebody(action: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        if rustix::process::geteuid().is_root() {
            nix::unistd::setfsuid(65534.into());
        }
        action();
    });
    thread.join().unwrap();
}

#[test]
fn the_socket_has_the_mode_asked_for_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let _listener = bind(&path, 0o660).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    let names: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["control.sock"]);
}

#[test]
fn a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    drop(bind(&path, 0o600).unwrap());
    UnixStream::connect(&path).unwrap_err();
    let listener = bind(&path, 0o600).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
}

#[test]
fn the_kernel_knows_the_listener_by_the_path_that_clients_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    drop(bind(&path, 0o600).unwrap());
    let listener = bind(&path, 0o600).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
    assert!(restart::is_listening_unix_socket(&listener.into(), &path));
}

#[test]
fn a_folder_that_is_missing_or_not_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = bind(&missing.join("control.sock"), 0o600).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the folder {} for the control socket does not exist; create it or choose another with --run-dir",
            missing.display()
        )
    );
    fs::write(&missing, "").unwrap();
    let error = bind(&missing.join("control.sock"), 0o600).unwrap_err();
    assert!(matches!(error, BindError::FolderMissing { .. }), "{error}");
}

#[test]
fn a_folder_that_is_not_writable_is_named() {
    as_somebody(|| {
        let error = bind(Path::new("/proc/control.sock"), 0o600).unwrap_err();
        assert!(error.to_string().contains("/proc"), "{error}");
        let error = bind(Path::new("/etc/control.sock"), 0o600).unwrap_err();
        assert!(matches!(&error, BindError::FolderNotWritable { .. }), "{error}");
        assert!(
            error.to_string().starts_with("the folder /etc for the control socket is not writable")
        );
    });
}

#[test]
fn a_path_that_no_socket_can_have_is_refused_with_its_length() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("x".repeat(108));
    let error = bind(&long, 0o600).unwrap_err();
    let BindError::PathTooLong { length, .. } = &error else { panic!("{error}") };
    assert_eq!(*length, long.as_os_str().len());
    assert!(error.to_string().contains("107 are possible"), "{error}");

    let room = 107 - folder.path().as_os_str().len() - 1;
    let longest = folder.path().join("x".repeat(room));
    let _listener = bind(&longest, 0o600).unwrap();
    UnixStream::connect(&longest).unwrap();
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "precious").unwrap();
    let link = folder.path().join("link");
    symlink(&file, &link).unwrap();
    for path in [file.as_path(), link.as_path(), folder.path()] {
        let error = bind(path, 0o600).unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    assert!(matches!(bind(Path::new("/"), 0o600), Err(BindError::NoFileName { .. })));
}
