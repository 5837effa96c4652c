//! When this process took the first and the last event of each module, on the clock that spans processes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// When the first and the last event of one module became durable, in milliseconds since boot
/// ([`boottime`](restart::boottime)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The first one that this process took.
    pub(crate) first_ms: u64,
    /// The last one so far.
    pub(crate) last_ms: u64,
}

/// The times of all modules. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct EventTimes {
    taken: Arc<Mutex<BTreeMap<String, Taken>>>,
    /// How many modules have published; told when there is one more.
    modules: watch::Sender<usize>,
}

impl EventTimes {
    pub(super) fn new() -> Self {
        Self { taken: Arc::default(), modules: watch::Sender::new(0) }
    }

    /// Events of these modules became durable at `at_ms`.
    pub(super) fn note<'a>(&self, modules: impl Iterator<Item = &'a str>, at_ms: u64) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for module in modules {
            if let Some(taken) = taken.get_mut(module) {
                taken.last_ms = at_ms;
            } else {
                taken.insert(module.to_owned(), Taken { first_ms: at_ms, last_ms: at_ms });
            }
        }
        let known = taken.len();
        drop(taken);
        self.modules.send_if_modified(|seen| std::mem::replace(seen, known) != known);
    }

    /// What was taken of each module. One of which this process took none is not there.
    pub(crate) fn all(&self) -> BTreeMap<String, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Told whenever a module has published its first event.
    pub(crate) fn watch(&self) -> watch::Receiver<usize> {
        self.modules.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_stays_and_the_last_moves_on() {
        let times = EventTimes::new();
        let mut told = times.watch();
        assert!(times.all().is_empty());
        times.note(["fim"].into_iter(), 7);
        assert!(told.has_changed().unwrap());
        told.mark_unchanged();
        times.note(["fim"].into_iter(), 9);
        assert!(!told.has_changed().unwrap(), "it has published before");
        times.note(["sca", "fim"].into_iter(), 11);
        assert!(told.has_changed().unwrap());
        let expected = [
            ("fim".to_owned(), Taken { first_ms: 7, last_ms: 11 }),
            ("sca".to_owned(), Taken { first_ms: 11, last_ms: 11 }),
        ];
        assert_eq!(times.all(), BTreeMap::from(expected));
    }
}
