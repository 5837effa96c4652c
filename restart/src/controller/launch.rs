//! How this process was started, recorded so that its successor can be started the same way.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::program::{PROGRAM_VARIABLE, called_as};

/// Variables that are meant for one process; a successor gets its own.
const OF_ONE_PROCESS: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", PROGRAM_VARIABLE];

/// Everything needed to start the agent again as it was started.
///
/// May hold secrets in its variables; its `Debug` form therefore leaves their values out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// The program's file, resolved when this process started.
    #[serde(with = "path_bytes")]
    pub executable: PathBuf,
    /// The absolute path by which this process was started, if that is another one, such as a link. Where it leads to at
    /// a restart is what the successor runs; see [`program`](Self::program).
    #[serde(default)]
    pub called_as: Option<OsString>,
    /// All arguments, the name of the program (`argv[0]`) first.
    pub args: Vec<OsString>,
    /// The variables in their order, without those that are meant for one process, as `LISTEN_*` are.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory, so that relative paths among the arguments mean the same.
    #[serde(with = "path_bytes")]
    pub cwd: PathBuf,
}

/// How this process was started could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The program's own file is unknown.
    #[error("cannot tell the own executable: {0}; is /proc mounted?")]
    Executable(io::Error),
    /// The working directory is unknown, most often because it was deleted.
    #[error("cannot tell the working directory: {0}; start the agent from one that exists")]
    WorkingDirectory(io::Error),
}

impl LaunchPlan {
    /// Records how this process was started. Call it first thing in `main`: before the working directory or the
    /// environment is changed, and before the program's file is replaced.
    ///
    /// # Errors
    /// See [`CaptureError`].
    pub fn capture() -> Result<Self, CaptureError> {
        let executable = std::env::current_exe().map_err(CaptureError::Executable)?;
        let executable = still_there(executable);
        let cwd = std::env::current_dir().map_err(CaptureError::WorkingDirectory)?;
        let (own, env): (Vec<_>, Vec<_>) = std::env::vars_os()
            .partition(|(name, _)| OF_ONE_PROCESS.iter().any(|variable| name == variable));
        let told = own.into_iter().find(|(name, _)| name == PROGRAM_VARIABLE);
        let called_as = called_as(&executable, &cwd, told.map(|(_, path)| path));
        Ok(Self { executable, called_as, args: std::env::args_os().collect(), env, cwd })
    }
}

/// The kernel marks the path of a program whose file was replaced while it was being started.
fn still_there(executable: PathBuf) -> PathBuf {
    match executable.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) if !executable.exists() => PathBuf::from(OsString::from_vec(path.to_vec())),
        Some(_) | None => executable,
    }
}

impl std::fmt::Debug for LaunchPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("LaunchPlan")
            .field("executable", &self.executable)
            .field("called_as", &self.called_as)
            .field("args", &self.args)
            .field("env", &names)
            .field("cwd", &self.cwd)
            .finish()
    }
}

/// Why a program cannot be started as the successor, or `None` when nothing speaks against it.
///
/// Looks at the file only: that it is a file, may be executed, and is a program for the same machine as the running one.
pub(crate) fn why_not_executable(path: &Path) -> Option<String> {
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(error.to_string()),
    };
    if !metadata.is_file() {
        return Some("it is not a file".to_owned());
    }
    if let Err(error) = rustix::fs::access(path, rustix::fs::Access::EXEC_OK) {
        return Some(format!("it may not be executed: {error}"));
    }
    let (new, own) = match (machine_of(path), machine_of(Path::new("/proc/self/exe"))) {
        (Ok(new), Ok(own)) => (new, own),
        // A program that may be executed but not read is unusual, not wrong.
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            return None;
        }
        (Err(error), _) | (_, Err(error)) => return Some(error.to_string()),
    };
    match new {
        Header::Script => None,
        Header::Unknown => Some("it is neither a program nor a script".to_owned()),
        Header::Elf(machine) => (own != Header::Elf(machine))
            .then(|| "it is a program for another kind of machine".to_owned()),
    }
}

#[derive(PartialEq, Eq)]
enum Header {
    Script,
    /// Word size, byte order, and machine.
    Elf([u8; 4]),
    Unknown,
}

fn machine_of(path: &Path) -> io::Result<Header> {
    use std::io::Read;
    let mut start = Vec::with_capacity(20);
    std::fs::File::open(path)?.take(20).read_to_end(&mut start)?;
    Ok(match start.as_slice() {
        [0x7f, b'E', b'L', b'F', class, order, .., machine_1, machine_2] if start.len() == 20 => {
            Header::Elf([*class, *order, *machine_1, *machine_2])
        }
        [b'#', b'!', ..] => Header::Script,
        _ => Header::Unknown,
    })
}

/// Paths as bytes: a path need not be UTF-8, and serde's own form of paths refuses those.
pub(crate) mod path_bytes {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_os_str().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        OsString::deserialize(from).map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_plan_with_bytes_that_are_not_text_survives_the_way_to_the_helper() {
        let odd = OsString::from_vec(vec![b'a', 0xff, b'=']);
        let plan = LaunchPlan {
            executable: PathBuf::from(odd.clone()),
            called_as: Some(odd.clone()),
            args: vec![odd.clone(), OsString::new()],
            env: vec![("B".into(), odd.clone()), ("A".into(), "1".into())],
            cwd: PathBuf::from(odd),
        };
        let bytes = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<LaunchPlan>(&bytes).unwrap(), plan);
        assert!(!format!("{plan:?}").contains("\"1\""), "values of variables are not shown");
    }

    #[test]
    fn the_running_program_can_be_started_again() {
        let plan = LaunchPlan::capture().unwrap();
        assert_eq!(why_not_executable(&plan.executable), None);
        assert!(plan.env.iter().all(|(name, _)| !OF_ONE_PROCESS.iter().any(|own| name == own)));
    }

    #[test]
    fn what_cannot_be_started_is_said_before_anything_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        assert!(why_not_executable(&path).unwrap().contains("No such file"));
        assert_eq!(why_not_executable(folder.path()).unwrap(), "it is not a file");

        let own = std::fs::read("/proc/self/exe").unwrap();
        std::fs::write(&path, &own[..64]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(why_not_executable(&path).unwrap().contains("may not be executed"));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(why_not_executable(&path), None);
        let mut other = own[..64].to_vec();
        other[18] ^= 0xff;
        std::fs::write(&path, &other).unwrap();
        assert!(why_not_executable(&path).unwrap().contains("another kind of machine"));
        std::fs::write(&path, b"").unwrap();
        assert!(why_not_executable(&path).unwrap().contains("neither"));
    }
}
