//! One pair of a way and a happening: run, and written down for the table.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::place::{Place, Way};

/// What a cell says when it went as it should, in a few words.
pub(crate) type Verdict = String;

/// The file of the table, one line for each cell: row, column, `passed`, `failed` or `skipped`, and a word about it.
const TABLE: &str = "WAZUH_E2E_TABLE";

/// Runs the happening `row` in a place made for it.
pub(crate) fn run(column: &str, row: &str, way: Way, happening: fn(&mut dyn Place) -> Verdict) {
    let name = format!("{column}::{row}");
    let mut place = match way.place(&name) {
        Ok(place) => place,
        Err(reason) => {
            crate::support::skip(&name, &reason);
            return write_down(row, column, "skipped", &reason);
        }
    };
    match catch_unwind(AssertUnwindSafe(|| happening(place.as_mut()))) {
        Ok(verdict) => write_down(row, column, "passed", &verdict),
        Err(panic) => {
            write_down(row, column, "failed", "see the output of the test");
            eprintln!("the log of the agent:\n{}", place.log());
            resume_unwind(panic);
        }
    }
}

fn write_down(row: &str, column: &str, result: &str, word: &str) {
    let Some(path) = std::env::var_os(TABLE) else { return };
    let mut table = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // In one write, so that two tests do not mix their lines.
    let line = format!("{row}\t{column}\t{result}\t{}\n", word.replace(['\t', '\n'], " "));
    table.write_all(line.as_bytes()).unwrap();
}
