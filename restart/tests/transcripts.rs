//! Whole runs of the loop as stories: who is asked when, what they answer, what is done, and how it ends.
//!
//! Each story is compared with the file of its name in `transcripts/`. `UPDATE_TRANSCRIPTS=1` writes the files anew: read
//! what has changed before you keep it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "a test that is told by the environment to write its files anew"
)]

#[path = "transcripts/scenarios.rs"]
mod scenarios;
#[path = "stage/stage.rs"]
mod stage;

use std::path::{Path, PathBuf};

use stage::plan::Plan;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts")
}

fn compare(name: &str, plan: &Plan) {
    let story = stage::story::tell(&name.replace('_', " "), plan, &stage::actor::play(plan));
    let file = folder().join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&file, &story).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(story == expected, "{name}.txt tells another story than this:\n{story}");
}
