//! The command manager as others use it: on a real file, with scripted executors and killed processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests fail by panicking, and start themselves as child processes that report on standard output"
)]

mod accepting;
mod audit;
mod cancelling;
mod crash;
mod deferral;
mod expiry;
mod failing_disk;
mod feed;
mod file;
mod finishing;
mod joining;
mod queue;
mod recovery;
mod reporting;
mod restart_limit;
mod retention;
mod scene;
mod scopes;
mod waiting;
