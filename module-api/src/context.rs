//! What a module receives when it is started.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{EventSink, Restored, SensorFd, SensorKeeper, TaskSpawner};

/// Everything that [`Module::start`](crate::Module::start) gets from the agent.
pub struct StartContext {
    /// What the previous instance returned from `save_state`.
    pub state: Restored,
    /// The checkpoints that the previous instance published with its events, by key. After a kill they are newer
    /// than `state`.
    pub checkpoints: BTreeMap<String, Vec<u8>>,
    /// Copies of what the previous instance handed out by [`Module::sensors`](crate::Module::sensors), in this process or
    /// in the one before, also if that was killed under systemd. Empty when there is nothing or the hand-over did not take
    /// place; then the module has a gap to close by itself and to report.
    pub sensors: Vec<SensorFd>,
    /// Where sensors go that are new or have changed while the module runs.
    pub keeper: Arc<dyn SensorKeeper>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// Starts background work that the agent watches.
    pub tasks: Arc<dyn TaskSpawner>,
}

impl fmt::Debug for StartContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartContext")
            .field("state", &self.state)
            .field("checkpoints", &self.checkpoints.len())
            .field("sensors", &self.sensors)
            .finish_non_exhaustive()
    }
}
