//! Prints judged lines: a table for people, one JSON object for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::judge::{Bound, Line};
use super::measure::Skipped;

/// All that one bench has to say.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    pub(super) settings: Value,
    pub(super) lines: Vec<Line>,
    pub(super) skipped: Vec<Skipped>,
}

impl Report {
    /// Whether nothing that is judged failed.
    pub(super) fn has_passed(&self) -> bool {
        self.lines.iter().all(|line| line.passes() != Some(false))
    }

    pub(super) fn json(&self, machine: Value) -> Value {
        let line = |line: &Line| {
            let (at_most, at_least) = match line.bound {
                Some(Bound::AtMost(most)) => (Some(most), None),
                Some(Bound::AtLeast(least)) => (None, Some(least)),
                None => (None, None),
            };
            json!({
                "name": line.name, "unit": line.unit, "median": line.median, "min": line.min, "max": line.max,
                "rounds": line.rounds, "at_most": at_most, "at_least": at_least, "passed": line.passes(),
            })
        };
        let skipped = |it: &Skipped| json!({ "name": it.name, "reason": it.reason });
        json!({
            "bench": self.bench,
            "machine": machine,
            "settings": self.settings,
            "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
            "passed": self.has_passed(),
        })
    }

    pub(super) fn table(&self, machine: &Value) -> String {
        let mut table = words(machine) + &words(&self.settings);
        let width = self.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0);
        let head = ("", "median", "min", "max", "target");
        let mut row = |(name, median, min, max, target): (&str, &str, &str, &str, &str),
                       rest: &str| {
            let row = format!("{name:width$} {median:>9} {min:>9} {max:>9} {target:>9} {rest}");
            // Writing to a String cannot fail.
            _ = writeln!(table, "{}", row.trim_end());
        };
        row(head, "unit");
        for line in &self.lines {
            let verdict = line.passes().map_or("", |passes| if passes { "pass" } else { "FAIL" });
            let target = line.bound.map(in_words).unwrap_or_default();
            let numbers = (short(line.median), short(line.min), short(line.max));
            row(
                (&line.name, &numbers.0, &numbers.1, &numbers.2, &target),
                &format!("{:5} {verdict}", line.unit),
            );
        }
        for Skipped { name, reason } in &self.skipped {
            _ = writeln!(table, "skipped: {name}: {reason}");
        }
        let failed = self.lines.iter().filter(|line| line.passes() == Some(false)).count();
        let judged = self.lines.iter().filter(|line| line.passes().is_some()).count();
        table + &format!("{} of {judged} targets are met\n", judged - failed)
    }
}

/// `key: value` lines of an object of texts and numbers.
fn words(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key}: {text}\n"),
            None => format!("{key}: {value}\n"),
        })
        .collect()
}

fn in_words(bound: Bound) -> String {
    match bound {
        Bound::AtMost(most) => format!("<= {}", short(most)),
        Bound::AtLeast(least) => format!(">= {}", short(least)),
    }
}

/// Three digits or a few more, so that columns stay readable.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, median: f64, bound: Option<Bound>) -> Line {
        let (name, unit) = (name.to_owned(), "ms".to_owned());
        Line { name, unit, median, min: median / 2.0, max: median * 2.0, rounds: 7, bound }
    }

    fn at_most(most: f64) -> Option<Bound> {
        Some(Bound::AtMost(most))
    }

    fn report(lines: Vec<Line>) -> Report {
        let skipped = vec![Skipped { name: "deep".to_owned(), reason: "no box".to_owned() }];
        Report { bench: "loop", settings: json!({ "rounds": 7 }), lines, skipped }
    }

    #[test]
    fn the_table_shows_each_line_with_target_and_verdict() {
        let lines = vec![
            line("fast", 4.5, at_most(50.0)),
            line("slower", 1_234.0, at_most(1_000.0)),
            line("many", 20.0, Some(Bound::AtLeast(10.0))),
            line("free", 0.25, None),
        ];
        assert_eq!(
            report(lines).table(&json!({ "cores": 2, "kernel": "6.1" })),
            "cores: 2\nkernel: 6.1\nrounds: 7\n\
             \u{20}         median       min       max    target unit\n\
             fast        4.50      2.25      9.00   <= 50.0 ms    pass\n\
             slower      1234       617      2468   <= 1000 ms    FAIL\n\
             many        20.0      10.0      40.0   >= 10.0 ms    pass\n\
             free      0.2500    0.1250    0.5000           ms\n\
             skipped: deep: no box\n\
             2 of 3 targets are met\n"
        );
    }

    #[test]
    fn one_failure_fails_the_whole_and_what_is_not_judged_does_not() {
        let free = || line("free", 1e9, None);
        assert!(report(vec![line("a", 1.0, at_most(1.0)), free()]).has_passed());
        assert!(!report(vec![line("a", 1.1, at_most(1.0)), free()]).has_passed());
    }

    #[test]
    fn programs_get_the_same_with_the_facts_of_the_machine() {
        let printed = report(vec![line("a", 2.0, at_most(1.0))]).json(json!({ "cores": 2 }));
        assert_eq!(
            printed,
            json!({
                "bench": "loop",
                "machine": { "cores": 2 },
                "settings": { "rounds": 7 },
                "lines": [{
                    "name": "a", "unit": "ms", "median": 2.0, "min": 1.0, "max": 4.0, "rounds": 7,
                    "at_most": 1.0, "at_least": null, "passed": false,
                }],
                "skipped": [{ "name": "deep", "reason": "no box" }],
                "passed": false,
            })
        );
        let asked_for = report(vec![line("a", 2.0, Some(Bound::AtLeast(1.0)))]).json(json!({}));
        let line = &asked_for["lines"][0];
        assert_eq!((&line["at_most"], &line["at_least"]), (&Value::Null, &json!(1.0)));
        assert_eq!(asked_for["passed"], true);
    }
}
