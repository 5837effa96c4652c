//! Rule: a function fits on a screen.

use std::path::Path;

use super::Finding;

/// Lines from `fn` to the closing brace, both included.
const LONGEST: usize = 60;

/// Takes masked code, see [`super::mask`].
pub(super) fn check(file: &Path, code: &str) -> Vec<Finding> {
    let advice =
        |name, lines| format!("{name} has {lines} lines, split it to have at most {LONGEST}");
    functions(code)
        .filter(|function| function.lines > LONGEST)
        .map(|function| {
            Finding::new(
                file,
                function.line,
                "function length",
                advice(function.name, function.lines),
            )
        })
        .collect()
}

struct Function<'a> {
    name: &'a str,
    line: usize,
    lines: usize,
}

fn functions(code: &str) -> impl Iterator<Item = Function<'_>> {
    code.match_indices("fn ").filter_map(|(start, _)| {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
            return None;
        }
        let rest = &code[start + 3..];
        let name = &rest[..rest.find(['(', '<'])?];
        let end = start + 3 + body_end(rest)?;
        let line = 1 + count_lines(&code[..start]);
        Some(Function { name, line, lines: 1 + count_lines(&code[start..end]) })
    })
}

fn count_lines(code: &str) -> usize {
    code.matches('\n').count()
}

/// Where the brace is that closes the body; none for a declaration that ends in a semicolon.
fn body_end(code: &str) -> Option<usize> {
    let mut open = Vec::new();
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' | '{' => open.push(letter),
            ')' | ']' => _ = open.pop(),
            '}' => {
                open.pop();
                if open.is_empty() {
                    return Some(at);
                }
            }
            ';' if open.is_empty() => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::mask::mask;

    fn findings(source: &str) -> Vec<String> {
        check(Path::new("a.rs"), &mask(source)).iter().map(ToString::to_string).collect()
    }

    fn function_of(lines: usize) -> String {
        format!("fn long(\n    a: [u8; 3],\n) {{\n{}}}\n", "    // }\n".repeat(lines - 4))
    }

    #[test]
    fn a_function_of_sixty_lines_is_fine_and_one_more_is_not() {
        assert_eq!(findings(&function_of(60)), [""; 0]);
        assert_eq!(
            findings(&format!("\nasync {}", function_of(61))),
            ["a.rs:2: function length: long has 61 lines, split it to have at most 60"]
        );
    }

    #[test]
    fn two_short_functions_are_not_one_long_one() {
        assert_eq!(findings(&function_of(35).repeat(2)), [""; 0]);
    }

    #[test]
    fn a_declaration_has_no_body_and_does_not_take_the_next_one() {
        let trait_with_declarations =
            format!("trait A {{\n    fn a(&self);\n{}}}", "    fn b(&self);\n".repeat(80));
        assert_eq!(findings(&trait_with_declarations), [""; 0]);
    }

    #[test]
    fn a_function_in_text_is_no_function() {
        assert_eq!(findings(&format!("const A: &str = r#\"{}\"#;", function_of(80))), [""; 0]);
    }
}
