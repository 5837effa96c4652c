//! Hands descriptors from one process to the next by the `LISTEN_FDS` convention, whatever the method of the restart.

mod store;

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

pub use store::{DescriptorStore, KeepError};

/// More than any agent hands over; a larger count is a forged or broken variable.
const MAX_DESCRIPTORS: u32 = 4096;
/// systemd's limit for the name of a descriptor, in bytes.
const MAX_NAME: usize = 255;

/// The descriptors that the predecessor left for this process.
#[derive(Debug, Default)]
pub struct Adopted {
    /// Names, each once, with their descriptors. All are close-on-exec, and the caller has recognised them.
    pub fds: Vec<(String, OwnedFd)>,
    /// What was announced and not taken; it is closed, unless it belongs to somebody else.
    pub rejected: Vec<Rejected>,
}

/// A descriptor that was announced and not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The name under which whoever started this process may keep it; `None` if it is none of ours or has no valid name.
    pub name: Option<String>,
    /// Which one, and why it was not taken. For the log.
    pub reason: String,
}

impl Rejected {
    fn nameless(reason: String) -> Self {
        Self { name: None, reason }
    }
}

/// Takes over the descriptors that `environment` announces for this very process.
///
/// `recognise` says of each whether it is wanted and is what its name says, or why not. It sees descriptors that were found
/// open, nothing more: a name proves nothing (see [`is_listening_unix_socket`]). Of several that it recognises under one
/// name the first is taken, because systemd lists the newest first; all others are closed.
///
/// Works once per process, and belongs at the start of `main`, before other code opens or inherits anything. All other
/// descriptors that this process was started with stay open and become close-on-exec: they reach no other process.
#[must_use]
pub fn adopt(
    environment: &StartEnvironment,
    recognise: impl FnMut(&str, &OwnedFd) -> Result<(), String>,
) -> Adopted {
    let adopted = adopt_announced(environment, recognise);
    if let Err(error) = inherited::keep_the_rest_to_this_process() {
        tracing::warn!(%error, "descriptors from before the start may leak into child processes");
    }
    adopted
}

fn adopt_announced(
    environment: &StartEnvironment,
    mut recognise: impl FnMut(&str, &OwnedFd) -> Result<(), String>,
) -> Adopted {
    let mut adopted = Adopted::default();
    let Some(count) = environment.listen_fds.filter(|count| *count > 0) else {
        return adopted;
    };
    if environment.listen_pid != Some(own_pid()) {
        let meant_for =
            environment.listen_pid.map_or_else(|| "nobody".to_owned(), |pid| pid.to_string());
        adopted.rejected.push(Rejected::nameless(format!(
            "{count} descriptors: LISTEN_PID says {meant_for}, not this process"
        )));
        return adopted;
    }
    if count > MAX_DESCRIPTORS {
        adopted.rejected.push(Rejected::nameless(format!(
            "descriptors from {MAX_DESCRIPTORS} on: LISTEN_FDS={count} is too many"
        )));
    }
    match inherited::take(count.min(MAX_DESCRIPTORS)) {
        Some(taken) => {
            name_them(taken, &environment.listen_fdnames, &mut recognise, &mut adopted);
        }
        None => adopted.rejected.push(Rejected::nameless(
            "all descriptors: this process has adopted them before".to_owned(),
        )),
    }
    adopted
}

fn name_them(
    taken: Vec<(RawFd, Result<OwnedFd, String>)>,
    names: &[String],
    recognise: &mut dyn FnMut(&str, &OwnedFd) -> Result<(), String>,
    adopted: &mut Adopted,
) {
    let mut seen = HashSet::new();
    for (place, (number, fd)) in taken.into_iter().enumerate() {
        let name = names.get(place).map_or("", String::as_str);
        let verdict = fd.and_then(|fd| {
            if !is_valid_name(name) {
                return Err("it has no valid name".to_owned());
            }
            rustix::fs::fstat(&fd).map_err(|error| error.to_string())?;
            if seen.contains(name) {
                return Err("another one has the same name".to_owned());
            }
            recognise(name, &fd).map(|()| fd)
        });
        match verdict {
            Ok(fd) => {
                seen.insert(name);
                adopted.fds.push((name.to_owned(), fd));
            }
            Err(reason) => adopted.rejected.push(Rejected {
                name: is_valid_name(name).then(|| name.to_owned()),
                reason: format!("descriptor {number} {name:?}: {reason}"),
            }),
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
mod tests;
