//! The workspace on disk: where it is, which files belong to it, and how cargo is called in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

/// The checkout that the tasks work on.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Takes the checkout that `cargo xtask` was called in, not the one this program was built in.
    pub(crate) fn locate() -> Result<Self> {
        let own =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&own).parent().context("the xtask folder has no parent")?.to_owned();
        ensure!(root.join("Cargo.toml").is_file(), "there is no Cargo.toml in {}", root.display());
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for what is built, which is also the place for files that only matter here.
    pub(crate) fn target(&self) -> PathBuf {
        // A relative CARGO_TARGET_DIR is relative to where cargo runs, which is the root.
        self.root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// A command that runs in the root of the workspace.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Set for this program by `cargo run`; passed on they would make cargo rebuild crates.
        for (name, _) in env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// All files of the project, as paths below the root in a stable order: those git tracks or
    /// would track, or without git everything but git's own folder and what was built.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = match self.files_of_git() {
            Some(files) => files,
            None => self.files_on_disk()?,
        };
        // Git also lists files that were deleted but not yet in a commit.
        files.retain(|file| self.root.join(file).is_file());
        files.sort();
        files.dedup();
        Ok(files)
    }

    fn files_of_git(&self) -> Option<Vec<PathBuf>> {
        let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let output = self.command("git").args(list).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let files: Vec<PathBuf> =
            text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect();
        (output.status.success() && !files.is_empty()).then_some(files)
    }

    fn files_on_disk(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            let unreadable = || format!("cannot read folder {}", folder.display());
            for entry in fs::read_dir(&folder).with_context(unreadable)? {
                let entry = entry.with_context(unreadable)?;
                let path = entry.path();
                if path == self.root.join("target") || path == self.root.join(".git") {
                    continue;
                }
                if entry.file_type().with_context(unreadable)?.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(&self.root)?.to_owned());
                }
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_files_are_those_on_disk_but_not_what_was_built() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["Cargo.toml", "one/src/lib.rs", "target/debug/one.rs", ".git/config"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut files = Workspace { root: folder.path().to_owned() }.files_on_disk().unwrap();
        files.sort();
        assert_eq!(files, [PathBuf::from("Cargo.toml"), PathBuf::from("one/src/lib.rs")]);
    }
}
