//! Puts the messages of serde into the words of the configuration: what was found, and what is allowed.
//!
//! serde's messages are all that a module's kind hands back, so they are read as text. One of an unknown form is kept
//! as it is.

use serde_json::Value;

use super::suggest::closest;

/// The longest part of a found value that is shown, in characters: what is allowed must not be lost behind it.
const MAX_FOUND: usize = 100;

/// `message` with keys for fields, lists for sequences and so on.
pub(super) fn reword(message: &str) -> String {
    unknown(message, "field", "key")
        .or_else(|| unknown(message, "variant", "value"))
        .or_else(|| mismatch(message))
        .or_else(|| missing(message))
        .or_else(|| already_plain(message))
        .unwrap_or_else(|| message.to_owned())
}

/// Says that `word` is no `what`, which of `allowed` was perhaps meant, and all of them.
pub(super) fn unknown_word(what: &str, word: &str, allowed: &[&str]) -> String {
    let meant = closest(word, allowed)
        .map_or_else(String::new, |meant| format!(" (did you mean {meant:?}?)"));
    let word = clipped(word);
    match allowed {
        [] => format!("unknown {what} {word:?}, expected none"),
        [only] => format!("unknown {what} {word:?}{meant}, expected {only}"),
        several => {
            format!("unknown {what} {word:?}{meant}, expected one of {}", several.join(", "))
        }
    }
}

/// Says that `value` stands where something else should.
pub(super) fn mismatch_of(value: &Value, expected: &str) -> String {
    let found = match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    };
    format!("found {}, expected {expected}", clipped(&found))
}

/// ``unknown field `x`, expected one of `a`, `b` ``, with `field` or another noun.
fn unknown(message: &str, noun: &str, what: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown ")?.strip_prefix(noun)?.strip_prefix(" `")?;
    // The last one, because the word itself may contain anything.
    let (word, names) =
        rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are no "))?;
    let allowed: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
    Some(unknown_word(what, word, &allowed))
}

/// ``invalid type: integer `5`, expected a string``, and the same with `value`.
fn mismatch(message: &str) -> Option<String> {
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some(format!("found {}, expected {}", clipped(plain_found(found)), plain_expected(expected)))
}

/// `found "5x", expected a duration`, as the agent's own readers of values say it.
fn already_plain(message: &str) -> Option<String> {
    let (found, expected) = message.strip_prefix("found ")?.rsplit_once(", expected ")?;
    Some(format!("found {}, expected {expected}", clipped(found)))
}

/// ``missing field `x` ``.
fn missing(message: &str) -> Option<String> {
    let name = message.strip_prefix("missing field `")?.strip_suffix('`')?;
    Some(format!("the key {name:?} is missing"))
}

/// `text` up to [`MAX_FOUND`] characters.
fn clipped(text: &str) -> String {
    match text.char_indices().nth(MAX_FOUND) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn plain_found(found: &str) -> &str {
    let quoted = ["boolean `", "integer `", "floating point `"].into_iter();
    if let Some(value) = quoted.filter_map(|kind| found.strip_prefix(kind)).next() {
        return value.strip_suffix('`').unwrap_or(value);
    }
    match found {
        "sequence" => "a list",
        "map" => "a mapping",
        other => other.strip_prefix("string ").unwrap_or(other),
    }
}

fn plain_expected(expected: &str) -> &str {
    match expected {
        "a boolean" => "true or false",
        "a string" | "path string" => "a text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "unit" => "nothing",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "string or map" => "a name",
        other if other.starts_with("struct ") => "a mapping of keys",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_serde_is_put_into_plain_words() {
        for (message, expected) in [
            (
                "unknown field `timout`, expected one of `method`, `timeout`, `ready`",
                r#"unknown key "timout" (did you mean "timeout"?), expected one of method, timeout, ready"#,
            ),
            (
                "unknown field `x`, expected `aa` or `bb`",
                r#"unknown key "x", expected one of aa, bb"#,
            ),
            ("unknown field `x`, expected `aa`", r#"unknown key "x", expected aa"#),
            ("unknown field `x`, there are no fields", r#"unknown key "x", expected none"#),
            ("unknown field `a`, expected `b`, expected `cc`", {
                r#"unknown key "a`, expected `b", expected cc"#
            }),
            (
                "unknown variant `hnag`, expected one of `ok`, `hang`",
                r#"unknown value "hnag" (did you mean "hang"?), expected one of ok, hang"#,
            ),
            ("invalid type: string \"abc\", expected u16", {
                r#"found "abc", expected a whole number from 0 to 65535"#
            }),
            ("invalid type: boolean `true`, expected a string", "found true, expected a text"),
            (
                "invalid value: integer `-1`, expected u64",
                "found -1, expected a whole number from 0 on",
            ),
            ("invalid type: map, expected a sequence", "found a mapping, expected a list"),
            (
                "invalid type: sequence, expected struct Script",
                "found a list, expected a mapping of keys",
            ),
            ("invalid type: null, expected a boolean", "found null, expected true or false"),
            ("missing field `path`", r#"the key "path" is missing"#),
            ("the folder is too deep", "the folder is too deep"),
        ] {
            assert_eq!(reword(message), expected);
        }
    }
}
