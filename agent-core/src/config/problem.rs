//! What is wrong with a configuration: a line for people, an object for programs.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// The most problems that one [`ConfigError`] lists; a wrong kind of file could have thousands.
pub(super) const MAX_PROBLEMS: usize = 50;

/// The longest name of a file and the longest message displayed, in characters.
const MAX_SHOWN: usize = 1_000;
/// The longest key displayed, in characters: it must leave room for the message.
const MAX_KEY_SHOWN: usize = 200;

/// One problem of a configuration file. Displayed as `FILE:LINE:COLUMN: KEY: MESSAGE`, without the parts it lacks, as
/// one line whatever the file contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1, where the value or its key stands. `None` when the file as a whole is concerned.
    pub line: Option<u64>,
    /// The column, from 1, in characters: only of a text that is no YAML.
    pub column: Option<u64>,
    /// The key with its section: `restart.timeout`, `events.file.keep`. `None` outside of any.
    pub key: Option<String>,
    /// What was found and what is allowed.
    pub message: String,
}

/// A configuration that cannot be used. Displayed with one problem a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", Lines(.problems))]
pub struct ConfigError {
    /// The problems, in the order of the file; at least one.
    pub problems: Vec<Problem>,
}

impl Problem {
    /// A problem of `file` as a whole.
    pub(super) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        let file = file.display().to_string();
        Self { file, line: None, column: None, key: None, message: message.into() }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", OneLine(&self.file, MAX_SHOWN))?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {}", OneLine(key, MAX_KEY_SHOWN))?;
        }
        write!(f, ": {}", OneLine(&self.message, MAX_SHOWN))
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// The start of a text, so that it cannot begin a line of its own in a log, nor control a terminal.
struct OneLine<'a>(&'a str, usize);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, c) in self.0.chars().enumerate() {
            if number == self.1 {
                return f.write_str("...");
            }
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_the_file_contains() {
        let problem = Problem {
            file: "a\nb.yml".to_owned(),
            line: Some(3),
            column: None,
            key: Some("x\u{1b}[2J".to_owned()),
            message: "z".repeat(1_001),
        };
        let expected = format!("a\\nb.yml:3: x\\u{{1b}}[2J: {}...", "z".repeat(1_000));
        assert_eq!(problem.to_string(), expected);
    }

    #[test]
    fn programs_get_every_part_by_name() {
        let error = ConfigError::from(Problem::of_file(Path::new("a.yml"), "cannot be read"));
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"problems":[{"file":"a.yml","line":null,"column":null,"key":null,"message":"cannot be read"}]}"#
        );
    }
}
