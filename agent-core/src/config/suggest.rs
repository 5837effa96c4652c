//! Guesses which word somebody meant who mistyped it.

/// The one of `candidates` that is closest to `word`, if it is close enough to be meant: at most one typing error in
/// short words, and one in three characters in longer ones.
pub(super) fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .filter_map(|candidate| {
            let allowed = (candidate.len() / 3).max(1);
            // A long word is not compared letter by letter, because a file may be full of them.
            let distance = (word.len().abs_diff(candidate.len()) <= allowed)
                .then(|| distance(&word.to_lowercase(), candidate))?;
            (distance <= allowed).then_some((distance, *candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be put in, left out, replaced or swapped with their neighbour to make `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // rows[i][j] is the distance of the first i characters of a and the first j of b.
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 4] = ["timeout", "stop_timeout", "start_timeout", "keep"];

    #[test]
    fn a_typing_error_is_seen_through() {
        for (typed, meant) in [
            ("timout", "timeout"),
            ("tiemout", "timeout"),
            ("Timeout", "timeout"),
            ("stop-timeout", "stop_timeout"),
            ("keeep", "keep"),
        ] {
            assert_eq!(closest(typed, &WORDS), Some(meant), "{typed}");
        }
    }

    #[test]
    fn another_word_is_not_taken_for_a_typing_error() {
        for typed in ["", "colour", "keen as", "time", "\u{e9}\u{e9}\u{e9}\u{e9}"] {
            assert_eq!(closest(typed, &WORDS), None, "{typed}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_distance_has_no_direction_and_is_zero_only_for_the_same(a in "[abc]{0,6}", b in "[abc]{0,6}") {
            proptest::prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            proptest::prop_assert_eq!(distance(&a, &b) == 0, a == b);
        }
    }
}
