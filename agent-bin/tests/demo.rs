//! The demonstration, as the README tells people to run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test"
)]

use std::process::Command;

#[test]
fn five_of_five_restarts_lose_nothing_and_the_json_says_so() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_wazuh-agent")).args(["demo", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(output.status.success(), "{report:#}");
    let restarts = report["restarts"].as_array().unwrap();
    assert_eq!(restarts.len(), 5);
    for restart in restarts {
        assert_eq!(
            (&restart["outcome"], &restart["method"]),
            (&"restarted".into(), &"helper".into())
        );
        assert!(restart["downtime_ms"].is_number(), "{restart}");
    }
    let events = &report["events"];
    assert!(events["written"].as_u64() >= Some(2_000), "{events}");
    assert_eq!(events["written"], events["delivered"]);
    assert_eq!((&events["lost"], &events["duplicated"]), (&0.into(), &0.into()));
}
