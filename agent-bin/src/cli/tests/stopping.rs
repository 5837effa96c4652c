//! `stop` returns when the process of the agent is gone, and not before.

use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::fake_agent::{FakeAgent, Place};
use crate::exit::Exit;

/// A process whose pid the fake agent tells as its own. It ends when it is killed.
#[expect(clippy::disallowed_methods, reason = "the test needs a process that is not its own")]
fn process(agent: &FakeAgent) -> Child {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    *agent.status.lock().unwrap() =
        json!({ "pid": child.id(), "started_at": "2026-03-01T09:00:00Z" });
    child
}

fn end(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn a_stop_waits_until_the_process_is_gone() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    let mut child = process(&agent);
    let pid = child.id();
    let server = place.serve(&agent);
    let (run, ()) = tokio::join!(place.run("stop --json"), async {
        agent.is_asked().await;
        agent.finishes(1, "success", 0, "stopping", Value::Null);
        place.go_away(server).await;
        end(&mut child);
    });
    let id = agent.record.borrow()["id"].clone();
    assert_eq!(run.exit, Exit::Success, "{run:?}");
    assert_eq!(run.out, format!("{}\n", json!({ "outcome": "stopped", "pid": pid, "id": id })));
    assert_eq!(agent.submitted.lock().unwrap()[0]["command"]["type"], "stop");
}

#[tokio::test]
async fn a_process_that_stays_is_not_called_stopped_although_its_socket_is_gone() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    let mut child = process(&agent);
    let server = place.serve(&agent);
    let (run, ()) = tokio::join!(place.run("stop --timeout 500ms"), async {
        agent.is_followed().await;
        agent.finishes(1, "success", 0, "stopping", Value::Null);
        place.go_away(server).await;
    });
    assert_eq!(run.exit, Exit::TimedOut, "{run:?}");
    let expected = format!("error: the agent (pid {}) is still there after 500ms\n", child.id());
    assert_eq!(run.err, expected);
    end(&mut child);
}

#[tokio::test]
async fn an_agent_that_dies_in_the_middle_of_the_stop_is_stopped() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    let mut child = process(&agent);
    let server = place.serve(&agent);
    let (run, ()) = tokio::join!(place.run("stop"), async {
        agent.is_asked().await;
        drop(server);
        end(&mut child);
    });
    assert_eq!(run.exit, Exit::Success, "{run:?}");
    assert!(
        run.out.ends_with(&format!("stopped: the agent (pid {}) is gone\n", child.id())),
        "{run:?}"
    );
}

/// An agent in another pid namespace: its pid means another process here, one that does not end.
#[tokio::test]
async fn an_agent_that_counts_pids_otherwise_is_gone_when_nobody_answers() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    *agent.status.lock().unwrap() = json!({ "pid": 1, "started_at": "2026-03-01T09:00:00Z" });
    agent.is_elsewhere.store(true, Ordering::SeqCst);
    let server = place.serve(&agent);
    let (run, ()) = tokio::join!(place.run("stop --timeout 20s"), async {
        agent.is_followed().await;
        agent.finishes(1, "success", 0, "stopping", Value::Null);
        place.go_away(server).await;
    });
    assert_eq!(run.exit, Exit::Success, "{run:?}");
}

#[tokio::test]
async fn a_stop_that_fails_is_reported_and_the_agent_left_alone() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    let mut child = process(&agent);
    let _server = place.serve(&agent);
    let asked = Arc::clone(&agent);
    let (run, ()) = tokio::join!(place.run("stop"), async move {
        asked.is_asked().await;
        asked.finishes(1, "failure", 2, "not now", Value::Null);
    });
    assert_eq!(run.exit, Exit::Refused);
    assert!(run.out.ends_with("failure: not now\n"), "{run:?}");
    assert!(child.try_wait().unwrap().is_none());
    end(&mut child);
}
