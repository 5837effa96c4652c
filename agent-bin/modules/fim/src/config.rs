//! The module's section of the configuration and what is allowed in it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use module_api::units::{self, format_duration};
use module_api::{SectionError, parse_section};
use serde::Deserialize;
use serde_json::Value;

/// Scans more often than every ten seconds would never rest; rarer than once a month nobody would call it monitoring.
const INTERVAL: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(31 * 86_400);
/// Shorter gathers nothing; longer than ten seconds delays what a person waits for.
const SETTLE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
/// Bytes of text that are kept for each file of a folder with `diff`.
const DIFF_SIZE_LIMIT: RangeInclusive<u64> = 1_000..=1_000_000;

/// What to watch, and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// The folders (or single files) that are watched; the most specific one holds for a path.
    pub(crate) directories: Vec<Directory>,
    /// How often everything is compared with the baseline, unless a directory says otherwise.
    #[serde(with = "units::duration")]
    pub(crate) interval: Duration,
    /// How long changes are gathered, from the first one on, before anything is looked at.
    #[serde(with = "units::duration")]
    pub(crate) settle: Duration,
    /// At most so many files a second are looked at by a scan; 0: as many as it can.
    pub(crate) max_files_per_second: u32,
    /// Whether SHA-1 is made besides SHA-256.
    pub(crate) sha1: bool,
    /// And MD5.
    pub(crate) md5: bool,
    /// What tells of changes at once.
    pub(crate) watcher: WatcherChoice,
    /// Whether the kernel may queue without limit while the agent does not read; only for fanotify.
    pub(crate) unlimited_queue: bool,
    /// Whether what is on file systems of the network is watched and scanned.
    pub(crate) network_filesystems: bool,
    /// Up to this size the text of a file is kept where a directory has `diff`.
    #[serde(with = "units::size")]
    pub(crate) diff_size_limit: u64,
}

/// What tells of changes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WatcherChoice {
    /// fanotify where kernel, file system and rights allow it, else inotify.
    Auto,
    /// fanotify or nothing.
    Fanotify,
    /// inotify.
    Inotify,
}

/// One directory of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Directory {
    /// Absolute.
    pub(crate) path: PathBuf,
    /// How many levels of folders below it are entered; none: all.
    pub(crate) recursion: Option<u32>,
    /// Globs: with a slash against the whole path, without one against the name.
    pub(crate) exclude: Vec<String>,
    /// Regular expressions, found anywhere in the whole path.
    pub(crate) exclude_regex: Vec<String>,
    /// Larger files have no digest.
    #[serde(with = "units::size")]
    pub(crate) max_hash_size: u64,
    /// Which attributes make a change; none given: all.
    pub(crate) attributes: Option<Vec<Attribute>>,
    /// How often it is scanned, instead of the interval of the module.
    #[serde(deserialize_with = "optional_duration")]
    pub(crate) interval: Option<Duration>,
    /// Whether changes are told at once, and not only by scans.
    pub(crate) realtime: bool,
    /// Whether the text of small files is kept, so that a change says what was changed in it.
    pub(crate) diff: bool,
}

/// An attribute whose change is an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Attribute {
    Size,
    Mode,
    Owner,
    Group,
    Mtime,
    Inode,
    Device,
    Target,
    Hash,
}

impl Attribute {
    /// All of them.
    pub(crate) const ALL: [Self; 9] = [
        Self::Size,
        Self::Mode,
        Self::Owner,
        Self::Group,
        Self::Mtime,
        Self::Inode,
        Self::Device,
        Self::Target,
        Self::Hash,
    ];
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // What is watched costs a first scan and a database, so somebody has to want it.
            directories: Vec::new(),
            interval: Duration::from_secs(43_200),
            settle: Duration::from_millis(100),
            max_files_per_second: 0,
            sha1: false,
            md5: false,
            watcher: WatcherChoice::Auto,
            unlimited_queue: true,
            network_filesystems: false,
            diff_size_limit: 64_000,
        }
    }
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            recursion: None,
            exclude: Vec::new(),
            exclude_regex: Vec::new(),
            max_hash_size: 1_000_000_000,
            attributes: None,
            interval: None,
            realtime: true,
            diff: false,
        }
    }
}

fn optional_duration<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    units::duration::deserialize(deserializer).map(Some)
}

impl Config {
    /// Reads and checks `section`; the errors name every wrong value that could be read at all.
    pub(crate) fn parse(section: &Value) -> Result<Self, Vec<SectionError>> {
        let config: Self = parse_section(section)?;
        let mut errors = Vec::new();
        for (index, directory) in config.directories.iter().enumerate() {
            directory.check(&format!("directories[{index}]"), &mut errors);
        }
        check_duration("interval", config.interval, &INTERVAL, &mut errors);
        check_duration("settle", config.settle, &SETTLE, &mut errors);
        if !DIFF_SIZE_LIMIT.contains(&config.diff_size_limit) {
            let message = format!("found {}, expected 1KB to 1MB", config.diff_size_limit);
            errors.push(SectionError { path: "diff_size_limit".to_owned(), message });
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }
}

impl Directory {
    fn check(&self, place: &str, errors: &mut Vec<SectionError>) {
        let mut add = |key: String, message: String| {
            errors.push(SectionError { path: format!("{place}.{key}"), message });
        };
        if !self.path.is_absolute() {
            add("path".to_owned(), format!("found {:?}, expected an absolute path", self.path));
        }
        for (index, pattern) in self.exclude.iter().enumerate() {
            if let Err(error) = glob::Pattern::new(pattern) {
                let message = format!("found {pattern:?}, expected a glob pattern: {}", error.msg);
                add(format!("exclude[{index}]"), message);
            }
        }
        for (index, pattern) in self.exclude_regex.iter().enumerate() {
            if let Err(error) = regex::bytes::Regex::new(pattern) {
                let message = format!("found {pattern:?}, expected a regular expression: {error}");
                add(format!("exclude_regex[{index}]"), message);
            }
        }
        if let Some(interval) = self.interval {
            check_duration(&format!("{place}.interval"), interval, &INTERVAL, errors);
        }
    }
}

fn check_duration(
    path: &str,
    found: Duration,
    allowed: &RangeInclusive<Duration>,
    errors: &mut Vec<SectionError>,
) {
    if !allowed.contains(&found) {
        let [found, from, to] = [found, *allowed.start(), *allowed.end()].map(format_duration);
        let message = format!("found {found}, expected {from} to {to}");
        errors.push(SectionError { path: path.to_owned(), message });
    }
}
