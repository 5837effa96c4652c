//! Every way in which bytes are refused as a command.

use super::{MAX_BODY, MAX_NESTING};

/// Why bytes are not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// More than [`MAX_BODY`] bytes.
    #[error("the command has {found} bytes, expected at most {MAX_BODY}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// Not text.
    #[error("the command is not UTF-8 from byte {offset} on")]
    NotUtf8 {
        /// How many bytes are good.
        offset: usize,
    },
    /// Not JSON.
    #[error("the command is not JSON: {reason}")]
    Malformed {
        /// Where it stops being JSON, from 1.
        line: usize,
        /// The column there, in bytes.
        column: usize,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// An object has the same key twice, so that two readers could understand two commands.
    #[error("{path}: found the key twice, expected it once (line {line}, column {column})")]
    DuplicateKey {
        /// Which key.
        path: String,
        /// Where reading stopped, which is at the second one; from 1.
        line: usize,
        /// The column there, in bytes.
        column: usize,
    },
    /// Nested deeper than [`MAX_NESTING`].
    #[error(
        "{path}: found nesting deeper than expected, which is {MAX_NESTING} levels (line {line}, column {column})"
    )]
    TooDeep {
        /// Which value.
        path: String,
        /// Where reading stopped, which is at its beginning; from 1.
        line: usize,
        /// The column there, in bytes.
        column: usize,
    },
    /// A value that is not allowed at its place.
    #[error("{path}: found {found}, expected {expected}")]
    Field {
        /// Which value, as in `parameters.extra_args[1]`.
        path: String,
        /// What was there, shortened.
        found: String,
        /// What is allowed.
        expected: String,
    },
}
