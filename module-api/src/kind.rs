//! How the agent checks a module's section of the configuration and builds instances of it.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Module, ModuleName};

/// A kind of module: the one thing that a crate with a module gives to the composition of the binary.
pub trait ModuleKind: Send + Sync {
    /// The module's name, which is also the key of its section in the configuration.
    fn name(&self) -> &ModuleName;

    /// Checks `section` and builds an instance that is not started. Touches no file and starts nothing, so it
    /// serves `check-config` as well. `section` is an object; it is empty when the configuration has no such key,
    /// and every key must have a default. The key `enabled` is the agent's and not part of `section`.
    ///
    /// # Errors
    /// Every value that is wrong, with its place within the section.
    fn build(&self, section: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>>;
}

/// One wrong value in a module's section of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SectionError {
    /// Where, relative to the section: `files[0].path`. Empty for the section as a whole.
    pub path: String,
    /// What was found and what is allowed.
    pub message: String,
}

/// Reads a section into `T`, which should have `#[serde(deny_unknown_fields, default)]`.
///
/// # Errors
/// One [`SectionError`] with the path of the first wrong value.
pub fn parse_section<T: DeserializeOwned>(section: &Value) -> Result<T, Vec<SectionError>> {
    serde_path_to_error::deserialize(section).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        vec![SectionError { path, message: error.into_inner().to_string() }]
    })
}
