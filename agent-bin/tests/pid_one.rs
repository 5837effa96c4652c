//! An agent that is PID 1 of a container: it restarts in place, and the container lives on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "support/pid_namespace.rs"]
mod pid_namespace;
#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;

use pid_namespace::{obstacle, unshare};
use support::{TestAgent, binary, skip};

#[test]
fn as_pid_one_the_agent_restarts_in_place_and_the_namespace_lives_on() {
    if let Some(reason) = obstacle() {
        skip("as_pid_one_the_agent_restarts_in_place_and_the_namespace_lives_on", &reason);
        return;
    }
    let mut agent = TestAgent::new(binary(), "");
    let plain = agent.command("run");
    let mut command = unshare();
    command.arg(plain.get_program()).args(plain.get_args());
    agent.spawn(&mut command);
    assert_eq!(agent.pid(), 1);
    for round in 1..=3 {
        for number in 0..100 {
            agent.append("app.log", &format!("round {round} line {number}\n"));
        }
        let (code, record) = agent.json(&["restart"]);
        assert_eq!(code, Some(0), "{record:#}");
        assert_eq!(record["result"]["outcome"], "restarted", "{record:#}");
        assert_eq!(record["result"]["method"], "exec");
        assert_eq!(record["result"]["new"]["generation"], round + 1);
        assert_eq!(agent.pid(), 1);
    }
    agent.until("all lines are delivered", |agent| agent.delivered().len() == 300);
    assert!(agent.delivered().values().all(|count| *count == 1));
    assert_eq!(agent.cli(&["stop"]).status.code(), Some(0));
    assert!(agent.reap().unwrap().success(), "unshare ends as its PID 1 does");
}
