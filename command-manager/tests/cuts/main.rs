//! The journal when the process or the disk ends in the middle: cut at each operation on its files, or refused one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests fail by panicking, and start themselves as child processes that report on standard output"
)]

mod api;
mod child;
mod disk;
mod disk_faults;
mod every_cut;
mod every_refusal;
mod fault;
mod file_systems;
mod history;
mod plan;
mod uncut;
mod verdict;
mod vfs;
