//! Hands descriptors from one process to the next by the `LISTEN_FDS` convention, whatever the method of the restart.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;

use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, getsockname};

use crate::StartEnvironment;
use crate::controller::inherited;
use crate::identity::own_pid;

/// More than any agent hands over; a larger count is a forged or broken variable.
const MAX_DESCRIPTORS: u32 = 4096;
/// systemd's limit for the name of a descriptor, in bytes.
const MAX_NAME: usize = 255;

/// The descriptors that the predecessor left for this process.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Names, each once, with their descriptors. All are close-on-exec. They were found open, nothing more: whoever
    /// takes one checks that it is what its name says (see [`is_listening_unix_socket`]).
    pub fds: Vec<(String, OwnedFd)>,
    /// What was announced and not taken, each with its number, name and reason. For the log.
    pub rejected: Vec<String>,
}

/// Takes over the descriptors that `environment` announces for this very process.
///
/// Works once per process, and belongs at the start of `main`, before other code opens or inherits anything. Of
/// several descriptors with one name the first is taken (systemd lists the newest first) and the others are closed.
#[must_use]
pub fn adopt(environment: &StartEnvironment) -> Adopted {
    let mut adopted = Adopted::default();
    let Some(count) = environment.listen_fds.filter(|count| *count > 0) else {
        return adopted;
    };
    if environment.listen_pid != Some(own_pid()) {
        let meant_for =
            environment.listen_pid.map_or_else(|| "nobody".to_owned(), |pid| pid.to_string());
        adopted
            .rejected
            .push(format!("{count} descriptors: LISTEN_PID says {meant_for}, not this process"));
        return adopted;
    }
    if count > MAX_DESCRIPTORS {
        adopted
            .rejected
            .push(format!("descriptors from {MAX_DESCRIPTORS} on: LISTEN_FDS={count} is too many"));
    }
    match inherited::take(count.min(MAX_DESCRIPTORS)) {
        Some(taken) => name_them(taken, &environment.listen_fdnames, &mut adopted),
        None => adopted
            .rejected
            .push("all descriptors: this process has adopted them before".to_owned()),
    }
    adopted
}

fn name_them(
    taken: Vec<(RawFd, Result<OwnedFd, String>)>,
    names: &[String],
    adopted: &mut Adopted,
) {
    let mut seen = HashSet::new();
    for (place, (number, fd)) in taken.into_iter().enumerate() {
        let name = names.get(place).map_or("", String::as_str);
        let verdict = match fd {
            Err(reason) => Err(reason),
            Ok(_) if !is_valid_name(name) => Err("it has no valid name".to_owned()),
            Ok(_) if !seen.insert(name) => Err("another one has the same name".to_owned()),
            Ok(fd) => rustix::fs::fstat(&fd).map(|_| fd).map_err(|error| error.to_string()),
        };
        match verdict {
            Ok(fd) => adopted.fds.push((name.to_owned(), fd)),
            Err(reason) => adopted.rejected.push(format!("descriptor {number} {name:?}: {reason}")),
        }
    }
}

/// Whether `name` can be the name of a handed-over descriptor: 1 to 255 visible ASCII characters without a colon.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b':')
}

/// Whether `fd` is a Unix stream socket that listens at `path`.
///
/// Says nothing about whether the file at `path` still leads to it: somebody may have removed or replaced the file.
#[must_use]
pub fn is_listening_unix_socket(fd: &OwnedFd, path: &Path) -> bool {
    let listens = socket_type(fd) == Ok(SocketType::STREAM) && socket_acceptconn(fd) == Ok(true);
    let address = getsockname(fd).ok().filter(|any| any.address_family() == AddressFamily::UNIX);
    let address = address.and_then(|any| SocketAddrUnix::try_from(any).ok());
    listens
        && address.is_some_and(|address| {
            address.path_bytes() == Some(path.as_os_str().as_encoded_bytes())
        })
}

/// Lays `fds` out for the program that this process execs next and returns the `LISTEN_*` variables it needs; none when
/// there is nothing to hand over.
///
/// Every other descriptor above the standard three becomes close-on-exec. The numbers from 3 on are overwritten, so
/// nothing in this process may use its descriptors afterwards: the caller execs or ends.
///
/// # Errors
/// `InvalidInput` for a name that is not valid (nothing was touched then), else what the kernel answered.
pub(crate) fn place_for_exec(fds: Vec<(String, OwnedFd)>) -> io::Result<Vec<(OsString, OsString)>> {
    let (names, fds): (Vec<String>, Vec<OwnedFd>) = fds.into_iter().unzip();
    check_names(names.iter().map(String::as_str))?;
    let count = fds.len();
    inherited::lay_out(fds)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![
        ("LISTEN_PID".into(), own_pid().to_string().into()),
        ("LISTEN_FDS".into(), count.to_string().into()),
        ("LISTEN_FDNAMES".into(), names.join(":").into()),
    ])
}

/// Refuses names that the other side would reject, while there is still time to say so.
pub(crate) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !is_valid_name(name) || !seen.insert(name) {
            let message =
                format!("cannot hand over a descriptor named {name:?}: invalid or used twice");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn fd() -> Result<OwnedFd, String> {
        Ok(std::fs::File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn names_are_taken_in_order_and_each_once() {
        let names = ["a", "b", "a", "", "no\tname"].map(str::to_owned);
        let taken = vec![
            (3, fd()),
            (4, Err("not open".into())),
            (5, fd()),
            (6, fd()),
            (7, fd()),
            (8, fd()),
        ];
        let mut adopted = Adopted::default();
        name_them(taken, &names, &mut adopted);
        assert_eq!(adopted.fds.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(
            adopted.rejected,
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
    fn descriptors_meant_for_another_process_are_left_alone() {
        let environment = StartEnvironment {
            listen_fds: Some(1),
            listen_pid: Some(1),
            ..StartEnvironment::default()
        };
        let adopted = adopt(&environment);
        assert!(adopted.fds.is_empty());
        assert_eq!(adopted.rejected, ["1 descriptors: LISTEN_PID says 1, not this process"]);
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
}
