//! What one running instance may have kept in place of its sensors, until it has ended or the next process has them.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use module_api::{KeepSensorError, ModuleName, SensorFd, SensorKeeper};
use restart::{DescriptorStore, KeepError};

use super::sensors::stored_name;

/// Held by whoever changes or reads the sensors in the store, so that no instance that has ended changes what the next one was
/// given. True as long as the next process has its copies already.
pub(super) type Gate = Arc<Mutex<bool>>;

/// Waits for whoever changes sensors; for up to five seconds when the service manager does not read.
pub(super) fn pass(gate: &Gate) -> MutexGuard<'_, bool> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The keeper of one instance. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(super) struct InstanceKeeper {
    module: ModuleName,
    store: DescriptorStore,
    gate: Gate,
    ended: Arc<AtomicBool>,
    /// The names that are in the instance's own charge.
    kept: Arc<Mutex<BTreeSet<String>>>,
}

impl InstanceKeeper {
    pub(super) fn new(module: ModuleName, store: DescriptorStore, gate: Gate) -> Self {
        Self { module, store, gate, ended: Arc::default(), kept: Arc::default() }
    }

    /// Refuses everything from now on. Does not wait: what is being kept at this moment is done before the next one passes the
    /// gate.
    pub(super) fn close(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// The names that the instance has had kept.
    pub(super) fn kept(&self) -> BTreeSet<String> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_now(&self, sensor: &SensorFd) -> Result<(), KeepSensorError> {
        let handed_over = pass(&self.gate);
        if self.ended.load(Ordering::Acquire) {
            return Err(KeepSensorError::Ended);
        }
        if *handed_over {
            return Err(KeepSensorError::HandedOver);
        }
        let name = stored_name(&self.module, sensor.name());
        let stored = self.store.keep(&name, sensor.as_fd());
        // In the store it is also if only the manager did not get it.
        if matches!(stored, Ok(()) | Err(KeepError::Notify(_))) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
        stored.map_err(|error| not_kept(sensor, &error))
    }
}

#[async_trait]
impl SensorKeeper for InstanceKeeper {
    async fn keep(&self, sensor: SensorFd) -> Result<(), KeepSensorError> {
        let keeper = self.clone();
        let name = sensor.name().to_owned();
        let kept = tokio::task::spawn_blocking(move || keeper.keep_now(&sensor)).await;
        kept.unwrap_or_else(|error| {
            Err(KeepSensorError::NotKept { sensor: name, reason: error.to_string() })
        })
    }
}

fn not_kept(sensor: &SensorFd, error: &KeepError) -> KeepSensorError {
    KeepSensorError::NotKept { sensor: sensor.name().to_owned(), reason: error.to_string() }
}
