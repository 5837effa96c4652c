//! The queues that an earlier instance left, with their recorders.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use module_api::SensorFd;

use crate::watch::recorder::{Left, Recorder};
use crate::watch::{fanotify, inotify};

/// The queues of an earlier instance, if all that belongs together is there.
#[derive(Default)]
pub(super) struct Inherited {
    pub(super) fanotify: Option<(OwnedFd, Recorder, Left)>,
    pub(super) inotify: Option<(OwnedFd, Recorder, Left)>,
}

impl Inherited {
    pub(super) fn of(sensors: Vec<SensorFd>, id: u64) -> Self {
        let mut by_name: HashMap<String, SensorFd> =
            sensors.into_iter().map(|sensor| (sensor.name().to_owned(), sensor)).collect();
        let mut take = |name: &str, is_it: fn(BorrowedFd<'_>) -> bool| {
            let queue = by_name.remove(name).filter(|sensor| is_it(sensor.as_fd()))?;
            let recorder = by_name.remove(&format!("{name}-recorder"))?;
            match Recorder::adopt(recorder, id) {
                Ok((recorder, left)) => Some((queue.into_fd(), recorder, left)),
                Err(error) => {
                    tracing::warn!(%error, queue = name, "a queue cannot be taken over");
                    None
                }
            }
        };
        let fanotify = take("fanotify", fanotify::is_group);
        let inotify = take("inotify", inotify::is_instance);
        Self { fanotify, inotify }
    }
}

impl Inherited {
    /// Which queues there are: fanotify, inotify.
    pub(super) fn queues(&self) -> [bool; 2] {
        [self.fanotify.is_some(), self.inotify.is_some()]
    }

    /// What is read from now on gets a stamp later than this one.
    pub(super) fn later_than(&mut self, stamp: i64) {
        for (_, recorder, _) in [&mut self.fanotify, &mut self.inotify].into_iter().flatten() {
            recorder.later_than(stamp);
        }
    }
}
