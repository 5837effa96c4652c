//! Decides, without touching anything, what the end of a file means that was written when the process was killed.

/// What to do with the bytes behind the recorded length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// So many of the next events are in the file already, whole.
    pub(super) delivered: usize,
    /// So many bytes stay; what follows them is cut off.
    pub(super) keep: usize,
}

/// Compares `tail`, the bytes behind the recorded length, with the texts of the events that come `next`.
///
/// Whole lines that are the next events count as delivered; whole lines of somebody else stay. A torn last line is
/// cut off if it is the beginning of the next event. So is everything from the first line that holds a NUL on: no
/// event has one, and after a power cut it stands where data never reached the disk. An unfinished line of somebody
/// else stays, because it is not ours to destroy.
pub(super) fn judge<'a>(tail: &[u8], next: impl IntoIterator<Item = &'a str>) -> Verdict {
    let mut next = next.into_iter().peekable();
    let mut verdict = Verdict { delivered: 0, keep: 0 };
    for line in tail.split_inclusive(|byte| *byte == b'\n') {
        let expected = next.peek().map_or(&b""[..], |body| body.as_bytes());
        let whole = line.strip_suffix(b"\n");
        let torn = whole.is_none() && expected.starts_with(line);
        if torn || line.contains(&0) {
            break;
        }
        if whole.is_some_and(|text| !expected.is_empty() && text == expected) {
            verdict.delivered += 1;
            next.next();
        }
        verdict.keep += line.len();
    }
    verdict
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEXT: [&str; 3] = ["{\"id\":\"1\"}", "{\"id\":\"2\"}", "{\"id\":\"3\"}"];

    fn verdict(tail: &str) -> (usize, usize) {
        let Verdict { delivered, keep } = judge(tail.as_bytes(), NEXT);
        (delivered, keep)
    }

    #[test]
    fn an_untouched_file_has_delivered_nothing() {
        assert_eq!(verdict(""), (0, 0));
    }

    #[test]
    fn whole_lines_of_the_next_events_are_delivered() {
        assert_eq!(verdict("{\"id\":\"1\"}\n{\"id\":\"2\"}\n"), (2, 22));
    }

    #[test]
    fn a_torn_last_line_is_cut_off() {
        assert_eq!(verdict("{\"id\":\"1\"}\n{\"id\""), (1, 11));
    }

    #[test]
    fn a_line_that_lacks_only_its_end_is_torn() {
        assert_eq!(verdict("{\"id\":\"1\"}"), (0, 0));
    }

    #[test]
    fn lines_of_somebody_else_stay_and_count_for_nothing() {
        assert_eq!(verdict("hello\n\n{\"id\":\"1\"}\nbye"), (1, 21));
    }

    #[test]
    fn an_event_that_is_not_the_next_one_counts_for_nothing() {
        assert_eq!(verdict("{\"id\":\"2\"}\n"), (0, 11));
    }

    #[test]
    fn what_a_power_cut_left_empty_is_cut_off() {
        assert_eq!(verdict("{\"id\":\"1\"}\n{\"id\":\0\0\0"), (1, 11));
        assert_eq!(verdict("\0\0\0\0\"}\n{\"id\":\"2\"}\n"), (0, 0));
    }

    #[derive(Debug, Clone)]
    enum Piece {
        Event,
        Foreign(String),
    }

    proptest! {
        /// Writes a file as the output would, tears it anywhere, recovers, and writes the rest: every event is in
        /// the file once, and no whole line of somebody else is missing.
        #[test]
        fn after_a_tear_anywhere_every_event_is_there_exactly_once(
            pieces in prop::collection::vec(
                prop_oneof![3 => Just(Piece::Event), 1 => "[a-z ]{0,12}".prop_map(Piece::Foreign)], 0..20),
            cut in 0.0_f64..=1.0,
            zeros in prop_oneof![Just(0_usize), 1_usize..9],
        ) {
            let bodies: Vec<String> = (0..25).map(|n| format!("{{\"id\":\"{n}\"}}")).collect();
            let (mut tail, mut written, mut ends) = (String::new(), 0, Vec::new());
            for piece in &pieces {
                match piece {
                    Piece::Event => { tail.push_str(&bodies[written]); written += 1; }
                    Piece::Foreign(text) => tail.push_str(text),
                }
                tail.push('\n');
                ends.push(tail.len());
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a small number")]
            let cut = (tail.len() as f64 * cut) as usize;
            let mut torn = tail.as_bytes()[..cut].to_vec();
            torn.extend(std::iter::repeat_n(0, zeros));

            let verdict = judge(&torn, bodies.iter().map(String::as_str));
            let mut file = torn[..verdict.keep].to_vec();
            if file.last().is_some_and(|byte| *byte != b'\n') {
                file.push(b'\n');
            }
            for body in &bodies[verdict.delivered..] {
                file.extend_from_slice(body.as_bytes());
                file.push(b'\n');
            }

            let file = String::from_utf8(file).unwrap();
            let events: Vec<&str> = file.lines().filter(|line| line.starts_with('{')).collect();
            prop_assert_eq!(events, bodies.iter().map(String::as_str).collect::<Vec<_>>());
            let whole_foreign = pieces.iter().zip(&ends)
                .filter(|(piece, end)| matches!(piece, Piece::Foreign(_)) && **end <= cut).count();
            let left = file.lines().filter(|line| !line.starts_with('{')).count();
            prop_assert!(left >= whole_foreign && left <= whole_foreign + 1);
        }
    }
}
