//! Moments as RFC 3339 writes them, and nothing else that looks like one.

use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;

/// What is allowed, as an error explains it.
pub(super) const MOMENT: &str = "a moment by RFC 3339 like 2026-01-31T08:30:00Z, with at most nine digits after the \
                                 second and no leap second";

/// The moment that `text` names. One later than any that can be represented (the last one is in the night to
/// 9999-12-31) is that last one, because "9999-12-31T23:59:59Z" is how some say "never".
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    // The parser below takes more than RFC 3339 allows: other separators, no offset, names of time zones.
    if !has_the_shape(text) {
        return None;
    }
    let pieces = Pieces::parse(text).ok()?;
    let local = pieces.date().to_datetime(pieces.time()?);
    Some(pieces.to_numeric_offset()?.to_timestamp(local).unwrap_or(Timestamp::MAX))
}

fn has_the_shape(text: &str) -> bool {
    let Some((to_the_second, rest)) = text.split_at_checked(19) else { return false };
    let rest = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let end = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if !(1..=9).contains(&(fraction.len() - end.len())) {
                return false;
            }
            end
        }
    };
    fits(to_the_second, "9999-99-99T99:99:59") && (fits(rest, "Z") || is_offset(rest))
}

fn is_offset(text: &str) -> bool {
    // Two digits each, so that texts compare like numbers.
    (fits(text, "+99:59") || fits(text, "-99:59")) && &text[1..3] <= "23"
}

/// Whether each byte of `text` is a digit up to the one in `pattern`, or the letter there in either case, or the sign.
fn fits(text: &str, pattern: &str) -> bool {
    let fits_one = |(byte, allowed): (u8, u8)| match allowed {
        b'0'..=b'9' => (b'0'..=allowed).contains(&byte),
        _ => byte.eq_ignore_ascii_case(&allowed),
    };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_standard_names_its_moment() {
        for (text, same) in [
            ("2026-01-31T08:30:00Z", "2026-01-31T08:30:00Z"),
            ("2026-01-31t08:30:00z", "2026-01-31T08:30:00Z"),
            ("2026-01-31T08:30:00.5Z", "2026-01-31T08:30:00.5Z"),
            ("2026-01-31T08:30:00.123456789+02:00", "2026-01-31T06:30:00.123456789Z"),
            ("2024-02-29T23:59:59-23:59", "2024-03-01T23:58:59Z"),
            ("0000-01-01T00:00:00+23:59", "-000001-12-31T00:01:00Z"),
            ("2026-01-31T08:30:00-00:00", "2026-01-31T08:30:00Z"),
        ] {
            assert_eq!(parse(text), Some(same.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_moment_too_late_to_be_represented_is_the_last_one() {
        assert_eq!(parse("9999-12-31T23:59:59Z"), Some(Timestamp::MAX));
        assert_eq!(parse("9999-12-31T23:59:59.999999999-23:59"), Some(Timestamp::MAX));
    }

    #[test]
    fn everything_else_is_no_moment() {
        for text in [
            "",
            "soon",
            "2026-01-31",
            "2026-01-31T08:30:00",
            "2026-01-31T08:30Z",
            "2026-01-31 08:30:00Z",
            "20260131T083000Z",
            "2026-1-31T08:30:00Z",
            "2026-01-32T08:30:00Z",
            "2026-02-29T08:30:00Z",
            "2026-13-01T08:30:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T08:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-01-31T08:30:00.Z",
            "2026-01-31T08:30:00,5Z",
            "2026-01-31T08:30:00.1234567890Z",
            "2026-01-31T08:30:00+2:00",
            "2026-01-31T08:30:00+0200",
            "2026-01-31T08:30:00+24:00",
            "2026-01-31T08:30:00+02:60",
            "2026-01-31T08:30:00+02:00[Europe/Madrid]",
            "+002026-01-31T08:30:00Z",
            "2026-01-31T08:30:00\u{e9}",
            "2026-01-31T08:30:0\u{e9}Z",
            " 2026-01-31T08:30:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
