//! Numbers as people read them: how many, how much, how fast, how long.

/// `134,000`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 file`, `2 files`
pub(super) fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `999 B`, `1.0 kB`, `6.2 GB`: powers of 1000, two digits at least.
pub(super) fn bytes(number: u64) -> String {
    if number < 1000 {
        return format!("{number} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits of it are shown")]
    let mut amount = number as f64 / 1000.0;
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    // From here on it would be shown as 1000.
    while amount >= 999.5
        && let Some(next) = units.next()
    {
        (amount, unit) = (amount / 1000.0, next);
    }
    if amount < 9.95 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
}

/// A time in milliseconds: `7 ms`, `4.9 s`, `3m 5s`, `2h 3m`.
pub(super) fn lasting(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown = [0, 7, 999, 1000, 134_000, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "7", "999", "1,000", "134,000", "1,234,567"]);
        assert_eq!([counted(1, "file"), counted(0, "file")], ["1 file", "0 files"]);
    }

    #[test]
    fn an_amount_has_the_unit_in_which_it_is_shortest() {
        let numbers = [0, 999, 1000, 9_949, 9_950, 999_499, 999_500, 6_200_000_000, u64::MAX];
        let shown = numbers.map(bytes);
        let expected =
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "6.2 GB", "18 EB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_time_has_its_two_largest_units() {
        let shown = [0, 999, 4_950, 59_999, 185_000, 7_400_000].map(lasting);
        assert_eq!(shown, ["0 ms", "999 ms", "4.9 s", "59.9 s", "3m 5s", "2h 3m"]);
    }
}
