//! What a test says to the table of `cargo xtask e2e`.

use std::fs::OpenOptions;
use std::io::Write;

/// The file of the table, one line for each cell: row, column, `passed`, `failed` or `skipped`, and a word about it.
const TABLE: &str = "WAZUH_E2E_TABLE";

/// Adds a cell, if there is a table.
pub(crate) fn write_down(row: &str, column: &str, result: &str, word: &str) {
    let Some(path) = std::env::var_os(TABLE) else { return };
    let mut table = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // In one write, so that two tests do not mix their lines.
    let line = format!("{row}\t{column}\t{result}\t{}\n", word.replace(['\t', '\n'], " "));
    table.write_all(line.as_bytes()).unwrap();
}
