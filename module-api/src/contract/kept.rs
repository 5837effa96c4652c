//! The sensors that instances of the subject have had kept while they ran.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::{KeepSensorError, SensorFd, SensorKeeper};

/// What is kept, by name.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<BTreeMap<String, SensorFd>>);

impl Kept {
    /// What the next instance is to receive, when an earlier one has answered `answered` to `sensors`.
    pub(super) fn with(&self, mut answered: Vec<SensorFd>) -> Vec<SensorFd> {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        answered.retain(|sensor| !kept.contains_key(sensor.name()));
        answered.extend(kept.into_values());
        answered
    }
}

#[async_trait]
impl SensorKeeper for Kept {
    async fn keep(&self, sensor: SensorFd) -> Result<(), KeepSensorError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(sensor.name().to_owned(), sensor);
        Ok(())
    }
}
