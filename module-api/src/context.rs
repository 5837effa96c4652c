//! What a module receives when it is started.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
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
    /// A folder of this module alone, for files that would be too much for a state: a database. It exists, only the agent's
    /// user may enter it (mode 0700), and the next instance finds in it what this one left. Its path is absolute.
    ///
    /// Files whose name begins with `state` are the agent's. It changes no other, and removes none: what is too old the module
    /// removes itself. Nothing of it is synchronised with the spool: after a kill the checkpoints may be older than what a
    /// file says, or newer.
    pub folder: PathBuf,
    /// Folders with files of the agent itself: a module opens no file beneath them except its own in `folder`. Paths are
    /// absolute, without symbolic links, and beside that as they were given if that is another path.
    ///
    /// To open and close a file is enough to do harm: closing *any* descriptor of it drops all POSIX locks that this process has on
    /// that file, and SQLite's are such locks. The next process that opens the journal would not see that it is in use.
    pub own_folders: Vec<PathBuf>,
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
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
