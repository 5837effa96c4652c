//! One pair of a way and a happening: run, and written down for the table.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::place::{Place, Way};
use crate::table::write_down;

/// What a cell says when it went as it should, in a few words.
pub(crate) type Verdict = String;

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
