//! What a person or a program asks of a running module, and why there is no answer.

use serde_json::{Map, Value};

/// A question to one module: it knows what it means, the agent only carries it.
///
/// The arguments come from whoever may submit commands and are not checked by anybody else.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// What is asked for: one of the verbs that the module knows.
    pub verb: String,
    /// What belongs to it, by name; empty if nothing was given.
    pub arguments: Map<String, Value>,
}

/// A question that a module does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The module is not asked for that.
    #[error("unknown verb {verb:?}; {}", choice(.known))]
    UnknownVerb {
        /// What was asked for.
        verb: String,
        /// What can be asked for.
        known: Vec<&'static str>,
    },
    /// The arguments are wrong. Says which, what was found and what is expected.
    #[error("{0}")]
    Invalid(String),
    /// The question is right, and the module cannot answer it now. Says why.
    #[error("{0}")]
    Failed(String),
}

fn choice(known: &[&str]) -> String {
    if known.is_empty() {
        "this module answers no questions".to_owned()
    } else {
        format!("expected {}", known.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_verb_is_told_the_known_ones() {
        let error = |known: &[&'static str]| {
            AskError::UnknownVerb { verb: "scna".to_owned(), known: known.to_vec() }.to_string()
        };
        assert_eq!(error(&["scan", "status"]), "unknown verb \"scna\"; expected scan, status");
        assert_eq!(error(&[]), "unknown verb \"scna\"; this module answers no questions");
    }
}
