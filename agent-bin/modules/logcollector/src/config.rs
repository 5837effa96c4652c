//! The module's section of the configuration and what is allowed in it.

use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use glob::{MatchOptions, Pattern};
use module_api::units::{self, format_duration};
use module_api::{SectionError, parse_section};
use serde::Deserialize;
use serde_json::Value;

/// From the fastest that is still a rest for the disk to the slowest that is still a tail.
const READ_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// Evaluating globs lists folders, so it may be rare; more than an hour would miss whole rotations.
const RELOAD_INTERVAL: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(3_600);
/// Bytes. Small enough to keep one line in memory, large enough to hold a character and some text.
const MAX_LINE_BYTES: RangeInclusive<u64> = 256..=16_000_000;

/// What to read, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Glob patterns, absolute or relative to the working directory.
    pub(crate) files: Vec<String>,
    /// How long to wait when there was nothing more to read.
    #[serde(with = "units::duration")]
    pub(crate) read_interval: Duration,
    /// How often the patterns are evaluated again.
    #[serde(with = "units::duration")]
    pub(crate) reload_interval: Duration,
    /// Longer lines become several events.
    #[serde(with = "units::size")]
    pub(crate) max_line_bytes: u64,
    /// Where files are begun that exist when their pattern is watched for the first time.
    pub(crate) start_at: StartAt,
}

/// Where a file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StartAt {
    /// After its last complete line.
    End,
    /// At its first byte.
    Beginning,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            read_interval: Duration::from_millis(200),
            reload_interval: Duration::from_secs(1),
            max_line_bytes: 1_000_000,
            start_at: StartAt::End,
        }
    }
}

impl Config {
    /// Reads and checks `section`; the errors name every wrong value that could be read at all.
    pub(crate) fn parse(section: &Value) -> Result<Self, Vec<SectionError>> {
        let config: Self = parse_section(section)?;
        let mut errors = Vec::new();
        for (index, pattern) in config.files.iter().enumerate() {
            if let Some(message) = wrong_pattern(pattern) {
                errors.push(SectionError { path: format!("files[{index}]"), message });
            }
        }
        let durations = [
            ("read_interval", config.read_interval, READ_INTERVAL),
            ("reload_interval", config.reload_interval, RELOAD_INTERVAL),
        ];
        for (key, found, allowed) in durations {
            if !allowed.contains(&found) {
                let [found, from, to] =
                    [found, *allowed.start(), *allowed.end()].map(format_duration);
                errors.push(out_of_range(key, &found, &from, &to));
            }
        }
        if !MAX_LINE_BYTES.contains(&config.max_line_bytes) {
            let found = config.max_line_bytes.to_string();
            errors.push(out_of_range("max_line_bytes", &found, "256", "16MB"));
        }
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// Whether a pattern matches `path`, whether or not there is such a file.
    pub(crate) fn watches(&self, path: &str) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        self.files.iter().any(|pattern| {
            let pattern = plain(pattern);
            // All patterns were found valid when the configuration was read.
            pattern
                .to_str()
                .and_then(|pattern| Pattern::new(pattern).ok())
                .is_some_and(|pattern| pattern.matches_path_with(&plain(path), options))
        })
    }
}

/// `path` in the form in which patterns yield paths: without `.` and doubled slashes.
fn plain(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

fn wrong_pattern(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("found an empty text, expected a file or a glob pattern".to_owned());
    }
    let error = Pattern::new(pattern).err()?;
    Some(format!(
        "found {pattern:?}, expected a glob pattern: {} (near character {})",
        error.msg, error.pos
    ))
}

fn out_of_range(key: &str, found: &str, from: &str, to: &str) -> SectionError {
    SectionError {
        path: key.to_owned(),
        message: format!("found {found}, expected {from} to {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(section: &Value) -> Vec<String> {
        Config::parse(section).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_section_means_the_defaults() {
        assert_eq!(Config::parse(&json!({})).unwrap(), Config::default());
    }

    #[test]
    fn every_key_can_be_set() {
        let config = Config::parse(&json!({
            "files": ["/var/log/*.log", "here/**/x"], "read_interval": "10ms",
            "reload_interval": "1h", "max_line_bytes": "16MB", "start_at": "beginning",
        }))
        .unwrap();
        assert_eq!(config.files.len(), 2);
        assert_eq!(config.read_interval, Duration::from_millis(10));
        assert_eq!(config.reload_interval, Duration::from_secs(3_600));
        assert_eq!(config.max_line_bytes, 16_000_000);
        assert_eq!(config.start_at, StartAt::Beginning);
    }

    #[test]
    fn all_values_out_of_range_are_named_with_what_is_allowed() {
        let section = json!({
            "files": ["/ok", "a***b", ""], "read_interval": "9ms", "reload_interval": "2h", "max_line_bytes": 255,
        });
        assert_eq!(
            errors(&section),
            [
                "files[1]: found \"a***b\", expected a glob pattern: wildcards are either regular `*` or recursive `**` (near character 3)",
                "files[2]: found an empty text, expected a file or a glob pattern",
                "read_interval: found 9ms, expected 10ms to 1m",
                "reload_interval: found 2h, expected 10ms to 1h",
                "max_line_bytes: found 255, expected 256 to 16MB",
            ]
        );
    }

    #[test]
    fn a_path_is_watched_as_the_patterns_would_find_it() {
        let config = Config {
            files: ["./here/*.log", "/var/log/**/x"].map(str::to_owned).to_vec(),
            ..Config::default()
        };
        for path in ["here/a.log", "/var/log/x", "/var/log/a/b/x"] {
            assert!(config.watches(path), "{path}");
        }
        for path in ["here/deeper/a.log", "/here/a.log", "/var/x", "here/a.log.1"] {
            assert!(!config.watches(path), "{path}");
        }
    }

    #[test]
    fn unknown_keys_and_places_to_start_are_refused() {
        assert!(errors(&json!({"file": []}))[0].contains("unknown field `file`"));
        assert!(errors(&json!({"start_at": "middle"}))[0].starts_with("start_at: "));
    }
}
