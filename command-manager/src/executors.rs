//! The executors of a program, by the type of command that they carry out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{CommandType, Executor};

/// Who carries out which type of command. A type that nobody carries out ends as failure with
/// [`ErrorCode::Refused`](crate::ErrorCode::Refused).
#[derive(Clone, Default)]
pub struct Executors(BTreeMap<CommandType, Arc<dyn Executor>>);

impl Executors {
    /// Nobody for anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// `executor` for every type.
    #[must_use]
    pub fn all(executor: &Arc<dyn Executor>) -> Self {
        Self::new().with(&CommandType::ALL, executor)
    }

    /// The same, with `executor` for these types. It takes the place of one that was named before.
    #[must_use]
    pub fn with(mut self, kinds: &[CommandType], executor: &Arc<dyn Executor>) -> Self {
        self.0.extend(kinds.iter().map(|kind| (*kind, Arc::clone(executor))));
        self
    }

    /// Who carries out commands of this type.
    #[must_use]
    pub fn get(&self, kind: CommandType) -> Option<&Arc<dyn Executor>> {
        self.0.get(&kind)
    }
}

impl fmt::Debug for Executors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Executors").field(&self.0.keys().collect::<Vec<_>>()).finish()
    }
}
