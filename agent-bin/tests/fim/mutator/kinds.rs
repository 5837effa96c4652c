//! The operations, and how often each is done.

/// One kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Write,
    Append,
    Truncate,
    /// Other content of the same size, with the time of the old one.
    Rewrite,
    Chmod,
    Chown,
    SetTimes,
    HardLink,
    Link,
    SwapLink,
    Fifo,
    ShortLived,
    Delete,
    Rename,
    /// A rename onto something.
    Overwrite,
    Exchange,
    MoveOut,
    MoveIn,
    MakeFolder,
    RenameFolder,
    RemoveTree,
    FolderToLink,
}

/// How often, among all.
const WEIGHTS: [(Operation, u32); 23] = [
    (Operation::Create, 14),
    (Operation::Write, 9),
    (Operation::Append, 8),
    (Operation::Truncate, 4),
    (Operation::Rewrite, 3),
    (Operation::Chmod, 6),
    (Operation::Chown, 4),
    (Operation::SetTimes, 4),
    (Operation::HardLink, 4),
    (Operation::Link, 4),
    (Operation::SwapLink, 3),
    (Operation::Fifo, 1),
    (Operation::ShortLived, 10),
    (Operation::Delete, 8),
    (Operation::Rename, 7),
    (Operation::Overwrite, 4),
    (Operation::Exchange, 1),
    (Operation::MoveOut, 3),
    (Operation::MoveIn, 4),
    (Operation::MakeFolder, 5),
    (Operation::RenameFolder, 2),
    (Operation::RemoveTree, 1),
    (Operation::FolderToLink, 1),
];

impl Operation {
    pub(crate) fn random(rng: &mut fastrand::Rng) -> Self {
        let all: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut left = rng.u32(..all);
        for (operation, weight) in WEIGHTS {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return operation,
            }
        }
        Self::Create
    }
}
