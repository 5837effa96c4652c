//! How far the output's file is on record in the spool.

use serde::{Deserialize, Serialize};

/// A file, and how much of it belongs to events up to the cursor that is stored together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The file's inode number, which a rename does not change.
    pub(super) inode: u64,
    /// In bytes.
    pub(super) offset: u64,
}

impl Position {
    pub(super) fn encode(self) -> Vec<u8> {
        format!("{{\"inode\":{},\"offset\":{}}}", self.inode, self.offset).into_bytes()
    }

    /// `None` for what another version of the agent wrote in a way that this one does not know.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back() {
        let position = Position { inode: u64::MAX, offset: 12 };
        assert_eq!(Position::decode(&position.encode()), Some(position));
        assert_eq!(Position::decode(b"{\"inode\":1}"), None);
    }
}
