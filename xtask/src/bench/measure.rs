//! What a bench prints: one JSON object, the same for all benches.
//!
//! ```json
//! { "settings": { "runtime": "what was measured, in words" },
//!   "measures": [ { "name": "whole loop", "unit": "ms", "of": [4.1, 4.0], "per": [2.0, 2.1], "at_most": 3.0 } ],
//!   "skipped": [ { "name": "what cannot be measured here", "reason": "why" } ] }
//! ```
//! `of` has one number for each round. With `per` the quotient of the two numbers of each round is judged. `at_most` is a
//! number, or `{"n_log_n": [FROM, TO]}` for a quotient that may grow as n log n does; `at_least` is a number and stands in
//! its place where more is better. Without either nothing is judged. `skipped` may be left out.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What one run of a bench measured.
#[derive(Debug)]
pub(crate) struct Measured {
    /// What was measured, in words.
    pub(crate) settings: Value,
    pub(crate) measures: Vec<Measure>,
    pub(crate) skipped: Vec<Skipped>,
}

/// What this machine cannot measure, and why.
#[derive(Debug, PartialEq)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: String,
}

/// One thing that was measured in several rounds.
#[derive(Debug, PartialEq)]
pub(crate) struct Measure {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) of: Vec<f64>,
    pub(crate) per: Option<Vec<f64>>,
    pub(crate) target: Option<Target>,
}

/// What is granted or asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// No more than this value, in the unit of the measure.
    AtMost(f64),
    /// No more than a growth of n log n between these two numbers.
    AtMostNLogN(f64, f64),
    /// No less than this value, in the unit of the measure.
    AtLeast(f64),
}

impl Measured {
    pub(crate) fn parse(printed: &[u8]) -> Result<Self> {
        let mut printed: Value = serde_json::from_slice(printed)?;
        let measures = printed["measures"].as_array().context("there are no measures")?;
        let measures = measures.iter().map(Measure::parse).collect::<Result<_>>()?;
        let skipped = if printed["skipped"].is_null() {
            Vec::new()
        } else {
            let skipped = printed["skipped"].as_array().context("`skipped` is no list")?;
            skipped.iter().map(Skipped::parse).collect::<Result<_>>()?
        };
        Ok(Self { measures, skipped, settings: printed["settings"].take() })
    }
}

impl Skipped {
    fn parse(skipped: &Value) -> Result<Self> {
        let text = |key: &str| skipped[key].as_str().map(str::to_owned);
        text("name")
            .zip(text("reason"))
            .map(|(name, reason)| Self { name, reason })
            .context("what is skipped has no name or no reason")
    }
}

impl Measure {
    fn parse(measure: &Value) -> Result<Self> {
        let name = measure["name"].as_str().context("a measure has no name")?;
        let read = || -> Result<Self> {
            let of = numbers(&measure["of"])?.context("`of` is missing")?;
            let per = numbers(&measure["per"])?;
            ensure!(!of.is_empty(), "`of` is empty");
            if let Some(per) = &per {
                ensure!(per.len() == of.len(), "`of` and `per` are of different rounds");
            }
            let unit = measure["unit"].as_str().context("`unit` is missing")?;
            let target = target(&measure["at_most"], &measure["at_least"])?;
            Ok(Self { name: name.to_owned(), unit: unit.to_owned(), of, per, target })
        };
        read().with_context(|| format!("measure {name:?}"))
    }
}

fn numbers(value: &Value) -> Result<Option<Vec<f64>>> {
    if value.is_null() {
        return Ok(None);
    }
    let list = value.as_array().context("`of` and `per` are lists of numbers")?;
    let list = list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    list.context("`of` and `per` are lists of numbers").map(Some)
}

fn target(at_most: &Value, at_least: &Value) -> Result<Option<Target>> {
    ensure!(at_most.is_null() || at_least.is_null(), "`at_most` and `at_least` exclude each other");
    if !at_least.is_null() {
        let least = at_least.as_f64().context("`at_least` is no number")?;
        return Ok(Some(Target::AtLeast(least)));
    }
    if at_most.is_null() {
        return Ok(None);
    }
    if let Some(number) = at_most.as_f64() {
        return Ok(Some(Target::AtMost(number)));
    }
    match numbers(&at_most["n_log_n"])?.as_deref() {
        Some([from, to]) if *from > 1.0 && to > from => Ok(Some(Target::AtMostNLogN(*from, *to))),
        _ => bail!(
            "`at_most` is neither a number nor {{\"n_log_n\": [FROM, TO]}} of growing numbers"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Measured, String> {
        Measured::parse(text.as_bytes()).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn all_that_a_bench_may_say_is_read() {
        let measured = parse(
            r#"{ "settings": {"runtime": "one thread"}, "measures": [
                { "name": "a", "unit": "ms", "of": [1, 2.5] },
                { "name": "b", "unit": "times", "of": [1], "per": [2], "at_most": 3 },
                { "name": "c", "unit": "times", "of": [1], "at_most": {"n_log_n": [10, 100]} },
                { "name": "d", "unit": "1/s", "of": [1], "at_most": null, "at_least": 10 } ],
                "skipped": [ { "name": "e", "reason": "no disk" } ] }"#,
        )
        .unwrap();
        let measure = |name: &str, unit: &str, of: &[f64], per, target| Measure {
            name: name.to_owned(),
            unit: unit.to_owned(),
            of: of.to_vec(),
            per,
            target,
        };
        assert_eq!(
            measured.measures,
            [
                measure("a", "ms", &[1.0, 2.5], None, None),
                measure("b", "times", &[1.0], Some(vec![2.0]), Some(Target::AtMost(3.0))),
                measure("c", "times", &[1.0], None, Some(Target::AtMostNLogN(10.0, 100.0))),
                measure("d", "1/s", &[1.0], None, Some(Target::AtLeast(10.0))),
            ]
        );
        assert_eq!(measured.settings["runtime"], "one thread");
        let skipped = Skipped { name: "e".to_owned(), reason: "no disk".to_owned() };
        assert_eq!(measured.skipped, [skipped]);
    }

    #[test]
    fn what_is_skipped_without_a_reason_is_refused() {
        for (skipped, wrong) in [
            (r#"[{"name": "a"}]"#, "what is skipped has no name or no reason"),
            ("1", "`skipped` is no list"),
        ] {
            let error = parse(&format!(r#"{{"measures": [], "skipped": {skipped}}}"#)).unwrap_err();
            assert_eq!(error, wrong);
        }
    }

    #[test]
    fn what_cannot_be_judged_is_refused_by_its_name() {
        for (fields, wrong) in [
            (r#""of": []"#, "`of` is empty"),
            (r#""of": null"#, "`of` is missing"),
            (r#""of": ["1"]"#, "`of` and `per` are lists of numbers"),
            (r#""of": [1, 2], "per": [1]"#, "`of` and `per` are of different rounds"),
            (r#""of": [1], "at_least": "10""#, "`at_least` is no number"),
            (
                r#""of": [1], "at_most": 3, "at_least": 2"#,
                "`at_most` and `at_least` exclude each other",
            ),
            (
                r#""of": [1], "at_most": {"n_log_n": [100, 10]}"#,
                "`at_most` is neither a number nor {\"n_log_n\": [FROM, TO]} of growing numbers",
            ),
        ] {
            let text = format!(r#"{{"measures": [{{"name": "a", "unit": "ms", {fields}}}]}}"#);
            assert_eq!(parse(&text).unwrap_err(), format!("measure \"a\": {wrong}"), "{fields}");
        }
    }
}
