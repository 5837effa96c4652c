//! Tails log files and publishes one event per line, so that no line is lost or repeated across restarts and kills.
//!
//! ```text
//!  survey (blocking)          collector (the task)              sink
//!  globs, opened files ─────> apply: new, renamed, gone
//!                             round: look at every file
//!  read a slice (blocking) <─ tail: read, start over or finish?
//!            └──────────────> lines -> events + checkpoint ───> stored together
//!                             book: the positions  <─────────── stored
//! ```
//!
//! - `lines`, `tail`, `fingerprint`, `position`, `book`, `restore` and `event` decide and touch nothing.
//! - `collector` drives: its task is the only one that changes positions.
//! - `survey`, `resume` and `read` touch files, in short blocking steps.
//!
//! What is promised: the position of a file moves in the same transaction that stores its lines, so a kill at any
//! moment repeats no line and loses none. What cannot be promised is said in a warning event: a file that was deleted,
//! compressed or truncated while nobody watched may have held lines that nobody has read.
//!
//! Limits: files whose names are not UTF-8 are not matched; a file that is created and rotated away under a name
//! that no pattern matches, all between two looks (`reload_interval`, or the time away), is not seen; a
//! file that is truncated and filled again with the same first bytes (up to 1 KiB) passes for the old one.

mod book;
mod collector;
mod config;
mod event;
mod fingerprint;
mod gate;
mod kind;
mod lines;
mod module;
mod position;
mod read;
mod restore;
mod resume;
mod survey;
mod tail;

pub use kind::LogcollectorKind;
