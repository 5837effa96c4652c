//! The id of a command, checked once at the border.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What makes a command the same command: 1 to 128 visible ASCII characters (`!` to `~`, so no space).
///
/// The asker may choose it; sending the same id again is safe. Otherwise [`CommandId::generate`] gives one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommandId(String);

/// A text that cannot be the id of a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid command id {0:?}: expected 1 to 128 visible ASCII characters without spaces")]
pub struct InvalidCommandId(pub String);

impl CommandId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks `text` and makes it an id.
    ///
    /// # Errors
    /// [`InvalidCommandId`] names the text and says what is allowed.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidCommandId> {
        let text = text.into();
        let fits = (1..=Self::MAX_LEN).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err(InvalidCommandId(text))
        }
    }

    /// A new id that nobody else has: a UUIDv7, so that ids sort by the time they were made.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CommandId {
    type Err = InvalidCommandId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for CommandId {
    type Error = InvalidCommandId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<CommandId> for String {
    fn from(id: CommandId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_ascii_up_to_128_characters_is_an_id() {
        for text in ["a", "!", "~", "restart/1?x=%20", &"x".repeat(128)] {
            assert_eq!(CommandId::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for text in ["", " ", "a b", "a\n", "\u{7f}", "\u{e9}", &"x".repeat(129)] {
            assert_eq!(CommandId::new(text), Err(InvalidCommandId(text.to_owned())));
        }
    }

    #[test]
    fn generated_ids_are_valid_different_and_in_order_of_time() {
        let ids: Vec<_> = (0..100).map(|_| CommandId::generate()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.iter().all(|id| CommandId::new(id.as_str()).is_ok()));
    }
}
