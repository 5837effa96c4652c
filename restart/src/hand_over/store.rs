//! What the next process is to receive, whatever the method: one place for all of it, and systemd's copy.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Adopted, is_valid_name};
use crate::controller::same_file::same_open_file;
use crate::{Notifier, NotifyError};

/// More does not fit into one message to the restart helper, which carries three of its own (`SCM_MAX_FD` is 253).
const MOST: usize = 250;

/// The descriptors that outlive this process, each under its name. Cheap to clone; all clones are one store.
///
/// [`DescriptorStore::descriptors`] is what a controller hands over. Where there is a service manager it has a copy of each
/// from the moment at which it is kept, so that the next process receives them also after a kill. Methods that change the
/// store block for up to five seconds when the manager does not read.
#[derive(Debug, Clone, Default)]
pub struct DescriptorStore {
    notifier: Notifier,
    kept: Arc<Mutex<BTreeMap<String, OwnedFd>>>,
    /// The names of which the manager may have something older. Taken only while `kept` is.
    unsent: Arc<Mutex<BTreeSet<String>>>,
}

/// A descriptor that is not in the store, or not with the service manager.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A name that the protocol cannot carry.
    #[error("{0:?} cannot be the name of a kept descriptor")]
    Name(String),
    /// There are as many as can be handed over.
    #[error("no more than {MOST} descriptors can be kept")]
    TooMany,
    /// The kernel gives out no copy of it.
    #[error("the descriptor {name:?} cannot be copied: {source}")]
    Copy {
        /// Its name.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is in the store and will be handed over by a restart; the service manager did not get it.
    #[error(transparent)]
    Notify(#[from] NotifyError),
}

impl DescriptorStore {
    /// An empty store, whose copies go to the manager that `notifier` leads to.
    #[must_use]
    pub fn new(notifier: Notifier) -> Self {
        Self { notifier, kept: Arc::default(), unsent: Arc::default() }
    }

    /// The way to the service manager.
    #[must_use]
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Keeps what this process has adopted, and makes the manager close its copies of what was rejected, with a warning
    /// for each.
    ///
    /// The manager has what it handed out, so nothing is sent for that; only a name of which it has several is
    /// cleared and given to it again.
    pub fn take_over(&self, adopted: Adopted) {
        let mut unwanted = BTreeSet::new();
        for rejected in adopted.rejected {
            tracing::warn!(reason = %rejected.reason, "a descriptor that was handed over is not used");
            unwanted.extend(rejected.name);
        }
        for name in &unwanted {
            warn_unless(name, self.notifier.remove_fd(name));
        }
        let mut kept = self.lock();
        for (name, fd) in adopted.fds {
            if unwanted.contains(&name) {
                warn_unless(&name, self.notifier.store_fd(&name, fd.as_fd()));
            }
            kept.insert(name, fd);
        }
    }

    /// Keeps a copy of `fd` under `name` for the next process, in place of what was kept under it before. One that is
    /// kept under it already is left as it is.
    ///
    /// # Errors
    /// [`KeepError`].
    pub fn keep(&self, name: &str, fd: BorrowedFd<'_>) -> Result<(), KeepError> {
        if !is_valid_name(name) {
            return Err(KeepError::Name(name.to_owned()));
        }
        let mut kept = self.lock();
        let mut unsent = self.unsent.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kept.get(name);
        let is_kept = before.is_some_and(|before| same_open_file(before.as_fd(), fd));
        if is_kept && !unsent.contains(name) {
            return Ok(());
        }
        if before.is_none() && kept.len() >= MOST {
            return Err(KeepError::TooMany);
        }
        let copy = fd.try_clone_to_owned();
        let copy = copy.map_err(|source| KeepError::Copy { name: name.to_owned(), source })?;
        let replaced = kept.insert(name.to_owned(), copy).is_some();
        // The next process takes one of each name, so the manager must not have two.
        if replaced {
            unsent.insert(name.to_owned());
            self.notifier.remove_fd(name)?;
        }
        unsent.insert(name.to_owned());
        self.notifier.store_fd(name, fd)?;
        unsent.remove(name);
        Ok(())
    }

    /// Closes the copies of what is kept under `name`, here and with the manager.
    pub fn forget(&self, name: &str) {
        if self.lock().remove(name).is_some() {
            warn_unless(name, self.notifier.remove_fd(name));
        }
    }

    /// The names under which something is kept, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// A copy of what is kept under `name`.
    ///
    /// # Errors
    /// What the kernel says when descriptors have run out.
    pub fn get(&self, name: &str) -> io::Result<Option<OwnedFd>> {
        self.lock().get(name).map(OwnedFd::try_clone).transpose()
    }

    /// Copies of everything that is kept, for the next process.
    ///
    /// # Errors
    /// What the kernel says when descriptors have run out.
    pub fn descriptors(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let kept = self.lock();
        kept.iter().map(|(name, fd)| Ok((name.clone(), fd.try_clone()?))).collect()
    }

    /// Gives everything to the manager anew, whatever it has under these names.
    pub(crate) fn give_again(&self) -> Result<(), NotifyError> {
        for (name, fd) in self.lock().iter() {
            self.notifier.remove_fd(name)?;
            self.notifier.store_fd(name, fd.as_fd())?;
        }
        Ok(())
    }

    /// Returns once the manager has dealt with all that it was sent.
    pub(crate) fn prove(&self, timeout: Duration) -> Result<(), NotifyError> {
        self.notifier.barrier(timeout)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, OwnedFd>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn_unless(name: &str, sent: Result<(), NotifyError>) {
    if let Err(error) = sent {
        tracing::warn!(%error, name, "the service manager was not told about a descriptor");
    }
}

#[cfg(test)]
mod tests;
