//! Why a module could not do what it was asked.

use std::error::Error;

/// A module's failure, as a message for people with its cause.
///
/// The message is a lower-case fragment that names the file or object concerned and fits after "because".
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ModuleError {
    message: String,
    #[source]
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ModuleError {
    /// A failure without a deeper cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// A failure caused by `source`; the cause is part of the message too, because statuses keep only the text.
    pub fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self { message: format!("{}: {source}", message.into()), source: Some(source) }
    }
}
