//! Blanks out comments and literals, so that scanners can count on what they see being code.

/// The source with each character of a comment, string or character literal turned into a
/// space. Ends of lines stay where they are.
pub(super) fn mask(source: &str) -> String {
    let mut scanner = Scanner {
        left: source.chars().collect(),
        at: 0,
        code: String::with_capacity(source.len()),
    };
    scanner.run();
    scanner.code
}

struct Scanner {
    left: Vec<char>,
    at: usize,
    code: String,
}

impl Scanner {
    fn run(&mut self) {
        while let Some(next) = self.peek(0) {
            match (next, self.peek(1)) {
                ('/', Some('/')) => self.blank_until_line_end(),
                ('/', Some('*')) => self.blank_block_comment(),
                ('"', _) => self.blank_string(),
                ('r', Some('#' | '"')) if !self.inside_word() => self.blank_raw_string(),
                ('\'', Some('\\')) => self.blank_escaped_char(),
                ('\'', Some(_)) if self.peek(2) == Some('\'') => self.blank(3),
                _ => {
                    self.code.push(next);
                    self.at += 1;
                }
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.left.get(self.at + ahead).copied()
    }

    /// Whether an `r` here goes on a word; `br` and `cr` are prefixes of literals and are none.
    fn inside_word(&self) -> bool {
        let word: String = self
            .code
            .chars()
            .rev()
            .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
            .collect();
        !matches!(word.as_str(), "" | "b" | "c")
    }

    fn blank(&mut self, count: usize) {
        for _ in 0..count {
            let Some(next) = self.peek(0) else { return };
            self.code.push(if next == '\n' { '\n' } else { ' ' });
            self.at += 1;
        }
    }

    fn blank_until_line_end(&mut self) {
        while self.peek(0).is_some_and(|next| next != '\n') {
            self.blank(1);
        }
    }

    fn blank_block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.blank(1);
                    continue;
                }
            }
            self.blank(2);
            if depth == 0 {
                return;
            }
        }
    }

    fn blank_string(&mut self) {
        self.blank(1);
        while let Some(next) = self.peek(0) {
            self.blank(if next == '\\' { 2 } else { 1 });
            if next == '"' {
                return;
            }
        }
    }

    /// `r"…"` and `r#"…"#`; leaves a raw identifier such as `r#type` as it is.
    fn blank_raw_string(&mut self) {
        let hashes = self.left[self.at + 1..].iter().take_while(|next| **next == '#').count();
        if self.peek(1 + hashes) != Some('"') {
            self.code.push('r');
            self.at += 1;
            return;
        }
        self.blank(2 + hashes);
        while let Some(next) = self.peek(0) {
            let closes = next == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            self.blank(1);
            if closes {
                self.blank(hashes);
                return;
            }
        }
    }

    fn blank_escaped_char(&mut self) {
        self.blank(3);
        while let Some(next) = self.peek(0) {
            self.blank(1);
            if next == '\'' {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Masked source with runs of blanks drawn together.
    fn code(source: &str) -> String {
        mask(source).split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_are_no_code() {
        assert_eq!(code("a // {\nb /* { /* } */ { */ c"), "a \nb c");
    }

    #[test]
    fn strings_are_no_code_whatever_they_hold() {
        assert_eq!(code(r#"a("{ \" }", b) "#), "a( , b)");
        assert_eq!(code("a r#\"{ \" \\\"# b br\"\\\" c"), "a b b c");
    }

    #[test]
    fn characters_are_no_code_and_lifetimes_are() {
        assert_eq!(code(r"'{' '\'' '\u{7b}' &'a b'{'"), "&'a b");
    }

    #[test]
    fn a_raw_identifier_and_a_word_with_r_are_code() {
        assert_eq!(code("r#type + for\"{\""), "r#type + for");
    }

    #[test]
    fn lines_stay_where_they_are() {
        assert_eq!(mask("\"one\ntwo\"\n/*\n*/").matches('\n').count(), 3);
    }

    #[test]
    fn what_is_never_closed_ends_with_the_file() {
        for source in ["\"", "/*", "r#\"", "'\\", "'", "//", "\"\\"] {
            assert!(mask(source).trim().len() <= 1, "{source}");
        }
    }
}
