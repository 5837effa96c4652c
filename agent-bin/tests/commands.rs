//! Commands through the real socket of a real agent: both wire forms, cancelling, limits, changes and results.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "support/orders.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod orders;
#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;

use std::fs;

use agent_core::control::{ApiAnswer, ControlClient, command_path};
use orders::{order, until};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{TestAgent, binary, kill, scripted_binary};
use tokio::runtime::Runtime;

/// The control API of an agent, asked one request after the other.
struct Client {
    runtime: Runtime,
    client: ControlClient,
}

impl Client {
    fn of(agent: &TestAgent) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: ControlClient::new(agent.path("run/control.sock")) }
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.runtime.block_on(self.client.get(path)).unwrap();
        assert_eq!(answer.status, 200, "{path}: {:#}", answer.body);
        answer.body
    }

    fn post(&self, path: &str, body: Value) -> ApiAnswer {
        self.runtime.block_on(self.client.post(path, body)).unwrap()
    }

    /// The command once it is finished.
    fn finished(&self, id: &str) -> Value {
        loop {
            let path = format!("{}?wait_ms=10000&after=1000000", command_path(id));
            let record = self.get(&path);
            if record["finished_at"].is_string() {
                return record;
            }
        }
    }
}

fn command(id: &str, kind: &str) -> Value {
    json!({"id": id, "command": {"type": kind}, "parameters": {"data": "all"}})
}

#[test]
fn a_document_of_a_server_restarts_the_agent_and_is_answered_in_its_form() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let before = agent.pid();
    let client = Client::of(&agent);
    let document = json!({
        "document_id": "doc-1", "action": {"name": "restart", "version": "5.0.0", "args": {}},
        "source": "Users/Services", "user": "admin", "target": {"type": "agent", "id": "007"}, "order_id": "o-1",
    });
    let accepted = client.post("/v1/commands", document.clone());
    assert_eq!((accepted.status, &accepted.body["result"]["code"]), (202, &json!(2)));
    agent.until("another process runs", |agent| {
        agent.status().is_some_and(|status| status["pid"] != before && status["state"] == "running")
    });
    let record = client.finished("doc-1");
    assert_eq!(
        (&record["status"], &record["result"]["outcome"]),
        (&json!("success"), &json!("restarted"))
    );
    assert_eq!(record["origin"]["user"], "admin");
    let again = client.post("/v1/commands", document);
    assert_eq!(again.status, 200);
    assert_eq!(
        (&again.body["order_id"], &again.body["status"]),
        (&json!("o-1"), &json!("success"))
    );
    assert_eq!(again.body["result"]["code"], 0);
    assert_eq!(agent.status().unwrap()["generation"], 2, "it had one effect");
}

#[test]
fn a_check_of_the_configuration_does_not_wait_for_a_module_that_hangs() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [hang]\n");
    agent.start();
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "stopping");
    let client = Client::of(&agent);
    client.post("/v1/commands", command("check", "check-config"));
    client.post("/v1/commands", command("reload", "reload"));
    assert_eq!(client.finished("check")["status"], "success");
    assert_eq!(client.get("/v1/commands/reload")["status"], "pending");
    let cancelled = client.post("/v1/commands/reload/cancel", json!({"reason": "a mistake"}));
    assert_eq!((cancelled.status, &cancelled.body["error"]), (200, &json!(9)));
    let text = cancelled.body["history"][1]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("cancelled before its turn came by uid=") && text.ends_with(": a mistake")
    );
    for (id, status) in [("check", 409), ("unknown", 404)] {
        assert_eq!(client.post(&format!("/v1/commands/{id}/cancel"), json!({})).status, status);
    }
    let wrong = client.post("/v1/commands/reload/cancel", json!({"why": "x"}));
    assert_eq!(wrong.status, 400, "{:#}", wrong.body);
}

