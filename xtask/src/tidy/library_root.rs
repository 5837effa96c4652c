//! Rule: a `lib.rs` is a table of contents; it holds docs, `mod` lines and `pub use` only.

use std::path::Path;

use super::Finding;

/// Takes masked code, see [`super::mask`].
pub(super) fn check(file: &Path, code: &str) -> Vec<Finding> {
    if !file.ends_with("src/lib.rs") {
        return Vec::new();
    }
    let advice =
        "move this to a module of its own, lib.rs holds docs, `mod` lines and `pub use` only";
    statements(code)
        .filter(|(_, statement)| !belongs(statement))
        .map(|(line, _)| Finding::new(file, line, "lib.rs is a table of contents", advice))
        .collect()
}

fn belongs(statement: &str) -> bool {
    if statement.starts_with('#') {
        return true;
    }
    let without_visibility =
        statement.strip_prefix("pub(crate) ").or_else(|| statement.strip_prefix("pub "));
    let item = without_visibility.unwrap_or(statement);
    (item.starts_with("mod ") && item.ends_with(';'))
        || (without_visibility.is_some() && item.starts_with("use "))
}

/// The outermost statements and attributes, each with the line it starts on.
fn statements(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut spans = Vec::new();
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let statement = code[start..=at].trim_start();
        let ended = match letter {
            ';' => true,
            ']' => statement.starts_with('#'),
            '}' => !statement.contains("use "),
            _ => false,
        };
        if depth == 0 && ended {
            spans.push((start, at + 1));
            start = at + 1;
        }
    }
    spans.push((start, code.len()));
    spans.into_iter().filter_map(|(start, end)| {
        let raw = &code[start..end];
        let statement = raw.trim();
        let blank = raw.len() - raw.trim_start().len();
        let line = 1 + code[..start + blank].matches('\n').count();
        (!statement.is_empty()).then_some((line, statement))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::mask::mask;

    fn lines(file: &str, source: &str) -> Vec<usize> {
        check(Path::new(file), &mask(source)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn docs_attributes_modules_and_reexports_belong_into_it() {
        let source = "//! A crate.\n#![forbid(\n    unsafe_code\n)]\n\nmod a;\n/// B.\n#[cfg(feature = \"b\")]\n\
                      pub mod b;\npub use a::{\n    One,\n    Two,\n};\npub(crate) use b::C;\n";
        assert_eq!(lines("a/src/lib.rs", source), [0; 0]);
    }

    #[test]
    fn anything_else_is_found_where_it_starts() {
        let source = "//! A crate.\n\nuse std::fs;\nmod a;\npub fn f() {\n    g();\n}\n#[test]\nmod b {\n}\nstatic C: u8 = 1;\n";
        assert_eq!(lines("a/src/lib.rs", source), [3, 5, 9, 11]);
    }

    #[test]
    fn other_files_may_hold_what_they_like() {
        assert_eq!(lines("a/src/main.rs", "fn main() {}"), [0; 0]);
    }
}
