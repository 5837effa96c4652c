//! The wire forms of commands, as those who send them see them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod any_bytes;
mod document;
mod envelope;
mod forms;
