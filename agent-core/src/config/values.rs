//! Reads single values of the configuration, and refuses those out of range with the range.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use module_api::units::{self, format_duration};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The longest path of a Unix socket on Linux, in bytes: `sun_path` without its closing zero.
const MAX_SOCKET_PATH: usize = 107;

/// A value that has a name in the configuration.
pub(super) trait Named: Copy + 'static {
    /// Every name with its value, in the order in which they are listed for people.
    const NAMES: &'static [(&'static str, Self)];
}

/// A duration of `MIN_MS` to `MAX_MS` milliseconds.
pub(super) fn duration_between<'de, const MIN_MS: u64, const MAX_MS: u64, D>(
    deserializer: D,
) -> Result<Duration, D::Error>
where
    D: Deserializer<'de>,
{
    let value = units::duration::deserialize(deserializer)?;
    let (min, max) = (Duration::from_millis(MIN_MS), Duration::from_millis(MAX_MS));
    let [found, from, to] = [value, min, max].map(format_duration);
    in_range(value, min, max).ok_or_else(|| out_of_range(&found, &from, &to))
}

/// The same, or null.
pub(super) fn optional_duration_between<'de, const MIN_MS: u64, const MAX_MS: u64, D>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Between<const MIN_MS: u64, const MAX_MS: u64>(Duration);
    impl<'de, const MIN_MS: u64, const MAX_MS: u64> Deserialize<'de> for Between<MIN_MS, MAX_MS> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            duration_between::<MIN_MS, MAX_MS, D>(deserializer).map(Self)
        }
    }
    let value = Option::<Between<MIN_MS, MAX_MS>>::deserialize(deserializer)?;
    Ok(value.map(|Between(duration)| duration))
}

/// A size of `MIN` to `MAX` bytes.
pub(super) fn size_between<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    let value = units::size::deserialize(deserializer)?;
    let [found, from, to] = [value, MIN, MAX].map(format_size);
    in_range(value, MIN, MAX).ok_or_else(|| out_of_range(&found, &from, &to))
}

/// A whole number from `MIN` to `MAX`, both of which `T` can hold.
pub(super) fn number_between<'de, const MIN: u64, const MAX: u64, T, D>(
    deserializer: D,
) -> Result<T, D::Error>
where
    T: TryFrom<u64, Error: fmt::Display>,
    D: Deserializer<'de>,
{
    let number = deserializer.deserialize_any(NumberVisitor { min: MIN, max: MAX })?;
    T::try_from(number).map_err(D::Error::custom)
}

/// One of the names of `T`.
pub(super) fn named<'de, T: Named, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(NamedVisitor(PhantomData))
}

/// The permission bits of a file, written as octal digits.
pub(super) fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    deserializer.deserialize_any(ModeVisitor)
}

/// An absolute path, or null. A relative one would depend on where the agent was started.
pub(super) fn path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    deserializer.deserialize_any(PathVisitor)
}

/// Like [`path()`], and short enough for a Unix socket.
pub(super) fn socket_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    let path = path(deserializer)?;
    match path.as_ref().map_or(0, |path| path.as_os_str().len()) {
        0..=MAX_SOCKET_PATH => Ok(path),
        length => Err(D::Error::custom(format_args!(
            "found a path of {length} bytes, expected at most {MAX_SOCKET_PATH}, as Linux demands of sockets"
        ))),
    }
}

/// A section within a section; null, as left behind when all its keys are comments, means its defaults.
pub(super) fn subsection<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn in_range<T: PartialOrd>(value: T, min: T, max: T) -> Option<T> {
    (min <= value && value <= max).then_some(value)
}

fn out_of_range<E: Error>(found: &str, from: &str, to: &str) -> E {
    E::custom(format_args!("found {found}, expected {from} to {to}"))
}

/// `bytes` with the largest unit that divides it.
fn format_size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")];
    let unit = units.into_iter().find(|(factor, _)| bytes != 0 && bytes.is_multiple_of(*factor));
    let (factor, name) = unit.unwrap_or((1, "B"));
    format!("{}{name}", bytes / factor)
}

struct NumberVisitor {
    min: u64,
    max: u64,
}

impl Visitor<'_> for NumberVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.min, self.max)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
        in_range(value, self.min, self.max)
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Unsigned(value), &self))
    }
}

struct NamedVisitor<T>(PhantomData<T>);

impl<T: Named> Visitor<'_> for NamedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = T::NAMES.iter().map(|(name, _)| *name).collect();
        write!(f, "one of {}", names.join(", "))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let known = T::NAMES.iter().find(|(name, _)| *name == text);
        known
            .map(|(_, value)| *value)
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

struct ModeVisitor;

impl Visitor<'_> for ModeVisitor {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an octal mode from \"0000\" to \"0777\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u32, E> {
        // The leading zero is required: without it, YAML reads a decimal number.
        Some(text)
            .filter(|text| text.len() == 4 && text.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|text| u32::from_str_radix(text, 8).ok())
            .filter(|mode| *mode <= 0o777)
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

struct PathVisitor;

impl Visitor<'_> for PathVisitor {
    type Value = Option<PathBuf>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an absolute path, or null for the default")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<PathBuf>, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<PathBuf>, E> {
        // A zero byte ends a path in the kernel, which would then name another file.
        if text.starts_with('/') && !text.contains('\0') {
            return Ok(Some(PathBuf::from(text)));
        }
        Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_written_with_the_largest_unit_that_divides_it() {
        assert_eq!(
            [0, 1, 1_500, 64_000, 100_000_000, 2_000_000_000].map(format_size),
            ["0B", "1B", "1500B", "64KB", "100MB", "2GB"]
        );
    }

    #[test]
    fn both_ends_of_a_range_are_in_it() {
        assert_eq!([1, 2, 3, 4].map(|n| in_range(n, 2, 3)), [None, Some(2), Some(3), None]);
    }
}
