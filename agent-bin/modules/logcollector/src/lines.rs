//! Splits bytes into lines, and lines that are too long into parts; nothing is cut away but the newlines.

use std::ops::Range;

/// A line, or a part of one, within the bytes that were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its bytes, without the newline.
    pub(crate) text: Range<usize>,
    /// What follows it.
    pub(crate) end: End,
}

/// What follows a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The newline, which belongs to no piece.
    Newline,
    /// The next part of the same line; there is at least one more byte of it.
    NextPart,
    /// Nothing more, ever: the file is finished and its last line has no newline.
    Nothing,
}

impl Piece {
    /// The index of the first byte after the piece and its newline.
    pub(crate) fn next(&self) -> usize {
        self.text.end + usize::from(self.end == End::Newline)
    }
}

/// Goes through bytes that begin where a line or a part of one begins.
///
/// It gives a piece as soon as later bytes cannot change it. So whoever comes back with the bytes from
/// the end of the last piece on, and more after them, gets the same pieces as if all had been there at once.
#[derive(Debug)]
pub(crate) struct Pieces<'a> {
    bytes: &'a [u8],
    at: usize,
    longest: usize,
    finished: bool,
}

impl<'a> Pieces<'a> {
    /// Pieces of at most `longest` bytes (more than 4). `finished` says that no bytes will ever follow.
    pub(crate) fn of(bytes: &'a [u8], longest: usize, finished: bool) -> Self {
        Self { bytes, at: 0, longest, finished }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let rest = self.bytes.get(self.at..)?;
        // A line of exactly `longest` bytes is whole, so its newline may be one byte further.
        let newline = rest.iter().take(self.longest + 1).position(|byte| *byte == b'\n');
        let (length, end) = match newline {
            Some(length) => (length, End::Newline),
            None if rest.len() > self.longest => (cut(rest, self.longest), End::NextPart),
            None if self.finished && !rest.is_empty() => (rest.len(), End::Nothing),
            None => return None,
        };
        let piece = Piece { text: self.at..self.at + length, end };
        self.at = piece.next();
        Some(piece)
    }
}

/// Where to cut `rest`, at most at `longest`, without cutting through a UTF-8 character.
fn cut(rest: &[u8], longest: usize) -> usize {
    let is_inner = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    if !rest.get(longest).copied().is_some_and(is_inner) {
        return longest;
    }
    for back in 1..=3 {
        let Some(byte) = longest.checked_sub(back).and_then(|at| rest.get(at)) else { break };
        let width = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ if is_inner(*byte) => continue,
            _ => 1,
        };
        return if width > back { longest - back } else { longest };
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONGEST: usize = 8;

    fn texts(bytes: &[u8], finished: bool) -> Vec<(&[u8], End)> {
        Pieces::of(bytes, LONGEST, finished)
            .map(|piece| (&bytes[piece.text.clone()], piece.end))
            .collect()
    }

    #[test]
    fn empty_lines_and_carriage_returns_are_kept() {
        let expected: [(&[u8], End); 3] =
            [(b"a\r", End::Newline), (b"", End::Newline), (b"b", End::Newline)];
        assert_eq!(texts(b"a\r\n\nb\n", false), expected);
    }

    #[test]
    fn a_last_line_without_newline_waits_until_the_file_is_finished() {
        assert_eq!(texts(b"a\nbc", false), [(b"a".as_slice(), End::Newline)]);
        assert_eq!(texts(b"a\nbc", true)[1], (b"bc".as_slice(), End::Nothing));
        assert_eq!(texts(b"a\n", true).len(), 1);
    }

    #[test]
    fn a_line_of_the_longest_length_is_whole_and_one_byte_more_makes_two_parts() {
        assert_eq!(texts(b"12345678\n", false), [(b"12345678".as_slice(), End::Newline)]);
        let expected: [(&[u8], End); 2] = [(b"12345678", End::NextPart), (b"9", End::Newline)];
        assert_eq!(texts(b"123456789\n", false), expected);
        assert_eq!(texts(b"12345678", false), [], "the newline may be next");
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_pieces(
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n')], 0..200),
            steps in proptest::collection::vec(0_usize..40, 0..40),
        ) {
            let whole: Vec<_> = Pieces::of(&bytes, LONGEST, true).collect();
            let mut grown = Vec::new();
            let (mut from, mut to) = (0, 0);
            for (step, last) in steps.into_iter().map(|step| (step, false)).chain([(bytes.len(), true)]) {
                to = (to + step).min(bytes.len());
                for piece in Pieces::of(&bytes[from..to], LONGEST, last).collect::<Vec<_>>() {
                    let text = from + piece.text.start..from + piece.text.end;
                    grown.push(Piece { text, end: piece.end });
                }
                from = grown.last().map_or(0, Piece::next);
            }
            prop_assert_eq!(grown, whole);
        }

        #[test]
        fn pieces_and_newlines_together_are_the_input(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut joined = Vec::new();
            for piece in Pieces::of(&bytes, LONGEST, true) {
                prop_assert!(piece.text.len() <= LONGEST);
                joined.extend_from_slice(&bytes[piece.text]);
                if piece.end == End::Newline {
                    joined.push(b'\n');
                }
            }
            prop_assert_eq!(joined, bytes);
        }

        #[test]
        fn text_is_never_cut_within_a_character(text in "[aé€\u{1f600}]{0,80}") {
            for piece in Pieces::of(text.as_bytes(), LONGEST, true) {
                prop_assert!(std::str::from_utf8(&text.as_bytes()[piece.text]).is_ok());
            }
        }
    }
}
