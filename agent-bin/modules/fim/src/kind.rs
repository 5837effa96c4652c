//! What the composition of the binary gets: the kind of this module.

use std::sync::Arc;

use module_api::{Module, ModuleKind, ModuleName, SectionError};
use serde_json::Value;

use crate::config::Config;
use crate::module::Fim;

/// The kind of the module `fim`, which watches files and publishes one event per change.
///
/// Its section of the configuration, all keys optional:
///
/// | key | meaning | default | allowed |
/// |---|---|---|---|
/// | `directories` | what is watched, see below | nothing | absolute paths |
/// | `interval` | how often everything is compared with the baseline | `12h` | `10s` to `31d` |
/// | `settle` | how long changes are gathered, from the first one on, before anything is looked at | `100ms` | `10ms` to `10s` |
/// | `max_files_per_second` | at most so many files are looked at by a scan | `0`: no limit | whole numbers |
/// | `sha1`, `md5` | digests that are made besides SHA-256 | `false` | `true`, `false` |
/// | `watcher` | what tells of changes at once | `auto`: fanotify where it can be | `auto`, `fanotify`, `inotify` |
/// | `unlimited_queue` | whether fanotify may queue without limit while the agent does not read | `true` | `true`, `false` |
/// | `network_filesystems` | whether scans enter file systems of other machines | `false` | `true`, `false` |
/// | `diff_size_limit` | up to this size the text of a file is kept where a directory has `diff` | `64KB` | `1KB` to `1MB` |
///
/// Each of `directories`; for a path the one with the longest `path` holds:
///
/// | key | meaning | default |
/// |---|---|---|
/// | `path` | the folder, or a single file | must be given |
/// | `recursion` | how many levels of folders are entered; 0: only what is directly in it | all |
/// | `exclude` | globs: with a slash for the whole path, without one for the name; what is in an excluded folder is excluded too | none |
/// | `exclude_regex` | regular expressions, found anywhere in the path | none |
/// | `max_hash_size` | larger files have no digest | `1GB` |
/// | `attributes` | what makes a change: `size`, `mode`, `owner`, `group`, `mtime`, `inode`, `device`, `target`, `hash` | all |
/// | `interval` | instead of the module's | the module's |
/// | `realtime` | whether changes are told at once, not only by scans | `true` |
/// | `diff` | whether events say what was changed in small text files that everybody may read | `false` |
#[derive(Debug)]
pub struct FimKind {
    name: ModuleName,
}

impl FimKind {
    /// The kind, for the list of modules of the binary.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "the name is fixed, and every test of the crate checks that it is valid"
    )]
    pub fn new() -> Self {
        Self { name: ModuleName::new("fim").expect("a valid name") }
    }
}

impl Default for FimKind {
    fn default() -> Self {
        Self::new()
    }
}

impl ModuleKind for FimKind {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    fn build(&self, section: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        let config = Config::parse(section)?;
        Ok(Arc::new(Fim::new(self.name.clone(), config)))
    }
}
