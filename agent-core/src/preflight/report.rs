//! What the checks have found, and what follows from it: a value, without I/O.

use std::time::Duration;

use serde::Serialize;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Grade {
    /// Nothing is in the way.
    Ok,
    /// A restart works, but somebody should know this.
    Warning,
    /// With this in the way the agent would not come back.
    Refused,
    /// It was not looked at, for the reason given.
    Skipped,
}

/// What one check has found, without its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) grade: Grade,
    pub(crate) text: String,
    /// Whether `--force` goes on in spite of it.
    pub(crate) may_be_forced: bool,
}

impl Looked {
    fn new(grade: Grade, text: impl Into<String>) -> Self {
        Self { grade, text: text.into(), may_be_forced: false }
    }

    pub(crate) fn ok(text: impl Into<String>) -> Self {
        Self::new(Grade::Ok, text)
    }

    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self::new(Grade::Warning, text)
    }

    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::new(Grade::Refused, text)
    }

    pub(crate) fn refused_unless_forced(text: impl Into<String>) -> Self {
        Self { may_be_forced: true, ..Self::refused(text) }
    }

    pub(crate) fn skipped(text: impl Into<String>) -> Self {
        Self::new(Grade::Skipped, text)
    }

    /// The same of the check `name`, which took that long.
    pub(crate) fn of(self, name: &'static str, took: Duration) -> Finding {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let Self { grade, text, may_be_forced } = self;
        Finding { name, result: grade, text, duration_ms, may_be_forced }
    }
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The check, as one word.
    pub(crate) name: &'static str,
    pub(crate) result: Grade,
    pub(crate) text: String,
    pub(crate) duration_ms: u64,
    pub(crate) may_be_forced: bool,
}

impl Finding {
    /// Whether the history of a command should tell it.
    pub(crate) fn is_noteworthy(&self) -> bool {
        matches!(self.result, Grade::Warning | Grade::Refused)
    }
}

/// Whether a restart goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// Nothing is in the way.
    Go,
    /// Something is in the way, and force goes on all the same.
    Overridden,
    /// It would not come back.
    Refused,
}

/// All findings, and the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) checks: Vec<Finding>,
}

impl Report {
    /// Decides. Force overrides refusals that may be overridden, but only if there is no other.
    pub(crate) fn decide(checks: Vec<Finding>, force: bool) -> Self {
        let mut refused = checks.iter().filter(|it| it.result == Grade::Refused).peekable();
        let verdict = if refused.peek().is_none() {
            Verdict::Go
        } else if force && refused.all(|it| it.may_be_forced) {
            Verdict::Overridden
        } else {
            Verdict::Refused
        };
        Self { verdict, checks }
    }

    /// What is in the way, whether it was overridden or not; empty if nothing is. Says when force would help.
    pub(crate) fn refusals(&self) -> String {
        let refused = || self.checks.iter().filter(|it| it.result == Grade::Refused);
        let texts: Vec<&str> = refused().map(|it| it.text.as_str()).collect();
        let text = texts.join("; ");
        if self.verdict == Verdict::Refused && refused().all(|it| it.may_be_forced) {
            return format!("{text} (with --force it is restarted all the same)");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(looked: Looked) -> Finding {
        looked.of("check", Duration::from_micros(2_700))
    }

    fn decide(looked: &[Looked], force: bool) -> (Verdict, String) {
        let report = Report::decide(looked.iter().cloned().map(finding).collect(), force);
        (report.verdict, report.refusals())
    }

    #[test]
    fn warnings_and_what_was_skipped_are_in_nobodys_way() {
        let fine = [Looked::ok("a"), Looked::warning("b"), Looked::skipped("c")];
        for force in [false, true] {
            assert_eq!(decide(&fine, force), (Verdict::Go, String::new()));
            assert_eq!(decide(&[], force).0, Verdict::Go);
        }
    }

    #[test]
    fn a_refusal_that_may_be_forced_says_so_and_is_overridden_by_force() {
        let soft = [Looked::ok("a"), Looked::refused_unless_forced("it hangs")];
        let expected = "it hangs (with --force it is restarted all the same)";
        assert_eq!(decide(&soft, false), (Verdict::Refused, expected.to_owned()));
        assert_eq!(decide(&soft, true), (Verdict::Overridden, "it hangs".to_owned()));
    }

    #[test]
    fn force_overrides_nothing_as_long_as_one_refusal_may_not_be_overridden() {
        let both = [Looked::refused_unless_forced("no room"), Looked::refused("it is masked")];
        for force in [false, true] {
            let expected = "no room; it is masked".to_owned();
            assert_eq!(decide(&both, force), (Verdict::Refused, expected), "force {force}");
        }
    }

    #[test]
    fn a_program_reads_name_result_text_and_duration() {
        let report = Report::decide(vec![finding(Looked::refused("gone"))], true);
        let expected = serde_json::json!({
            "verdict": "refused",
            "checks": [{ "name": "check", "result": "refused", "text": "gone", "duration_ms": 2,
                         "may_be_forced": false }],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }

    #[test]
    fn only_warnings_and_refusals_are_told_in_the_history() {
        let told = [Looked::ok(""), Looked::skipped(""), Looked::warning(""), Looked::refused("")]
            .map(|looked| finding(looked).is_noteworthy());
        assert_eq!(told, [false, false, true, true]);
    }
}
