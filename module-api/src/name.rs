//! The name of a module, checked once at the border.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a module: 1 to 32 characters, a lower-case letter first, then lower-case letters, digits, `-` or `_`.
///
/// The same name is used in the configuration, on the command line, in state folders and in events. It is cheap
/// to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModuleName(Arc<str>);

/// A text that cannot be the name of a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid module name {0:?}: expected 1 to 32 characters, a lower-case letter first, then a-z, 0-9, '-' or '_'"
)]
pub struct InvalidModuleName(pub String);

impl ModuleName {
    /// The longest name, in bytes. It has to fit in a file name and in the name of a stored descriptor.
    pub const MAX_LEN: usize = 32;

    /// Checks `text` and makes it a name.
    ///
    /// # Errors
    /// [`InvalidModuleName`] names the text and says what is allowed.
    pub fn new(text: &str) -> Result<Self, InvalidModuleName> {
        let mut chars = text.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_lowercase());
        let goes_on_well =
            chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if starts_well && goes_on_well && text.len() <= Self::MAX_LEN {
            Ok(Self(text.into()))
        } else {
            Err(InvalidModuleName(text.to_owned()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModuleName {
    type Err = InvalidModuleName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for ModuleName {
    type Error = InvalidModuleName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<ModuleName> for String {
    fn from(name: ModuleName) -> Self {
        name.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_accepted() {
        for text in ["fim", "logcollector", "a", "sca-2", "my_module"] {
            assert_eq!(ModuleName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        let long = "a".repeat(33);
        for text in ["", "Fim", "../fim", "a/b", "1st", "-x", "a b", "\u{e9}t\u{e9}", &long] {
            assert_eq!(ModuleName::new(text), Err(InvalidModuleName(text.to_owned())));
        }
    }
}
