//! Many clients at once with duplicates, through the real socket and the restart of the agent: one answer per id.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    reason = "a test"
)]

#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::control::{ApiAnswer, ClientError, ControlClient, command_path};
use serde_json::{Value, json};
use support::{TestAgent, binary};
use tokio::task::JoinSet;

const CLIENTS: u64 = 200;
const COMMANDS: u64 = 50;

/// How many ids they share: each is sent by about ten clients, and some by one client twice.
const IDS: u64 = 1_000;

/// Of this many clients one wants something else under the same ids.
const ODD_ONE: u64 = 10;

/// Whether the client `number` is one of those; what it wants is a reload instead of a check.
fn is_odd(number: u64) -> bool {
    number % ODD_ONE == ODD_ONE - 1
}

fn command(id: &str, odd: bool) -> Value {
    let kind = if odd { "reload" } else { "check-config" };
    json!({"id": id, "command": {"type": kind}, "parameters": {"data": "all"}})
}

/// Asks until there is an answer: the agent is away for a moment in the middle, and a lost answer is asked for again.
async fn insist<F>(mut ask: impl FnMut() -> F) -> ApiAnswer
where
    F: Future<Output = Result<ApiAnswer, ClientError>>,
{
    loop {
        match ask().await {
            Ok(answer) if answer.status != 503 => return answer,
            Ok(_) | Err(ClientError::Interrupted { .. } | ClientError::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What one client was told: of each id the answers to its submissions, and the end.
#[derive(Debug, Default)]
struct Told {
    refused: u32,
    end: Option<Value>,
}

async fn client(number: u64, client: ControlClient) -> BTreeMap<String, Told> {
    let mut random = fastrand::Rng::with_seed(number);
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for _ in 0..COMMANDS {
        let id = format!("c-{}", random.u64(..IDS));
        let sent = command(&id, is_odd(number));
        let answer = insist(|| client.post("/v1/commands", sent.clone())).await;
        let entry = told.entry(id).or_default();
        match answer.status {
            200 | 202 => assert_eq!(entry.refused, 0, "refused before, accepted now: {sent}"),
            409 => entry.refused += 1,
            status => panic!("{status}: {:#}", answer.body),
        }
    }
    for (id, told) in told.iter_mut().filter(|(_, told)| told.refused == 0) {
        let path = format!("{}?wait_ms=20000&after=1000000", command_path(id));
        let record = loop {
            let answer = insist(|| client.get(&path)).await;
            if answer.body["finished_at"].is_string() {
                break answer.body;
            }
        };
        told.end = Some(record);
    }
    told
}

/// All clients at once, and a restart of the agent in the middle of it.
async fn all_clients(agent: &TestAgent) -> Vec<(u64, BTreeMap<String, Told>)> {
    let socket = agent.path("run/control.sock");
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let asking = client(number, ControlClient::new(&socket));
        clients.spawn(async move { (number, asking.await) });
    }
    let restarting = ControlClient::new(&socket);
    let restart = json!({"id": "restart", "command": {"type": "restart-agent"}});
    let accepted = insist(|| restarting.post("/v1/commands", restart.clone())).await;
    assert_eq!(accepted.status, 202, "{:#}", accepted.body);
    clients.join_all().await
}

#[test]
fn every_client_has_one_consistent_answer_per_id_through_a_restart() {
    let mut agent = TestAgent::new(binary(), "");
    agent.start();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let all = runtime.block_on(all_clients(&agent));

    let mut ends: BTreeMap<&str, (&Value, bool)> = BTreeMap::new();
    let (mut answers, mut refusals) = (0, 0);
    for (number, told) in &all {
        for (id, told) in told {
            refusals += told.refused;
            let Some(end) = &told.end else { continue };
            answers += 1;
            let (known, odd) = *ends.entry(id).or_insert_with(|| (end, is_odd(*number)));
            assert_eq!(known, end, "two clients were told different ends");
            assert_eq!(odd, is_odd(*number), "two contents were accepted under {id}");
        }
    }
    for (id, (end, _)) in &ends {
        assert_eq!(end["attempts"], 1, "{id} was begun once: {end:#}");
        assert_eq!(end["status"], "success", "{id}: {end:#}");
        let history = end["history"].as_array().unwrap();
        let stages: Vec<&str> = history.iter().map(|it| it["stage"].as_str().unwrap()).collect();
        assert_eq!(stages.iter().filter(|stage| **stage == "started").count(), 1, "{stages:?}");
    }
    // Whoever was refused wanted what the others had not asked for.
    for (number, told) in &all {
        for (id, _) in told.iter().filter(|(_, told)| told.refused > 0) {
            let (_, odd) = ends[id.as_str()];
            assert_ne!(odd, is_odd(*number), "{id} was refused though it is the same");
        }
    }
    assert_eq!(agent.status().unwrap()["generation"], 2, "the agent was restarted meanwhile");
    println!("{} ids, {answers} answers, {refusals} refusals", ends.len());
}
