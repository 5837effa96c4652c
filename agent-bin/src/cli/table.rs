//! Text in aligned columns.

use super::paint::{Paint, Tone, harmless};

/// One field of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

impl Cell {
    /// Text, aligned left.
    pub(super) fn text(text: &str) -> Self {
        Self { text: harmless(text), ..Self::default() }
    }

    /// A quantity, aligned right.
    pub(super) fn number(text: &str) -> Self {
        Self { right: true, ..Self::text(text) }
    }

    /// The same with a tone.
    pub(super) fn tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// A line of headings and a line for each row, in columns as wide as their widest cell. A column is aligned right if
/// any of its cells is. Every line ends with a line feed and without spaces before it.
pub(super) fn table(headings: &[&str], rows: &[Vec<Cell>], paint: Paint) -> String {
    let columns: Vec<(usize, bool)> = (headings.iter().enumerate())
        .map(|(column, heading)| {
            let cells = || rows.iter().filter_map(move |row| row.get(column));
            let widest = cells().map(|cell| cell.text.chars().count()).max().unwrap_or(0);
            (widest.max(heading.chars().count()), cells().any(|cell| cell.right))
        })
        .collect();
    let headings: Vec<Cell> =
        headings.iter().map(|heading| Cell::text(heading).tone(Tone::Faint)).collect();
    let lines = std::iter::once(&headings).chain(rows).map(|row| line(row, &columns, paint));
    lines.collect()
}

fn line(row: &[Cell], columns: &[(usize, bool)], paint: Paint) -> String {
    let mut line = String::new();
    let mut gap = 0;
    for (cell, (width, right)) in row.iter().zip(columns) {
        let padding = width.saturating_sub(cell.text.chars().count());
        let before = if *right { gap + padding } else { gap };
        if !cell.text.is_empty() {
            line.push_str(&" ".repeat(before));
            line.push_str(&paint.text(cell.tone, &cell.text));
            gap = 0;
        } else {
            gap = before;
        }
        gap += 2 + if *right { 0 } else { padding };
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec![Cell::text("logcollector"), Cell::number("9"), Cell::text("x")],
            vec![Cell::text("fim"), Cell::number("1000"), Cell::text("")],
            vec![Cell::text(""), Cell::number(""), Cell::text("last")],
        ];
        let expected = "\
NAME          COUNT  NOTE
logcollector      9  x
fim            1000
                     last
";
        assert_eq!(table(&["NAME", "COUNT", "NOTE"], &rows, Paint { on: false }), expected);
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let rows = [vec![Cell::text("ok").tone(Tone::Good), Cell::text("x")]];
        let expected = "\x1b[2mSTATE\x1b[0m  \x1b[2mY\x1b[0m\n\x1b[32mok\x1b[0m     x\n";
        assert_eq!(table(&["STATE", "Y"], &rows, Paint { on: true }), expected);
    }

    #[test]
    fn a_table_without_rows_is_its_headings() {
        assert_eq!(table(&["A", "B"], &[], Paint { on: false }), "A  B\n");
    }
}
