//! Durations and sizes as people write them in the configuration, as serde `with` modules.
//!
//! A duration is a whole number with `ms`, `s`, `m`, `h` or `d`; a bare number is seconds. A size is a whole number with
//! `B`, `K`/`KB`, `M`/`MB` or `G`/`GB`, decimal (1 K is 1,000 bytes); a bare number is bytes.

use std::fmt;
use std::time::Duration;

use serde::de::{Error, Visitor};

/// Reads and writes a [`Duration`]: `#[serde(with = "module_api::units::duration")]`.
pub mod duration {
    use super::{Duration, DurationVisitor};
    use serde::{Deserializer, Serializer};

    /// Reads `500ms`, `30s`, `1h`, or a bare number of seconds.
    ///
    /// # Errors
    /// Anything else, with what is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }

    /// Writes the shortest exact form.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*value))
    }
}

/// Reads and writes a size in bytes: `#[serde(with = "module_api::units::size")]`.
pub mod size {
    use super::SizeVisitor;
    use serde::{Deserializer, Serializer};

    /// Reads `64K`, `1MB`, or a bare number of bytes.
    ///
    /// # Errors
    /// Anything else, with what is allowed.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }

    /// Writes the number of bytes.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*value)
    }
}

/// The duration that `text` says, or `None`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(millis)?))
}

/// The size in bytes that `text` says, or `None`.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "" | "B" => 1,
        "K" | "KB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `value` with the largest unit that divides it: `1500ms`, `30s`, `2m`. Fractions of a millisecond are cut off.
#[must_use]
pub fn format_duration(value: Duration) -> String {
    let millis = value.as_millis();
    for (factor, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if millis != 0 && millis.is_multiple_of(factor) {
            return format!("{}{unit}", millis / factor);
        }
    }
    format!("{millis}ms")
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

const DURATION_RULE: &str = "a duration such as 500ms, 30s, 5m, 1h or 1d";
const SIZE_RULE: &str = "a size such as 512, 64K, 1MB or 2G";

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DURATION_RULE)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Duration, E> {
        Ok(Duration::from_secs(seconds))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
        u64::try_from(seconds)
            .map(Duration::from_secs)
            .map_err(|_| E::custom(format_args!("found {seconds}, expected {DURATION_RULE}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse_duration(text)
            .ok_or_else(|| E::custom(format_args!("found {text:?}, expected {DURATION_RULE}")))
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIZE_RULE)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<u64, E> {
        Ok(bytes)
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes)
            .map_err(|_| E::custom(format_args!("found {bytes}, expected {SIZE_RULE}")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        parse_size(text)
            .ok_or_else(|| E::custom(format_args!("found {text:?}, expected {SIZE_RULE}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_time_has_its_value() {
        let read = |text| parse_duration(text).unwrap().as_millis();
        assert_eq!(
            ["500ms", "30s", "30", "5m", "2h", "1d"].map(read),
            [500, 30_000, 30_000, 300_000, 7_200_000, 86_400_000]
        );
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(
            ["7", "7B", "64K", "1KB", "2MB", "3G"].map(|text| parse_size(text).unwrap()),
            [7, 7, 64_000, 1_000, 2_000_000, 3_000_000_000]
        );
    }

    #[test]
    fn what_is_not_a_number_with_a_unit_is_refused() {
        for text in ["", "s", "-1s", "1.5s", "10 s", "10x", "99999999999999999999s", "30S"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_size("1m"), None);
        assert_eq!(parse_duration("18446744073709551615d"), None, "overflow");
    }

    proptest::proptest! {
        #[test]
        fn a_written_duration_reads_back(millis in 0_u64..10_000_000_000) {
            let value = Duration::from_millis(millis);
            proptest::prop_assert_eq!(parse_duration(&format_duration(value)), Some(value));
        }
    }
}
