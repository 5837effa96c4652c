//! A module's answer to the question whether it can be shut down now.

/// The answer to [`Module::ready_for_shutdown`](crate::Module::ready_for_shutdown).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Readiness {
    /// Nothing is under way that would be lost or torn.
    Ready,
    /// Something is still being finished; the module is asked again soon.
    Busy {
        /// What is being finished, as a person would say it: "hashing /usr, 3 of 12 folders left".
        reason: String,
    },
}

impl Readiness {
    /// [`Readiness::Busy`] with this reason.
    pub fn busy(reason: impl Into<String>) -> Self {
        Self::Busy { reason: reason.into() }
    }
}
