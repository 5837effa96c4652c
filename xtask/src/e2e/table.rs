//! What the cells have written down, as a table for people or for programs.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// All cells that ran.
#[derive(Debug, Default)]
pub(crate) struct Table {
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    row: String,
    column: String,
    result: String,
    word: String,
}

impl Table {
    /// Reads the lines `ROW<tab>COLUMN<tab>RESULT<tab>WORD`.
    pub(crate) fn read(lines: &str) -> Result<Self> {
        let cells = lines.lines().map(|line| {
            let mut words = line.splitn(4, '\t').map(str::to_owned);
            let mut next = || words.next().with_context(|| format!("no line of the table: {line}"));
            Ok(Cell { row: next()?, column: next()?, result: next()?, word: next()? })
        });
        Ok(Self { cells: cells.collect::<Result<_>>()? })
    }

    /// A line for each row, a column for each way, and the counts. A skipped cell says why below.
    pub(crate) fn text(&self) -> String {
        let (rows, columns) = (self.rows(), self.columns());
        let first = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let width = |column: &str| {
            let cells = rows.iter().map(|row| self.shown(row, column).len());
            cells.chain([column.len()]).max().unwrap_or(0)
        };
        let mut text = format!("{:first$}", "");
        for column in &columns {
            text += &format!(" | {column:width$}", width = width(column));
        }
        for row in &rows {
            text += &format!("\n{:first$}", row.replace('_', " "));
            for column in &columns {
                let shown = self.shown(row, column);
                text += &format!(" | {shown:width$}", width = width(column));
            }
        }
        for cell in self.cells.iter().filter(|cell| cell.result == "skipped") {
            text += &format!("\nskipped: {}, {}: {}", cell.column, cell.row, cell.word);
        }
        let count = |result: &str| self.cells.iter().filter(|cell| cell.result == result).count();
        let (passed, failed, skipped) = (count("passed"), count("failed"), count("skipped"));
        text + &format!("\n{passed} passed, {failed} failed, {skipped} skipped")
    }

    /// The same for programs: an array of the cells.
    pub(crate) fn json(&self) -> Value {
        let cell = |cell: &Cell| json!({"row": cell.row, "column": cell.column, "result": cell.result, "word": cell.word});
        self.cells.iter().map(cell).collect()
    }

    fn shown(&self, row: &str, column: &str) -> String {
        let cell = self.cells.iter().find(|cell| cell.row == row && cell.column == column);
        cell.map_or_else(
            || "-".to_owned(),
            |cell| match cell.result.as_str() {
                "passed" => cell.word.clone(),
                other => other.to_uppercase(),
            },
        )
    }

    /// Each once, sorted: tests end in any order.
    fn rows(&self) -> Vec<&str> {
        let mut rows: Vec<&str> = self.cells.iter().map(|cell| cell.row.as_str()).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = self.cells.iter().map(|cell| cell.column.as_str()).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_placed_by_row_and_column_and_what_did_not_run_is_seen() {
        let lines = "a_stop\thelper\tpassed\tdown 7 ms\na_stop\texec\tfailed\tsee\nz\texec\tskipped\tno root\n";
        let table = Table::read(lines).unwrap();
        let expected = [
            "       | exec    | helper   ",
            "a stop | FAILED  | down 7 ms",
            "z      | SKIPPED | -        ",
            "skipped: exec, z: no root",
            "1 passed, 1 failed, 1 skipped",
        ];
        assert_eq!(table.text(), expected.join("\n"));
        assert_eq!(table.json()[1]["result"], "failed");
    }

    #[test]
    fn a_line_that_is_no_cell_is_an_error() {
        assert!(Table::read("a\tb\n").is_err());
    }
}
