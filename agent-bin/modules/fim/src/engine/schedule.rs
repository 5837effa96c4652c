//! When which directory is scanned again: decides, and has no clock of its own.

use std::collections::BTreeMap;

use crate::path_bytes::PathBytes;
use crate::rules::Rules;

/// When each configured directory was scanned last, in nanoseconds since 1970.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Schedule {
    last: BTreeMap<PathBytes, i64>,
}

impl Schedule {
    /// The schedule that [`Schedule::to_bytes`] made; one that cannot be read is empty.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let last: Vec<(PathBytes, i64)> = serde_json::from_slice(bytes).unwrap_or_default();
        Self { last: last.into_iter().collect() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let last: Vec<_> = self.last.iter().collect();
        serde_json::to_vec(&last).unwrap_or_default()
    }

    /// Notes that these directories were scanned; none are all.
    pub(crate) fn scanned(&mut self, rules: &Rules, paths: &[PathBytes], now: i64) {
        for rule in rules.all() {
            let covered =
                paths.is_empty() || paths.iter().any(|path| rule.path.below(path).is_some());
            if covered {
                self.last.insert(rule.path.clone(), now);
            }
        }
    }

    /// When the next scan is due, and of which directories; a clock that was set back makes them due at once.
    pub(crate) fn next(&self, rules: &Rules, now: i64) -> Option<(i64, Vec<PathBytes>)> {
        let due = |path: &PathBytes, interval: i64| {
            let last = self.last.get(path).copied().filter(|last| *last <= now);
            last.map_or(now, |last| last.saturating_add(interval))
        };
        let each: Vec<(i64, &PathBytes)> = rules
            .all()
            .iter()
            .map(|rule| {
                let interval = i64::try_from(rule.interval.as_nanos()).unwrap_or(i64::MAX);
                (due(&rule.path, interval), &rule.path)
            })
            .collect();
        let first = each.iter().map(|(due, _)| *due).min()?;
        // What is due within the same second is scanned together.
        let together = first.max(now).saturating_add(1_000_000_000);
        let paths = each.into_iter().filter(|(due, _)| *due <= together);
        Some((first, paths.map(|(_, path)| path.clone()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, Directory};

    const SECOND: i64 = 1_000_000_000;

    fn rules(directories: &[(&str, Option<u64>)]) -> Rules {
        let directory = |(path, interval): &(&str, Option<u64>)| Directory {
            path: PathBuf::from(path),
            interval: interval.map(Duration::from_secs),
            ..Directory::default()
        };
        let directories = directories.iter().map(directory).collect();
        let config =
            Config { directories, interval: Duration::from_secs(100), ..Config::default() };
        Rules::new(&config, |directory| {
            PathBytes::new(directory.path.to_string_lossy().into_owned().into_bytes())
        })
    }

    #[test]
    fn each_directory_is_due_after_its_own_interval() {
        let rules = rules(&[("/a", None), ("/b", Some(10))]);
        let mut schedule = Schedule::default();
        assert_eq!(
            schedule.next(&rules, 5),
            Some((5, vec![PathBytes::new("/a"), PathBytes::new("/b")]))
        );
        schedule.scanned(&rules, &[], 0);
        let b = vec![PathBytes::new("/b")];
        assert_eq!(schedule.next(&rules, SECOND), Some((10 * SECOND, b.clone())));
        schedule.scanned(&rules, &b, 99 * SECOND);
        let (due, both) = schedule.next(&rules, 99 * SECOND).unwrap();
        assert_eq!((due, both), (100 * SECOND, vec![PathBytes::new("/a")]));
        assert_eq!(Schedule::from_bytes(&schedule.to_bytes()), schedule);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_scan_due() {
        let rules = rules(&[("/a", None)]);
        let mut schedule = Schedule::default();
        schedule.scanned(&rules, &[], 500 * SECOND);
        assert_eq!(schedule.next(&rules, 400 * SECOND).unwrap().0, 400 * SECOND);
    }
}
