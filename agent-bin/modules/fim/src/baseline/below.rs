//! Walks over everything below a folder without having it all in memory.

use std::collections::VecDeque;

use super::{BaselineError, BaselineReader, FolderId};
use crate::entry::{Entry, Kind};
use crate::path_bytes::PathBytes;

/// Rows that are read at once.
const PAGE: usize = 256;

/// A walk over everything below a folder, what is in a folder before the folder itself. It holds no transaction: what is
/// changed while it is under way may be seen or not.
#[derive(Debug)]
pub(crate) struct Below {
    stack: Vec<Frame>,
}

/// A folder that the walk is in.
#[derive(Debug)]
struct Frame {
    path: PathBytes,
    id: FolderId,
    page: VecDeque<(Vec<u8>, Entry)>,
    /// The last name that was read.
    after: Option<Vec<u8>>,
    /// Whether there may be names behind it.
    more: bool,
    /// The folder's own row, due when everything in it is done; none for where the walk began.
    own: Option<Entry>,
}

impl Below {
    /// A walk below `path`, not including it. Of what is no folder there is nothing below.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn new(reader: &BaselineReader, path: &PathBytes) -> Result<Self, BaselineError> {
        let frame = |id| Frame::new(path.clone(), id, None);
        Ok(Self { stack: reader.folder_id(path)?.map(frame).into_iter().collect() })
    }

    /// Up to `limit` more paths; none: it is over.
    ///
    /// # Errors
    /// When SQLite fails.
    pub(crate) fn next(
        &mut self,
        reader: &BaselineReader,
        limit: usize,
    ) -> Result<Vec<(PathBytes, Entry)>, BaselineError> {
        let mut found = Vec::new();
        while found.len() < limit {
            let Some(frame) = self.stack.last_mut() else { break };
            match frame.next(reader)? {
                Some((name, entry)) => {
                    let path = frame.path.join(&name);
                    let below = match entry.kind {
                        Kind::Folder => reader.subfolder(frame.id, &name)?,
                        Kind::File
                        | Kind::Link
                        | Kind::Fifo
                        | Kind::Socket
                        | Kind::CharDevice
                        | Kind::BlockDevice => None,
                    };
                    match below {
                        Some(id) => self.stack.push(Frame::new(path, id, Some(entry))),
                        None => found.push((path, entry)),
                    }
                }
                None => {
                    let done = self.stack.pop();
                    found.extend(done.and_then(|frame| Some((frame.path, frame.own?))));
                }
            }
        }
        Ok(found)
    }
}

impl Frame {
    fn new(path: PathBytes, id: FolderId, own: Option<Entry>) -> Self {
        Self { path, id, page: VecDeque::new(), after: None, more: true, own }
    }

    fn next(&mut self, reader: &BaselineReader) -> Result<Option<(Vec<u8>, Entry)>, BaselineError> {
        if self.page.is_empty() && self.more {
            self.page = reader.children(self.id, self.after.as_deref(), PAGE)?.into();
            self.more = self.page.len() == PAGE;
            self.after = self.page.back().map(|(name, _)| name.clone());
        }
        Ok(self.page.pop_front())
    }
}
