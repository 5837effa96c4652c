//! What the agent wants of a running instance.

/// Said by the module, obeyed by its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Work.
    #[default]
    Open,
    /// Take on nothing more, and finish what was taken on.
    Draining,
    /// End, whatever is under way.
    Stopping,
}
