//! How a file compares with the baseline, for people.

use std::path::Path;

use serde_json::Value;

use crate::cli::error::CliError;
use crate::cli::paint::{Paint, Tone, harmless};
use crate::cli::record::list;
use crate::cli::table::{Cell, table};

/// What the module found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    in_baseline: bool,
    on_disk: bool,
    differences: usize,
}

impl Verdict {
    /// Reads the answer of `check`. What does not say whether the file is the same is refused: an exit code hangs on it.
    pub(super) fn of(body: &Value) -> Result<Self, CliError> {
        let what = "a check without its result";
        let flag = |name: &str| body[name].as_bool().ok_or(CliError::Unexpected { what });
        let differences = body["differences"].as_array().ok_or(CliError::Unexpected { what })?;
        Ok(Self {
            in_baseline: flag("in_baseline")?,
            on_disk: flag("on_disk")?,
            differences: differences.len(),
        })
    }

    /// Whether the file is as in the baseline.
    pub(super) fn is_same(self) -> bool {
        self.in_baseline && self.on_disk && self.differences == 0
    }

    fn words(self) -> (Tone, &'static str) {
        match (self.in_baseline, self.on_disk) {
            (true, true) if self.differences == 0 => (Tone::Good, "as in the baseline"),
            (true, true) => (Tone::Bad, "differs from the baseline"),
            (true, false) => (Tone::Bad, "in the baseline, but not on disk"),
            (false, true) => (Tone::Bad, "on disk, but not in the baseline"),
            (false, false) => (Tone::Bad, "neither in the baseline nor on disk"),
        }
    }
}

/// The verdict on `path`, whether it is watched, and each difference.
pub(super) fn text(path: &Path, verdict: &Verdict, body: &Value, paint: Paint) -> String {
    let (tone, words) = verdict.words();
    let path = harmless(&path.to_string_lossy());
    let mut shown = format!("{path}: {}\n", paint.text(tone, words));
    if body["watched"] == false {
        let why = body["why_not"].as_str().map_or_else(String::new, |why| format!(": {why}"));
        shown.push_str(&format!("it is not watched{}\n", harmless(&why)));
    }
    let rows: Vec<Vec<Cell>> = list(&body["differences"]).iter().map(row).collect();
    if !rows.is_empty() {
        shown.push('\n');
        shown.push_str(&table(&["ATTRIBUTE", "BASELINE", "DISK"], &rows, paint));
    }
    shown
}

fn row(difference: &Value) -> Vec<Cell> {
    vec![
        Cell::text(difference["attribute"].as_str().unwrap_or("?")),
        Cell::text(&value(&difference["baseline"])),
        Cell::text(&value(&difference["disk"])),
    ]
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
