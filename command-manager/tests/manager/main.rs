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
mod crash;
mod deferral;
mod failing_disk;
mod file;
mod finishing;
mod queue;
mod recovery;
mod scene;
mod waiting;
