//! The agent's configuration: one YAML file, read and checked as a whole before anything uses it.
//!
//! ```text
//! text ──yaml──> tree with lines ──per section──> JSON value ──serde──> typed section
//!                      └─────────── path of a wrong value ──> its line <───┘
//! ```
//!
//! Every key has a default, so an empty file is a configuration. Every problem of a file is reported at once, with
//! its file, line and key, except that a text that is no YAML has one. The sections of modules are checked by their
//! own kinds; this crate knows none of them.

mod check;
mod checked;
mod digest;
mod file;
mod problem;
mod sections;
mod suggest;
mod tree;
mod values;
mod wording;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName};
use serde_json::Value;

pub use problem::{ConfigError, Problem};
pub use sections::{
    AgentConfig, CommandsConfig, ControlConfig, EventFileConfig, EventsConfig, LogLevel,
    RestartConfig, RestartMethod, SupervisionConfig, TimeToLiveConfig,
};

use check::Check;
pub(crate) use checked::{KeepError, keep};

/// Whether `name` is a section of the agent itself.
pub(crate) fn is_section_of_the_agent(name: &str) -> bool {
    sections::NAMES.contains(&name)
}

/// The longest configuration file, in bytes. Real ones have a few kilobytes; the limit bounds the memory for a file
/// that somebody mixed up.
pub const MAX_FILE_SIZE: u64 = 1_000_000;

/// The agent's own settings, checked. The default is what an empty file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Section `agent`: the process itself.
    pub agent: AgentConfig,
    /// Section `restart`: how, and within which time budgets, the agent restarts itself and its modules.
    pub restart: RestartConfig,
    /// Section `supervision`: when a failed module is started again.
    pub supervision: SupervisionConfig,
    /// Section `commands`: how commands are treated, and how long they are kept.
    pub commands: CommandsConfig,
    /// Section `control`: the control socket.
    pub control: ControlConfig,
    /// Section `events`: the spool of events and the file they are written to.
    pub events: EventsConfig,
}

/// A configuration with everything a later reload needs to tell what has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedConfig {
    /// The agent's own settings.
    pub config: Config,
    /// One entry for every known kind of module, in the order of the kinds, also for those without a section.
    pub modules: Vec<ModuleSection>,
    /// SHA-256 of the whole text, in hexadecimal digits. Also changes when only a comment does.
    pub digest: String,
    /// The file, as it was named.
    pub path: PathBuf,
    /// Why this is not what the file says now, but what it said when a restart was checked; `None` if it is. Then the file
    /// has broken between the checks of a restart and the start of the new process, see [`Config::load_checked`].
    pub instead_of: Option<String>,
}

/// What the configuration says about one module. [`ModuleKind::build`] has accepted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleSection {
    /// The module, which is also the key of its section.
    pub name: ModuleName,
    /// Whether the module shall run: yes, unless its section says `enabled: false`.
    pub enabled: bool,
    /// The section, an object, without the key `enabled`. Empty when the file has no such section.
    pub section: Value,
    /// SHA-256 of `enabled` and `section`, in hexadecimal digits: the same as long as both are, whatever the order
    /// of keys, comments and layout. `1m` and `60s` count as different.
    pub digest: String,
}

impl Config {
    /// Reads and checks the file at `path`, with a section for each of `kinds`.
    ///
    /// # Errors
    /// Every problem of the file; a file that is missing, unreadable, not a regular file, longer than
    /// [`MAX_FILE_SIZE`] or not UTF-8 is one.
    pub fn load(path: &Path, kinds: &[Arc<dyn ModuleKind>]) -> Result<LoadedConfig, ConfigError> {
        let text = file::read(path)?;
        Self::parse(&text, path, kinds)
    }

    /// What the file at `path` said when the checks of the restart that is under way were made, for a new process that
    /// cannot load it now for `reason`: a file that breaks in between must not take the agent away. `None` when no restart
    /// is under way in the state folder, or when its checks have left nothing that can be used.
    #[must_use]
    pub fn load_checked(
        state_dir: &Path,
        path: &Path,
        kinds: &[Arc<dyn ModuleKind>],
        reason: &ConfigError,
    ) -> Option<LoadedConfig> {
        let text = checked::text(state_dir)?;
        let loaded = Self::parse(&text, path, kinds).ok()?;
        Some(LoadedConfig { instead_of: Some(reason.to_string()), ..loaded })
    }

    /// Like [`load`](Self::load), but a file that does not exist counts as empty: for the place where the file is
    /// by convention, not for one that somebody named.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), except for a missing file.
    pub fn load_if_present(
        path: &Path,
        kinds: &[Arc<dyn ModuleKind>],
    ) -> Result<LoadedConfig, ConfigError> {
        let text = file::read_if_present(path)?.unwrap_or_default();
        Self::parse(&text, path, kinds)
    }

    /// Checks `text`; `file` is only named in problems and in [`LoadedConfig::path`]. Touches no file.
    ///
    /// # Errors
    /// Every problem of the text. A text longer than [`MAX_FILE_SIZE`] is one.
    pub fn parse(
        text: &str,
        file: &Path,
        kinds: &[Arc<dyn ModuleKind>],
    ) -> Result<LoadedConfig, ConfigError> {
        file::check_size(file, text.len())?;
        let root = tree::Node::parse(text).map_err(|error| error.into_problem(file))?;
        let mut check = Check::new(file, &root);
        check.top_level(kinds);
        let config = check.config();
        let modules = kinds.iter().map(|kind| check.module(kind.as_ref())).collect();
        check.finish()?;
        let digest = digest::hex_sha256(text.as_bytes());
        let path = file.to_owned();
        Ok(LoadedConfig { config, modules, digest, path, instead_of: None })
    }

    /// A sample file with every key of the agent's own sections, its default, its range and its meaning.
    #[must_use]
    pub fn default_yaml() -> String {
        include_str!("config/default.yml").to_owned()
    }
}
