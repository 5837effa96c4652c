//! How a running instance hands out sensors that it did not have, or that said something else, when it was started.

use async_trait::async_trait;

use crate::SensorFd;

/// Takes sensors of one instance into keeping while it runs. It gets one in its [`StartContext`](crate::StartContext).
///
/// For what changes, such as the map from watches to paths: the instance makes it anew ([`SensorFd::memory`]) and has it kept
/// under the same name. A queue stays the same and is handed out once, by [`Module::sensors`](crate::Module::sensors).
#[async_trait]
pub trait SensorKeeper: Send + Sync {
    /// Keeps `sensor` in place of what was kept under its name before, for the next instance. When this returns the next one
    /// gets it, also if the process is killed right then, where the method of its start allows that.
    ///
    /// A name that is kept here is in the instance's own charge from then on: what [`Module::sensors`](crate::Module::sensors)
    /// answers under that name, earlier or later, is not taken. Costs a few system calls, and waits for up to five seconds when
    /// the service manager does not read. Dropped half-way, it may be kept or not.
    ///
    /// # Errors
    /// [`KeepSensorError`]. Then the next instance may get what was kept before: what depends on it belongs into the saved
    /// state, or the next one must be able to tell that it is out of date.
    async fn keep(&self, sensor: SensorFd) -> Result<(), KeepSensorError>;
}

/// Why a sensor is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeepSensorError {
    /// This instance has ended or was given up; its place may be taken.
    #[error("this instance of the module has ended")]
    Ended,
    /// The process is being replaced, and the next one has its descriptors already. Not under systemd, which takes them until the
    /// end. Only a module that still works after it was asked whether it is ready sees this.
    #[error("the descriptors were handed over to the next process already")]
    HandedOver,
    /// It could not be kept, or not where it would outlive a kill.
    #[error("sensor {sensor} is not kept for the next process: {reason}")]
    NotKept {
        /// Its name.
        sensor: String,
        /// What was in the way.
        reason: String,
    },
}

/// The keeper of a host that hands nothing over, such as a test: refuses everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoKeeper;

#[async_trait]
impl SensorKeeper for NoKeeper {
    async fn keep(&self, sensor: SensorFd) -> Result<(), KeepSensorError> {
        let reason = "nothing is handed over here".to_owned();
        Err(KeepSensorError::NotKept { sensor: sensor.name().to_owned(), reason })
    }
}
