//! The module against real files, with a spool in memory: what is published, across restarts and kills.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "tests")]

mod lifecycle;
mod lines;
mod positions;
mod properties;
mod rotation;
mod spool;
mod station;
