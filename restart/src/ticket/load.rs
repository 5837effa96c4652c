//! The ticket as a file: written whole, read with suspicion, taken away when it has done its work.

use std::io;
use std::path::{Path, PathBuf};

use super::{FORMAT, Ticket, TicketError};
use crate::durable_file::{replace_file, sync_folder_of};

/// It names who asked and why, which is not everybody's business.
const MODE: u32 = 0o600;

impl Ticket {
    /// Reads the ticket at `path`; `None` when there is none.
    ///
    /// # Errors
    /// [`TicketError::Corrupt`] when the file was not usable and was set aside as `NAME.corrupt-N`: report it and go on as if
    /// there were none. [`TicketError::Read`] and [`TicketError::Remove`] when not even that was possible.
    pub fn load(path: &Path) -> Result<Option<Ticket>, TicketError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(TicketError::Read { path: path.to_owned(), source }),
        };
        parse(&bytes).map(Some).map_err(|reason| match set_aside(path) {
            Ok(kept_as) => TicketError::Corrupt { path: path.to_owned(), kept_as, reason },
            Err(source) => TicketError::Remove { path: path.to_owned(), source },
        })
    }

    /// Takes the ticket away, durably. That there is none is no error.
    ///
    /// # Errors
    /// [`TicketError::Remove`].
    pub fn close(path: &Path) -> Result<(), TicketError> {
        let removed = match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other,
        };
        removed
            .and_then(|()| sync_folder_of(path))
            .map_err(|source| TicketError::Remove { path: path.to_owned(), source })
    }
}

/// Changes the ticket of another process. Only for the one process that may: after the ticket's writer has ended.
pub(crate) fn amend(path: &Path, change: impl FnOnce(&mut Ticket)) -> Result<(), TicketError> {
    let Some(mut ticket) = Ticket::load(path)? else {
        let source = io::Error::from(io::ErrorKind::NotFound);
        return Err(TicketError::Read { path: path.to_owned(), source });
    };
    change(&mut ticket);
    write(path, &ticket)
}

pub(super) fn write(path: &Path, ticket: &Ticket) -> Result<(), TicketError> {
    let bytes = serde_json::to_vec_pretty(ticket)?;
    Ok(replace_file(path, &bytes, MODE)?)
}

fn parse(bytes: &[u8]) -> Result<Ticket, String> {
    #[derive(serde::Deserialize)]
    struct Form {
        format: u32,
    }
    let form: Form = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if form.format != FORMAT {
        return Err(format!("it has format {}, this version reads {FORMAT}", form.format));
    }
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".corrupt-{number}"));
        let kept_as = PathBuf::from(name);
        if !std::fs::exists(&kept_as)? {
            std::fs::rename(path, &kept_as)?;
            sync_folder_of(path)?;
            return Ok(kept_as);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
