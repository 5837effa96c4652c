//! The text of small files, where the configuration wants to know what was changed in it.

use similar::TextDiff;

use super::{Book, BookError, reading};
use crate::baseline::Op;
use crate::entry::{Entry, Kind};
use crate::path_bytes::PathBytes;

/// Lines around each difference.
const CONTEXT: usize = 2;
/// Bytes of a diff that an event carries; the rest is cut off and said to be.
const MOST_DIFF: usize = 8_000;
/// What others may read is no secret.
const READ_BY_OTHERS: u32 = 0o004;
/// Names of files that hold secrets, whatever their mode says.
const SECRET_NAMES: [&str; 6] =
    ["shadow", "passwd-", "secret", "private", "password", "credential"];
/// The same by the ends of the names.
const SECRET_ENDS: [&str; 6] = [".key", ".pem", ".p12", ".pfx", ".jks", ".kdbx"];

/// What was changed in a text, and what is kept of it.
#[derive(Debug, Default)]
pub(super) struct Compared {
    pub(super) diff: Option<String>,
    pub(super) operation: Option<Op>,
}

impl Book {
    /// Keeps the text of a new file, if that is wanted.
    pub(super) fn first_text(&mut self, path: &PathBytes, entry: &Entry) -> Option<Op> {
        let text = self.text_on_disk(path, entry)?;
        Some(Op::Text { path: path.clone(), text: Some(text) })
    }

    /// Says what was changed in the text of a file, and keeps the new one.
    pub(super) fn compare_texts(
        &mut self,
        path: &PathBytes,
        old: &Entry,
        new: &Entry,
    ) -> Result<Compared, BookError> {
        if old.digests == new.digests {
            // What has become a secret is not kept any longer.
            let secret = is_secret(path, new) && self.baseline.text(path)?.is_some();
            let operation = secret.then(|| Op::Text { path: path.clone(), text: None });
            return Ok(Compared { diff: None, operation });
        }
        let kept = self.baseline.text(path)?;
        let now = self.text_on_disk(path, new);
        let diff = kept.as_deref().zip(now.as_deref()).map(|(before, now)| unified(before, now));
        let changes = kept.is_some() || now.is_some();
        let operation = changes.then(|| Op::Text { path: path.clone(), text: now });
        Ok(Compared { diff, operation })
    }

    /// The text of the file, if it is one, small, wanted, no secret, and still what its digest says.
    fn text_on_disk(&self, path: &PathBytes, entry: &Entry) -> Option<String> {
        let wanted = self.rules.of(path)?.diff && entry.kind == Kind::File;
        if !wanted || entry.size > self.diff_size_limit || is_secret(path, entry) {
            return None;
        }
        let content = reading::content(path, entry, self.diff_size_limit).ok()??;
        String::from_utf8(content).ok().filter(|text| !text.contains('\0'))
    }
}

fn is_secret(path: &PathBytes, entry: &Entry) -> bool {
    let name = path.split().map(|(_, name)| String::from_utf8_lossy(name).to_lowercase());
    let name = name.unwrap_or_default();
    entry.mode & READ_BY_OTHERS == 0
        || SECRET_NAMES.iter().any(|secret| name.contains(secret))
        || SECRET_ENDS.iter().any(|end| name.ends_with(end))
}

fn unified(before: &str, now: &str) -> String {
    let mut text =
        TextDiff::from_lines(before, now).unified_diff().context_radius(CONTEXT).to_string();
    if text.len() > MOST_DIFF {
        let end = (0..=MOST_DIFF).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n[the rest of the differences is cut off]\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::tests::file;

    #[test]
    fn what_others_cannot_read_or_is_called_like_a_secret_is_one() {
        let secret =
            |path: &str, mode| is_secret(&PathBytes::new(path), &Entry { mode, ..file(1) });
        assert!(secret("/etc/a", 0o640));
        for path in ["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/ssl/x.PEM", "/a/id.key"] {
            assert!(secret(path, 0o644), "{path}");
        }
        assert!(!secret("/etc/hosts", 0o644));
        assert!(!secret("/etc/passwd", 0o644));
    }

    #[test]
    fn a_difference_shows_the_lines_that_came_and_went() {
        assert_eq!(unified("a\nb\n", "a\nc\n"), "@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
    }

    #[test]
    fn a_long_difference_is_cut_and_says_so() {
        let long = unified("", &"é\n".repeat(10_000));
        assert!(long.len() < MOST_DIFF + 100);
        assert!(long.ends_with("cut off]\n"));
    }
}
