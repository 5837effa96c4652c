//! Rules about files: short, named for what they hold, opening with their purpose.

use std::path::Path;

use super::Finding;

/// Lines of a file, tests included.
const LONGEST: usize = 400;

/// Names that say nothing, and so collect everything.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "helpers", "misc"];

/// Takes the source and its masked code, see [`super::mask`].
pub(super) fn check(file: &Path, text: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST {
        let advice = format!("{lines} lines, split it to have at most {LONGEST}");
        findings.push(Finding::new(file, LONGEST + 1, "file length", advice));
    }
    if !text.starts_with("//!") {
        findings.push(Finding::new(
            file,
            1,
            "header",
            "open the file with a `//!` sentence that says its one purpose",
        ));
    }
    if file.file_name().is_some_and(|name| name == "mod.rs") {
        let advice = "name the file after its module and put it beside the module's folder";
        findings.push(Finding::new(file, 1, "no mod.rs", advice));
    }
    findings.extend(names(file, code).into_iter().map(|(line, name)| {
        Finding::new(
            file,
            line,
            "module name",
            format!("`{name}` names nothing, name the module after what it does"),
        )
    }));
    findings
}

/// Empty names among the parts of the path and the modules written inside the file.
fn names<'a>(file: &'a Path, code: &'a str) -> Vec<(usize, &'a str)> {
    let stem = file.with_extension("");
    let of_path = stem.iter().filter_map(|part| part.to_str());
    let of_path = of_path.filter_map(|part| EMPTY_NAMES.into_iter().find(|name| *name == part));
    let inside = code.lines().enumerate().filter_map(|(index, line)| {
        let (_, name) = line.trim_end().strip_suffix('{')?.trim_end().split_once("mod ")?;
        Some((index + 1, EMPTY_NAMES.into_iter().find(|empty| *empty == name)?))
    });
    of_path.map(|name| (1, name)).chain(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::mask::mask;

    fn findings(file: &str, text: &str) -> Vec<String> {
        check(Path::new(file), text, &mask(text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_short_file_with_a_header_is_fine() {
        assert_eq!(findings("restart/src/ticket.rs", "//! The ticket.\nmod tests {\n}\n"), [""; 0]);
    }

    #[test]
    fn a_file_of_more_than_four_hundred_lines_is_too_long() {
        assert_eq!(findings("a.rs", &"//! Text.\n".repeat(400)), [""; 0]);
        assert_eq!(
            findings("a.rs", &"//! Text.\n".repeat(401)),
            ["a.rs:401: file length: 401 lines, split it to have at most 400"]
        );
    }

    #[test]
    fn a_file_without_its_purpose_is_found() {
        assert!(findings("a.rs", "use std::fs;\n//! Late.\n")[0].starts_with("a.rs:1: header: "));
        assert!(findings("a.rs", "")[0].starts_with("a.rs:1: header: "));
    }

    #[test]
    fn a_mod_rs_is_found() {
        assert!(findings("src/a/mod.rs", "//! A.")[0].starts_with("src/a/mod.rs:1: no mod.rs: "));
    }

    #[test]
    fn a_name_that_says_nothing_is_found_as_file_folder_and_inline_module() {
        for file in ["src/utils.rs", "src/helpers/a.rs"] {
            assert!(
                findings(file, "//! A.")[0].starts_with(&format!("{file}:1: module name: ")),
                "{file}"
            );
        }
        assert!(
            findings("a.rs", "//! A.\npub(crate) mod misc {\n}")[0]
                .starts_with("a.rs:2: module name: `misc`")
        );
        assert_eq!(findings("src/common_name.rs", "//! A."), [""; 0]);
    }
}
