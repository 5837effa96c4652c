//! How large the program is.

use std::fs;

use serde_json::json;

use crate::{Findings, program};

/// MB of the stripped program.
const SIZE: f64 = 9.0;

pub(crate) fn measure(found: &mut Findings) -> Result<(), String> {
    let meta =
        fs::metadata(program()).map_err(|error| format!("{}: {error}", program().display()))?;
    let size = [meta.len() as f64 / 1e6];
    found
        .measures
        .push(json!({ "name": "size of the program", "unit": "MB", "of": size, "at_most": SIZE }));
    Ok(())
}
