//! Which configured directory holds for a path, and what it asks for: decides, and touches nothing.

use std::time::Duration;

use glob::{MatchOptions, Pattern};
use regex::bytes::RegexSet;

use crate::config::{Attribute, Config, Directory};
use crate::path_bytes::PathBytes;

/// All rules, by the paths they hold for.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The longest path first.
    rules: Vec<Rule>,
}

/// What holds for the paths of one configured directory.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its real path: links on the way are followed once, when the module starts.
    pub(crate) path: PathBytes,
    pub(crate) recursion: Option<u32>,
    pub(crate) max_hash_size: u64,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) interval: Duration,
    pub(crate) realtime: bool,
    pub(crate) diff: bool,
    names: Vec<Pattern>,
    paths: Vec<Pattern>,
    expressions: RegexSet,
}

impl Rules {
    /// The rules of a checked configuration. `real` says where a configured path really leads.
    pub(crate) fn new(config: &Config, real: impl Fn(&Directory) -> PathBytes) -> Self {
        let rule = |directory| Rule::new(directory, real(directory), config.interval);
        let mut rules: Vec<Rule> = config.directories.iter().map(rule).collect();
        // Of two for the same path the one that stands first in the configuration holds.
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.path.as_bytes().len()));
        let mut seen: Vec<PathBytes> = Vec::new();
        rules.retain(|rule| {
            let new = !seen.contains(&rule.path);
            seen.push(rule.path.clone());
            new
        });
        Self { rules }
    }

    /// All rules, the longest path first.
    pub(crate) fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// Where scans begin: the configured paths that are not reached from another configured directory, be it that they are in
    /// none, too deep in it or excluded by it.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &PathBytes> {
        self.rules
            .iter()
            .map(|rule| &rule.path)
            .filter(|path| path.split().is_none_or(|(folder, _)| self.of(&folder).is_none()))
    }

    /// The directories of which changes are told at once.
    pub(crate) fn realtime_roots(&self) -> Vec<PathBytes> {
        self.rules.iter().filter(|rule| rule.realtime).map(|rule| rule.path.clone()).collect()
    }

    /// Whether a scan begins at this path.
    pub(crate) fn is_root(&self, path: &PathBytes) -> bool {
        self.roots().any(|root| root == path)
    }

    /// The rule for `path`, if it is watched at all: in a configured directory, not too deep and not excluded, nor any folder
    /// above it.
    pub(crate) fn of(&self, path: &PathBytes) -> Option<&Rule> {
        let rule = self.rules.iter().find(|rule| path.below(&rule.path).is_some())?;
        rule.takes(path).then_some(rule)
    }

    /// As [`Rules::of`], for a name in a folder that is known to be watched: only the name itself is judged.
    pub(crate) fn of_child(&self, path: &PathBytes) -> Option<&Rule> {
        let rule = self.rules.iter().find(|rule| path.below(&rule.path).is_some())?;
        let rest = path.below(&rule.path)?;
        (rule.reaches(rest) && (rest.is_empty() || !rule.excludes(path))).then_some(rule)
    }
}

impl Rule {
    fn new(directory: &Directory, path: PathBytes, interval: Duration) -> Self {
        let pattern = |text: &String| Pattern::new(text).ok();
        let (paths, names) =
            directory.exclude.iter().partition::<Vec<_>, _>(|glob| glob.contains('/'));
        Self {
            path,
            recursion: directory.recursion,
            max_hash_size: directory.max_hash_size,
            attributes: directory.attributes.clone().unwrap_or_else(|| Attribute::ALL.to_vec()),
            interval: directory.interval.unwrap_or(interval),
            realtime: directory.realtime,
            diff: directory.diff,
            names: names.into_iter().filter_map(pattern).collect(),
            paths: paths.into_iter().filter_map(pattern).collect(),
            // Checked with the configuration; nothing is excluded by what cannot be compiled.
            expressions: RegexSet::new(&directory.exclude_regex)
                .unwrap_or_else(|_| RegexSet::empty()),
        }
    }

    fn takes(&self, path: &PathBytes) -> bool {
        let Some(rest) = path.below(&self.path) else { return false };
        if !self.reaches(rest) {
            return false;
        }
        let mut each = Some(path.clone());
        while let Some(one) = each.filter(|one| *one != self.path) {
            if self.excludes(&one) {
                return false;
            }
            each = one.split().map(|(folder, _)| folder);
        }
        true
    }

    /// Whether `rest`, a path below the directory, is not too deep: with a recursion of 0 only its direct children are.
    fn reaches(&self, rest: &[u8]) -> bool {
        let levels = rest.iter().filter(|byte| **byte == b'/').count();
        self.recursion.is_none_or(|most| levels <= most as usize)
    }

    fn excludes(&self, path: &PathBytes) -> bool {
        let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
        // Asked for each name of a scan; most configurations exclude nothing, and then no text is made of the path.
        let matches = |globs: &[Pattern], bytes: &[u8]| {
            !globs.is_empty() && {
                let text = String::from_utf8_lossy(bytes);
                globs.iter().any(|glob| glob.matches_with(&text, options))
            }
        };
        matches(&self.paths, path.as_bytes())
            || path.name().is_some_and(|name| matches(&self.names, name))
            || (!self.expressions.is_empty() && self.expressions.is_match(path.as_bytes()))
    }
}
