//! How far a scan is, in one line.

use serde_json::Value;

use crate::cli::paint::{Paint, Tone};
use crate::cli::quantity::{bytes, counted, grouped};

/// How wide the bar is, so that a line of less than a billion files is narrower than 80 characters.
const WIDTH: u64 = 24;

/// The `scan` of a status as a line with a bar; without one if nobody knows how many files there are.
pub(super) fn line(scan: &Value, paint: Paint) -> String {
    if !scan.is_object() {
        return "waiting for the scan to begin".to_owned();
    }
    let number = |name: &str| scan[name].as_u64().unwrap_or(0);
    let done = number("files_done");
    let read = bytes(number("bytes_done"));
    let Some(expected) = scan["files_expected"].as_u64().filter(|expected| *expected > 0) else {
        return format!("scanning: {}, {read}", counted(done, "file"));
    };
    // There may be more files than were expected.
    let part = |of: u64| u128::from(done.min(expected)) * u128::from(of) / u128::from(expected);
    let full = usize::try_from(part(WIDTH)).unwrap_or(0);
    let bar = paint.text(Tone::Good, &"#".repeat(full));
    let rest = ".".repeat(usize::try_from(WIDTH).unwrap_or(0).saturating_sub(full));
    format!(
        "[{bar}{rest}] {:>3} %  {} of {} files, {read}",
        part(100),
        grouped(done),
        grouped(expected)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(files: u64, expected: Option<u64>) -> String {
        let scan =
            json!({ "files_done": files, "files_expected": expected, "bytes_done": 2_100_000_000 });
        line(&scan, Paint { on: false })
    }

    #[test]
    fn the_bar_is_as_full_as_the_scan_is_far() {
        for (files, expected) in [
            (0, "[........................]   0 %  0 of 134,000 files, 2.1 GB"),
            (51_234, "[#########...............]  38 %  51,234 of 134,000 files, 2.1 GB"),
            (133_999, "[#######################.]  99 %  133,999 of 134,000 files, 2.1 GB"),
            (200_000, "[########################] 100 %  200,000 of 134,000 files, 2.1 GB"),
        ] {
            assert_eq!(shown(files, Some(134_000)), expected);
        }
    }

    #[test]
    fn without_an_expectation_there_is_no_bar() {
        for expected in [None, Some(0)] {
            assert_eq!(shown(1, expected), "scanning: 1 file, 2.1 GB");
        }
        assert_eq!(line(&Value::Null, Paint { on: false }), "waiting for the scan to begin");
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        assert!(shown(999_999_999, Some(999_999_999)).chars().count() < 80);
    }
}
