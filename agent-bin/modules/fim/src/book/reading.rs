//! Reads names in folders and the text of small files.

use std::io::{self, Read as _};
use std::os::fd::AsFd;

use rustix::fs::RawDir;
use sha2::{Digest, Sha256};

use crate::entry::Entry;
use crate::look::{For, is_unchanged, open_folder, open_regular};
use crate::path_bytes::PathBytes;

/// Bytes for the names of one read.
const BUFFER: usize = 32_768;

/// The names in the folder; `None` when there are more than `most`.
pub(super) fn names_in(path: &PathBytes, most: usize) -> io::Result<Option<Vec<Vec<u8>>>> {
    let folder = open_folder(path, For::Listing)?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut names = RawDir::new(folder, buffer.spare_capacity_mut());
    let mut found = Vec::new();
    while let Some(entry) = names.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            found.push(name.to_vec());
        }
        if found.len() > most {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// The content of the file, if it is still the one that `entry` is about and not longer than `most`.
pub(super) fn content(path: &PathBytes, entry: &Entry, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some((folder, name)) = path.split() else { return Ok(None) };
    let parent = open_folder(&folder, For::Passing)?;
    let file = open_regular(parent.as_fd(), name, entry)?;
    let mut content = Vec::new();
    (&file).take(most.saturating_add(1)).read_to_end(&mut content)?;
    let digest: [u8; 32] = Sha256::digest(&content).into();
    let right = entry.digests.sha256 == Some(digest) && is_unchanged(file.as_fd(), entry)?;
    Ok(right.then_some(content))
}