#[test]
fn what_comes_behind_a_restart_runs_in_the_next_process_in_order() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [ok-after-ms: 500]\n");
    agent.start();
    let client = Client::of(&agent);
    client.post("/v1/commands", command("restart", "restart-agent"));
    for (id, kind) in [("a", "reload"), ("b", "check-config"), ("c", "reload")] {
        client.post("/v1/commands", command(id, kind));
    }
    let begun = |id: &str| {
        let record = client.finished(id);
        assert_eq!(record["status"], "success", "{record:#}");
        let history = record["history"].as_array().unwrap();
        let started = history.iter().find(|step| step["stage"] == "started").unwrap();
        started["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let ended = client.finished("restart")["finished_at"].as_str().unwrap().to_owned();
    let ended: jiff::Timestamp = ended.parse().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(begun);
    assert!(ended <= a && a <= c && ended <= b, "{ended} {a} {b} {c}");
    assert_eq!(agent.status().unwrap()["generation"], 2);
}

#[test]
fn a_restart_that_was_cancelled_before_it_overtook_restarts_nothing() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [ok-after-ms: 1500]\n");
    agent.start();
    let client = Client::of(&agent);
    let modules = json!({"id": "m", "command": {"type": "restart-module"}, "parameters": {"data": "scripted"}});
    client.post("/v1/commands", modules);
    until(&agent, "stopping");
    client.post("/v1/commands", command("agent", "restart-agent"));
    agent.until("it is to overtake", |_| {
        let record = client.get("/v1/commands/agent");
        record["history"].as_array().unwrap().iter().any(|step| step["stage"] == "overtakes")
    });
    let cancelled = client.post("/v1/commands/agent/cancel", json!({}));
    assert_eq!(cancelled.status, 200, "{:#}", cancelled.body);
    let ended = client.finished("m");
    assert_eq!(
        (&ended["status"], &ended["result"]["method"]),
        (&json!("success"), &json!("in_process"))
    );
    assert_eq!(client.finished("agent")["error"], 9);
    assert_eq!(agent.status().unwrap()["generation"], 1, "nobody wanted the agent restarted");
}

#[test]
fn a_restart_that_has_joined_another_can_neither_expire_nor_be_cancelled_any_more() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted:\n  save: [ok-after-ms: 3000]\n");
    agent.start();
    let client = Client::of(&agent);
    // It waits behind a restart of modules, so that the second one is there before the first begins.
    order(&agent, &["restart", "--module", "scripted"]);
    until(&agent, "stopping");
    client.post("/v1/commands", command("first", "restart-agent"));
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(4);
    let mut second = command("second", "restart-agent");
    second["expires_at"] = json!(soon);
    client.post("/v1/commands", second);
    agent.until("it has joined", |_| client.get("/v1/commands/second")["status"] == "in_progress");
    assert_eq!(client.post("/v1/commands/second/cancel", json!({})).status, 409);
    let (first, second) = (client.finished("first"), client.finished("second"));
    assert_eq!(second["status"], "success", "{second:#}");
    assert_eq!(first["result"], second["result"], "one outcome for both");
    assert_eq!(agent.status().unwrap()["generation"], 2);
}

#[test]
fn restarts_beyond_the_limit_are_refused_with_the_time_to_wait() {
    let mut agent = TestAgent::new(binary(), "commands: {max_restarts_per_hour: 1}\n");
    agent.start();
    let limit = |agent: &TestAgent| {
        let (code, report) = agent.json(&["restart", "--dry-run"]);
        let checks = report["checks"].as_array().unwrap().clone();
        (code, checks.into_iter().find(|check| check["name"] == "hourly_limit").unwrap())
    };
    let (code, room) = limit(&agent);
    assert_eq!((code, &room["text"]), (Some(0), &"1 of 1 within an hour are left".into()));
    assert_eq!(agent.json(&["restart"]).0, Some(0));
    let (code, room) = limit(&agent);
    assert_eq!((code, &room["result"]), (Some(4), &"refused".into()), "{room:#}");
    assert!(room["text"].as_str().unwrap().contains("ask again in 3"), "{room:#}");
    let client = Client::of(&agent);
    let refused = client.post("/v1/commands", command("one-more", "restart-agent"));
    assert_eq!(refused.status, 429, "{:#}", refused.body);
    assert_eq!(refused.body["error"]["code"], "too_many_restarts");
    let wait = refused.body["error"]["retry_after_s"].as_u64().unwrap();
    assert!((3_000..=3_601).contains(&wait), "{wait}");
    assert!(agent.log().contains("command refused"), "it is in the audit trail");
    assert_eq!(agent.json(&["restart", "--module", "logcollector"]).0, Some(0));
}

#[test]
fn a_stop_that_had_expired_stops_nothing() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let client = Client::of(&agent);
    let mut stop = command("late", "stop");
    stop["expires_at"] = json!("2020-01-01T00:00:00Z");
    let answer = client.post("/v1/commands", stop);
    let parameters = &answer.body["parameters"];
    assert_eq!((&parameters["status"], &parameters["error"]), (&json!("timeout"), &json!(8)));
    client.post("/v1/commands", command("after", "check-config"));
    assert_eq!(client.finished("after")["status"], "success");
    assert_eq!(agent.status().unwrap()["state"], "running");
}

