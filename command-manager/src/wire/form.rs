//! The wire forms there are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The form in which a command came, and in which it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireForm {
    /// `{"command": {"type": …}, "parameters": …}`: local clients.
    Envelope,
    /// `{"document_id": …, "action": {"name": …}}`: servers.
    Document,
}

impl WireForm {
    /// Every form there is.
    pub const ALL: [Self; 2] = [Self::Envelope, Self::Document];

    /// The name, as the journal keeps it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Document => "document",
        }
    }

    /// The form of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == name)
    }
}

impl fmt::Display for WireForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_form_is_the_same_in_json_and_in_text() {
        for form in WireForm::ALL {
            assert_eq!(serde_json::to_value(form).unwrap(), form.as_str());
            assert_eq!(WireForm::from_name(form.as_str()), Some(form));
        }
        assert_eq!(WireForm::from_name("Envelope"), None);
    }
}
