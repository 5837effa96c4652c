//! Puts the control socket in its place.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The longest path of a Unix socket in bytes: 108 in the kernel, one of them the zero at the end.
const MAX_PATH: usize = 107;

/// Connections that may wait while the process is replaced; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why the control socket could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The path does not fit into a socket address.
    #[error(
        "the path of the control socket {path} is too long: it needs {length} bytes, {MAX_PATH} are possible; choose a shorter one with --run-dir"
    )]
    PathTooLong {
        /// The path asked for.
        path: PathBuf,
        /// The bytes it needs.
        length: usize,
    },
    /// The path does not end in a file name.
    #[error("{path} is not the path of a file")]
    NoFileName {
        /// The path asked for.
        path: PathBuf,
    },
    /// The folder for the socket is not there.
    #[error(
        "the folder {folder} for the control socket does not exist; create it or choose another with --run-dir"
    )]
    FolderMissing {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder for the socket may not be written.
    #[error(
        "the folder {folder} for the control socket is not writable: {source}; choose another with --run-dir"
    )]
    FolderNotWritable {
        /// The folder.
        folder: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something that is not a socket is at the path; it is left alone.
    #[error("{path} exists and is not a socket; remove it or choose another folder with --run-dir")]
    NotASocket {
        /// The path asked for.
        path: PathBuf,
    },
    /// Another process listens there; it goes on.
    #[error(
        "the control socket {path} is in use by process {pid}; stop that, or choose another folder with --run-dir"
    )]
    InUse {
        /// The path asked for.
        path: PathBuf,
        /// Who listens.
        pid: i32,
    },
    /// Any other failure.
    #[error("could not {step} the control socket {path}: {source}")]
    Io {
        /// What was being done: create, address, bind, set the mode of, listen on.
        step: &'static str,
        /// The path asked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Listens on `path` with the permission bits `mode`, and replaces a socket that is there.
///
/// The socket gets its mode before anybody can connect. It is bound under its own name, not renamed into place: the kernel
/// remembers the name, and the next process recognises by it the listener that it is handed. A socket on which another
/// living process listens is left alone. One whose listener has ended is replaced, also if somebody keeps its
/// descriptor open, as systemd does.
///
/// # Errors
/// [`BindError`]; what is at `path` and is not a socket is still there.
pub fn bind(path: &Path, mode: u32) -> Result<UnixListener, BindError> {
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(BindError::NoFileName { path: path.to_owned() }),
    };
    if path.file_name().is_none() {
        return Err(BindError::NoFileName { path: path.to_owned() });
    }
    let length = path.as_os_str().as_bytes().len();
    if length > MAX_PATH {
        return Err(BindError::PathTooLong { path: path.to_owned(), length });
    }
    check_place(path, folder)?;
    if let Some(pid) = listener_of(path) {
        return Err(BindError::InUse { path: path.to_owned(), pid });
    }
    listen_at(path, folder, mode).map(UnixListener::from)
}

fn check_place(path: &Path, folder: &Path) -> Result<(), BindError> {
    if let Err(source) = fs::metadata(folder) {
        return Err(refused(path, folder, source));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(BindError::NotASocket { path: path.to_owned() })
        }
        Ok(_) => Ok(()),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(refused(path, folder, source)),
    }
}

/// The other living process that listens at `path`; `None` also when that cannot be found out.
fn listener_of(path: &Path) -> Option<i32> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).ok()?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path).ok()?).ok()?;
    let pid = rustix::net::sockopt::socket_peercred(&socket).ok()?.pid;
    let lives = rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH);
    (lives && pid != rustix::process::getpid()).then(|| pid.as_raw_nonzero().get())
}

/// Connecting is possible from `listen` on, so the mode is set before it.
fn listen_at(path: &Path, folder: &Path, mode: u32) -> Result<OwnedFd, BindError> {
    remove_if_there(path).map_err(|source| refused(path, folder, source))?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|source| io_error("create", path)(source.into()))?;
    let address =
        SocketAddrUnix::new(path).map_err(|source| io_error("address", path)(source.into()))?;
    rustix::net::bind(&socket, &address).map_err(|source| refused(path, folder, source.into()))?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(io_error("set the mode of", path))?;
    rustix::net::listen(&socket, BACKLOG)
        .map_err(|source| io_error("listen on", path)(source.into()))?;
    Ok(socket)
}

fn refused(path: &Path, folder: &Path, source: io::Error) -> BindError {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let kind = source.kind();
    if matches!(kind, PermissionDenied | ReadOnlyFilesystem) {
        BindError::FolderNotWritable { folder: folder.to_owned(), source }
    } else if matches!(kind, NotFound | NotADirectory) {
        BindError::FolderMissing { folder: folder.to_owned() }
    } else {
        io_error("bind", path)(source)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn io_error(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BindError {
    move |source| BindError::Io { step, path: path.to_owned(), source }
}
