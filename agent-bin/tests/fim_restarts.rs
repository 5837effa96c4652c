//! File integrity monitoring is never blind: random operations on a tree, replayed from what the agent reports, with restarts
//! and kills in the middle.
//!
//! `cargo xtask e2e fim` runs the long ones too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "fim/attributes.rs"]
mod attributes;
#[path = "fim/doctored.rs"]
mod doctored;
#[path = "fim/event.rs"]
mod event;
#[path = "fim/fake.rs"]
mod fake;
#[path = "fim/by_hand.rs"]
mod fim_by_hand;
#[path = "fim/under_systemd.rs"]
mod fim_under_systemd;
#[path = "fim/forest.rs"]
mod forest;
#[path = "fim/mutator.rs"]
mod mutator;
#[path = "fim/names.rs"]
mod names;
#[path = "fim/proof.rs"]
mod proof;
#[path = "fim/replay.rs"]
mod replay;
#[path = "fim/report.rs"]
mod report;
#[path = "fim/snapshot.rs"]
mod snapshot;
#[path = "fim/staged.rs"]
mod staged;
#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;
#[path = "support/systemd_box.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod systemd_box;
#[path = "support/table.rs"]
mod table;
