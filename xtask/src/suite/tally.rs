//! Counts the tests of all test programs from what `cargo test` prints.

use std::collections::BTreeSet;

/// What was counted so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    /// Test programs that announced tests and gave no result (yet).
    unfinished: usize,
    /// `NAME: REASON` of each test that did not run. Tests of two crates may share a name.
    skips: Vec<String>,
}

impl Tally {
    /// Takes one line of output.
    pub(crate) fn add_line(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("running ")
            && (rest.ends_with(" test") || rest.ends_with(" tests"))
        {
            self.unfinished += 1;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.unfinished = self.unfinished.saturating_sub(1);
            self.passed += count_before(counts, "passed");
            self.failed += count_before(counts, "failed");
        } else if let Some((name, reason)) = ignored_test(line) {
            self.skips.push(format!("{name}: {reason}"));
        }
    }

    /// Takes the lines `NAME<tab>REASON` of tests that ended early because they cannot run here;
    /// the test framework has counted them as passed.
    pub(crate) fn add_skips(&mut self, lines: &str) {
        let mut names = BTreeSet::new();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (name, reason) = line.split_once('\t').unwrap_or((line, "no reason given"));
            if names.insert(name) {
                self.skips.push(format!("{name}: {reason}"));
                self.passed = self.passed.saturating_sub(1);
            }
        }
    }

    /// Failed tests, where a test program that died without a result is one.
    pub(crate) fn failed(&self) -> usize {
        self.failed + self.unfinished
    }

    /// One line for each skipped test, a line if programs died, and the closing line.
    pub(crate) fn report(&self) -> String {
        let mut report: String =
            self.skips.iter().map(|skip| format!("skipped: {skip}\n")).collect();
        if self.unfinished > 0 {
            report +=
                &format!("test programs that died before their result: {}\n", self.unfinished);
        }
        let (passed, failed, skipped) = (self.passed, self.failed(), self.skips.len());
        report + &format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The number in `3 passed; 0 failed; …` that stands before a word, 0 if there is none.
fn count_before(counts: &str, word: &str) -> usize {
    let mut words = counts.split([' ', ';', '.']).filter(|word| !word.is_empty());
    let mut previous = "";
    words
        .find_map(|next| {
            let found = (next == word).then(|| previous.parse().ok());
            previous = next;
            found
        })
        .flatten()
        .unwrap_or(0)
}

/// Name and reason in `test NAME ... ignored, REASON`.
fn ignored_test(line: &str) -> Option<(&str, &str)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = verdict.strip_prefix("ignored")?;
    Some((name, reason.strip_prefix(", ").unwrap_or("marked as ignored")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(lines: &str) -> Tally {
        let mut tally = Tally::default();
        lines.lines().for_each(|line| tally.add_line(line));
        tally
    }

    #[test]
    fn the_counts_of_all_programs_are_summed() {
        let tally = tally_of(
            "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
             running 12 tests\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.20s\n",
        );
        assert_eq!(tally.report(), "13 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_skip_is_not_a_pass_and_is_named_with_its_reason() {
        let mut tally = tally_of(
            "running 3 tests\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
        );
        tally.add_skips("restarts_ten_times\tnot root\nrestarts_ten_times\tnot root\n");
        assert_eq!(
            tally.report(),
            "skipped: restarts_ten_times: not root\n2 passed, 0 failed, 1 skipped"
        );
    }

    #[test]
    fn an_ignored_test_is_named_as_skipped() {
        let tally = tally_of(
            "running 2 tests\ntest slow ... ignored, takes an hour\ntest other ... ignored\n\
             test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!(
            tally.report(),
            "skipped: slow: takes an hour\nskipped: other: marked as ignored\n0 passed, 0 failed, 2 skipped"
        );
    }

    #[test]
    fn a_program_that_dies_in_the_middle_is_a_failure() {
        let tally = tally_of("running 5 tests\ntest a ... ok\n");
        assert_eq!(tally.failed(), 1);
        assert!(tally.report().ends_with("0 passed, 1 failed, 0 skipped"));
    }

    #[test]
    fn what_a_test_prints_about_running_things_is_no_test_program() {
        assert_eq!(tally_of("running the agent\nrunning tests is fun").failed(), 0);
    }
}
