//! Colours for a terminal, and text from elsewhere made harmless for one.

/// What a piece of text says by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// As wished.
    Good,
    /// Look at it.
    Warning,
    /// Not as wished.
    Bad,
    /// Less important than the rest.
    Faint,
}

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Paint {
    pub(super) on: bool,
}

impl Paint {
    /// `text` in the colour of `tone`.
    pub(super) fn text(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        if self.on && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The tone of a status, a state or an outcome.
pub(super) fn tone_of(word: &str) -> Tone {
    match word {
        "success" | "running" | "restarted" | "stopped" => Tone::Good,
        "pending" | "in_progress" | "starting" | "restarting" | "reloading" | "stopping"
        | "restarted_forced" => Tone::Warning,
        "failure" | "timeout" | "failed" | "quarantined" | "degraded" | "not_restarted"
        | "rolled_back" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// `text` without anything that moves the cursor or changes the terminal: what an asker gives as its reason is shown
/// to others.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether `c` reorders the text around it.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_appear_only_when_they_are_on() {
        assert_eq!(Paint { on: true }.text(Tone::Good, "ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(Paint { on: true }.text(Tone::Plain, "ok"), "ok");
        assert_eq!(Paint { on: false }.text(Tone::Bad, "ok"), "ok");
    }

    #[test]
    fn what_could_change_the_terminal_is_shown_as_an_escape() {
        assert_eq!(harmless("a\x1b[2Jb\nc\u{202e}d\u{9b}"), "a\\u{1b}[2Jb\\nc\\u{202e}d\\u{9b}");
        assert_eq!(harmless("caf\u{e9} \u{2713}"), "caf\u{e9} \u{2713}");
    }
}
