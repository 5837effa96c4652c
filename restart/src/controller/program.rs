//! Which file a successor is started from: the path by which this process was started, so that a switched link is followed.

use std::ffi::{CStr, OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::LaunchPlan;

/// The program that runs now, whatever has become of its file.
pub(super) const RUNNING_PROGRAM: &CStr = c"/proc/self/exe";

/// Tells a process that was started through [`RUNNING_PROGRAM`], for want of a better program, by which path its
/// predecessor was started.
pub(super) const PROGRAM_VARIABLE: &str = "RESTART_PROGRAM";

impl LaunchPlan {
    /// The file that a successor would be started from now: the one that [`called_as`](Self::called_as) leads to, be it
    /// fit to run or not, or [`executable`](Self::executable) if it leads nowhere.
    ///
    /// Looks at the file system, so the answer changes when a link is switched.
    #[must_use]
    pub fn program(&self) -> &Path {
        match &self.called_as {
            Some(path) if !leads_nowhere(path) => Path::new(path),
            Some(_) | None => &self.executable,
        }
    }

    /// What somebody should know who expects that the path used at the start is followed.
    pub(super) fn detour(&self) -> Option<String> {
        let path = self.called_as.as_deref().filter(|path| leads_nowhere(path))?;
        Some(format!(
            "{}, by which the agent was started, leads nowhere now; {} would be started",
            Path::new(path).display(),
            self.executable.display()
        ))
    }
}

fn leads_nowhere(path: &OsStr) -> bool {
    fs::metadata(path).is_err_and(|error| {
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
            || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
    })
}

/// The path by which this process was started, made absolute; `None` if it is `executable` itself, or does not lead to
/// the running program: then it was the path of a script, or something under `/proc`.
///
/// The kernel keeps it apart from `argv[0]`, which anybody can choose. `told` is [`PROGRAM_VARIABLE`].
pub(super) fn called_as(executable: &Path, cwd: &Path, told: Option<OsString>) -> Option<OsString> {
    let by_kernel = rustix::param::linux_execfn();
    let path = if by_kernel == RUNNING_PROGRAM {
        told.map(|path| cwd.join(path))
    } else {
        let path = cwd.join(OsStr::from_bytes(by_kernel.to_bytes()));
        // The entries of /proc and /dev/fd mean another file in another process.
        let lasting = !path.starts_with("/proc") && !path.starts_with("/dev/fd");
        (lasting && is_the_running_program(&path)).then_some(path)
    };
    path.filter(|path| path != executable).map(Into::into)
}

fn is_the_running_program(path: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let running = file(Path::new(OsStr::from_bytes(RUNNING_PROGRAM.to_bytes())));
    matches!((file(path), running), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn plan(executable: PathBuf, called_as: &Path) -> LaunchPlan {
        let called_as = Some(called_as.as_os_str().to_owned());
        LaunchPlan {
            executable,
            called_as,
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
        }
    }

    #[test]
    fn a_switched_link_is_followed_and_one_that_leads_nowhere_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["v1", "v2"] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("agent"), name).unwrap();
        }
        symlink("v1", path("current")).unwrap();
        let plan = plan(path("v1/agent"), &path("current/agent"));
        assert_eq!(fs::read(plan.program()).unwrap(), b"v1");

        symlink("v2", path("next")).unwrap();
        fs::rename(path("next"), path("current")).unwrap();
        assert_eq!(fs::read(plan.program()).unwrap(), b"v2");
        assert_eq!(plan.detour(), None);

        for target in ["v3", "current", "v1/agent"] {
            symlink(target, path("next")).unwrap();
            fs::rename(path("next"), path("current")).unwrap();
            assert_eq!(plan.program(), path("v1/agent"), "{target}");
            assert!(plan.detour().unwrap().contains("current/agent, by which"));
        }
    }

    #[test]
    fn what_cannot_be_run_is_followed_too_so_that_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        assert_eq!(plan(PathBuf::from("/bin/true"), &link).program(), link);
    }

    #[test]
    fn a_path_is_told_only_to_a_process_that_was_started_without_one() {
        let executable = std::env::current_exe().unwrap();
        let cwd = std::env::current_dir().unwrap();
        let own = called_as(&executable, &cwd, Some("/forged".into()));
        assert!(own.is_none_or(|path| is_the_running_program(Path::new(&path))));
    }
}