#[test]
fn changes_are_numbered_through_a_restart_without_a_gap() {
    let mut agent = TestAgent::new(scripted_binary(), "scripted: {}\n");
    agent.start();
    let client = Client::of(&agent);
    let after = client.get("/v1/changes?limit=1")["newest"].as_u64().unwrap();
    client.post("/v1/commands", command("restart", "restart-agent"));
    client.finished("restart");
    let (mut seen, mut last) = (Vec::new(), after);
    while !seen.iter().any(|change: &Value| change["stage"] == "finished") {
        let page = client.get(&format!("/v1/changes?after={last}&limit=3&wait_ms=10000"));
        assert_eq!(page["gap"], false);
        let changes = page["changes"].as_array().unwrap();
        assert!((1..=3).contains(&changes.len()), "{page:#}");
        last = changes.last().unwrap()["change"].as_u64().unwrap();
        seen.extend(changes.iter().cloned());
    }
    let numbers: Vec<u64> = seen.iter().map(|change| change["change"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (after + 1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "no other command runs, so there is no gap");
    let history = client.get("/v1/commands/restart")["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), seen.len());
    let stopped: Vec<&Value> =
        seen.iter().filter(|it| it["stage"] == "stop").map(|it| &it["count"]).collect();
    assert_eq!(stopped, [&json!({"done": 1, "total": 2}), &json!({"done": 2, "total": 2})]);
    let place = |stage: &str| seen.iter().position(|it| it["stage"] == stage).unwrap();
    assert!(place("started") < place("preflight") && place("preflight") < place("stop"));
    let started = &seen[place("started")];
    assert_eq!(started["status"], "in_progress", "said before anything stops");
}

#[test]
fn a_result_is_offered_by_every_process_until_it_is_acknowledged() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let client = Client::of(&agent);
    client.post("/v1/commands", command("before", "check-config"));
    client.finished("before");
    assert_eq!(client.get("/v1/results")["results"], json!([]), "kept from this question on");
    client.post("/v1/commands", command("first", "check-config"));
    client.finished("first");
    let next = || client.get("/v1/results?wait_ms=10000")["results"][0].clone();
    let first = next();
    assert_eq!(first["answer"]["parameters"]["status"], "success");
    assert_eq!(agent.json(&["restart"]).0, Some(0));
    assert_eq!(next()["change"], first["change"], "nobody has acknowledged it");
    let pid = agent.pid();
    kill(pid, Signal::KILL);
    // It is no child of this test, and another one is refused as long as it holds the folder.
    agent.until("it is dead", |_| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    });
    agent.reap();
    agent.start();
    assert_eq!(next()["change"], first["change"]);
    let path = format!("/v1/results/{}/ack", first["change"]);
    assert_eq!(client.post(&path, json!({})).body["was_waiting"], true);
    assert_eq!(client.post(&path, json!({})).body["was_waiting"], false);
    let second = next();
    assert_eq!(second["answer"]["command"]["type"], "restart-agent");
    client.post(&format!("/v1/results/{}/ack", second["change"]), json!({}));
    assert_eq!(client.get("/v1/results")["results"], json!([]));
}

#[test]
fn each_result_is_an_event_with_a_stable_id() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let client = Client::of(&agent);
    for id in ["a", "b"] {
        client.post("/v1/commands", command(id, "check-config"));
    }
    let events = |agent: &TestAgent| -> Vec<Value> {
        let text = fs::read_to_string(agent.path("state/events.ndjson")).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let events = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["event"]["action"] == "command_finished").collect()
    };
    agent.until("both results are events", |agent| events(agent).len() == 2);
    assert_eq!(agent.json(&["restart"]).0, Some(0));
    agent.until("the restart is an event", |agent| events(agent).len() == 3);
    let all = events(&agent);
    let ids: Vec<&Value> = all.iter().map(|event| &event["command"]["id"]).collect();
    assert_eq!(ids[..2], [&json!("a"), &json!("b")]);
    assert_eq!(all[2]["command"]["result"]["outcome"], "restarted");
    assert_eq!(all[0]["event"]["outcome"], "success");
}

#[test]
fn a_running_module_answers_whoever_may_submit_commands() {
    let mut agent = TestAgent::new(scripted_binary(), "");
    agent.start();
    let client = Client::of(&agent);
    let ask = |module: &str, verb: &str| {
        let body = json!({"verb": verb, "arguments": {"path": "/etc"}});
        let answer = client.post(&format!("/v1/modules/{module}/ask"), body);
        (answer.status, answer.body)
    };
    assert_eq!(ask("scripted", "echo"), (200, json!({"path": "/etc"})));
    let (status, body) = ask("scripted", "status");
    let text = "module scripted: unknown verb \"status\"; expected echo";
    assert_eq!((status, &body["error"]["message"]), (400, &json!(text)));
    let (status, body) = ask("logcollector", "status");
    let text = "module logcollector: unknown verb \"status\"; this module answers no questions";
    assert_eq!((status, &body["error"]["message"]), (400, &json!(text)));
    let (code, body) = agent.json(&["fim", "status"]);
    assert_eq!((code, &body["error"]["code"]), (Some(1), &json!("not_found")), "{body:#}");
    assert!(agent.path("state/modules/scripted").is_dir());
}
