//! What a start does not wait for: reading the whole file, to find damage and to count the events.

use std::sync::{Arc, MutexGuard, PoisonError};

use rusqlite::{ErrorCode, InterruptHandle};

use super::request::Request;
use super::{Spool, SpoolError, SpoolLimits, open};

impl Spool {
    /// Reads what was not read when the spool was opened, on threads of their own: counts the events, and looks at every page of
    /// a file of up to [`SpoolLimits::THOROUGH_CHECK`] bytes. Answers what is damaged, if something is; it has to be
    /// reported, and the file is set aside at the next start. Call it once after the start.
    ///
    /// [`Spool::close`] cuts the check off, which counts as having found nothing.
    ///
    /// # Errors
    /// [`SpoolError`] when the file could not be read for another reason, or the spool is closed.
    pub async fn verify(self: &Arc<Self>) -> Result<Option<String>, SpoolError> {
        if self.checked {
            return Ok(None);
        }
        self.requests.send(Request::Count).map_err(|_| SpoolError::Closed)?;
        let spool = Arc::clone(self);
        let checked = tokio::task::spawn_blocking(move || spool.check()).await;
        checked.unwrap_or_else(|error| {
            Err(SpoolError::Storage { action: "check the file", reason: error.to_string() })
        })
    }

    fn check(&self) -> Result<Option<String>, SpoolError> {
        let failed = |reason: String| SpoolError::Storage { action: "check the file", reason };
        let size = std::fs::metadata(&self.path).map_err(|error| failed(error.to_string()))?.len();
        if size > SpoolLimits::THOROUGH_CHECK {
            return Ok(None);
        }
        // Of its own, so that the output does not wait for the check.
        let connection = open::open_for_reading(&self.path)?;
        *self.interrupt() = Some(connection.get_interrupt_handle());
        if self.is_closed() {
            return Ok(None);
        }
        let verdict = open::check(&connection);
        *self.interrupt() = None;
        match verdict {
            Ok(None) => Ok(None),
            Ok(Some(damage)) => {
                open::mark_suspect(&self.path);
                Ok(Some(damage))
            }
            Err(error) if open::is_corrupt(&error) => {
                open::mark_suspect(&self.path);
                Ok(Some(error.to_string()))
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Ok(None)
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// A check under way reads, and the log cannot be folded into the file while somebody reads.
    pub(super) fn stop_verifying(&self) {
        if let Some(check) = self.interrupt().as_ref() {
            check.interrupt();
        }
    }

    fn is_closed(&self) -> bool {
        self.thread_ended.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn interrupt(&self) -> MutexGuard<'_, Option<InterruptHandle>> {
        self.verifying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
