//! Watches files and reports each change once, across restarts of the agent too.
//!
//! ```text
//!  kernel's queues ──> recorder ──> window ─┐
//!                                           ├──> gather ──> book: looks, compares, decides
//!  scan (threads): compares all ──> hints ──┘                 │ events + redo
//!                                                             v
//!                      baseline is moved <── stored together by the sink
//! ```
//!
//! - `rules`, `mounts`, `gather`, `overlay`, `change`, `event`, `config` and the engine's `schedule` decide and touch nothing. `book` decides what has
//!   changed: it reads disk and baseline for that, and changes neither before it was told.
//! - `engine` drives: its task is the only one that reads the kernel's queues, runs scans and has the baseline moved; `tell` publishes
//!   and moves it.
//! - `look`, `hash`, `scan`, `watch`, `baseline` and `sys` touch files, the kernel and the database, in blocking steps or threads of their own.
//!
//! What is promised: whatever is told is a hint where to look, so a hint that is doubled or late invents no event. Events and what they do
//! to the baseline are stored in one transaction, and what was read from a queue stays in memory that outlives this process until
//! then. So a kill at any moment loses no change as long as the queues are kept, and what is told again has the same id. Where they are
//! not kept, or overflow, the event `gap` says so, and a scan finds what is different.
//!
//! Limits: what came and went in a gap is not seen, nor, with inotify, in a folder that had no watch yet; a file that is changed under
//! a name that is not watched is found by the next scan; who did it is known from fanotify alone, and as far as the process could still be
//! asked. `docs/design/fim.md` has all of them.

mod answers;
mod baseline;
mod book;
mod change;
mod clock;
mod config;
mod engine;
mod entry;
mod event;
mod gather;
mod hash;
mod kind;
mod look;
mod module;
mod mounts;
mod overlay;
mod path_bytes;
mod phase;
mod rules;
mod scan;
mod status;
mod sys;
mod tell;
mod watch;

pub use kind::FimKind;
