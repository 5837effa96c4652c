//! Whole requests by the project's own client.

use serde_json::{Value, json};

use super::fake_agent::Scene;
use crate::control::server::who_may_submit;
use crate::control::{ApiAnswer, ControlPolicy, command_path};

#[tokio::test]
async fn every_route_reaches_the_handler() {
    let scene = Scene::new();
    let get = async |target| scene.client.get(target).await.unwrap();
    assert_eq!(get("/v1/status").await, ApiAnswer::ok(json!({ "name": "first" })));
    assert_eq!(get("/v1/modules").await.body, Value::String("x".repeat(8_000_000)));
    assert_eq!(get("/v1/commands?limit=3").await.body, json!({ "limit": 3 }));
    let path = format!("{}?after=5&wait_ms=1", command_path("one/two"));
    assert_eq!(get(&path).await.body, json!({ "id": "one/two", "after": 5, "wait_ms": 1 }));

    let changes = json!({ "after": 5, "limit": 2, "wait_ms": 7 });
    assert_eq!(get("/v1/changes?after=5&limit=2&wait_ms=7").await.body, changes);
    assert_eq!(get("/v1/results?wait_ms=3").await.body, json!({ "wait_ms": 3 }));
    let path = format!("{}/cancel", command_path("one/two"));
    let cancelled = scene.client.post(&path, json!({ "reason": "x" })).await.unwrap().body;
    assert_eq!(cancelled, json!({ "cancel": "one/two", "text": r#"{"reason":"x"}"# }));
    let acknowledged = scene.client.post("/v1/results/12/ack", json!({})).await.unwrap().body;
    assert_eq!(acknowledged, json!({ "ack": 12 }));
    let asked = scene.client.post("/v1/modules/fim/ask", json!({ "verb": "x" })).await.unwrap();
    assert_eq!(asked.body, json!({ "ask": "fim", "text": r#"{"verb":"x"}"# }));

    scene.agent.gate.add_permits(1);
    let posted = scene.client.post("/v1/commands", json!({ "id": "x" })).await.unwrap();
    assert_eq!((posted.status, &posted.body["text"]), (202, &json!(r#"{"id":"x"}"#)));
}

#[tokio::test]
async fn what_does_not_exist_is_a_json_error() {
    let scene = Scene::new();
    let answer = scene.client.get("/v1/nothing").await.unwrap();
    let error = json!({ "code": "not_found", "message": "there is nothing at /v1/nothing" });
    assert_eq!((answer.status, answer.body), (404, json!({ "error": error })));
    let answer = scene.client.get("/v1/commands?limit=all").await.unwrap();
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("bad_query")));
    let answer = scene.client.post("/v1/status", json!({})).await.unwrap();
    assert_eq!((answer.status, &answer.body["error"]["code"]), (405, &json!("method_not_allowed")));
}

#[tokio::test]
async fn the_handler_learns_who_asked() {
    let scene = Scene::new();
    scene.client.get("/v1/status").await.unwrap();
    let peer = scene.agent.peers.lock().unwrap()[0].clone();
    assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    assert_eq!(peer.gid, rustix::process::getegid().as_raw());
    assert_eq!(peer.pid, Some(std::process::id().cast_signed()));
    let own = std::fs::read_link("/proc/self/exe").unwrap();
    assert_eq!(peer.executable, Some(own.to_string_lossy().into_owned()));
}

#[tokio::test]
async fn a_user_who_may_not_submit_is_told_who_may_and_can_still_read() {
    let own = rustix::process::geteuid().as_raw();
    let somebody_else = own + 4242;
    let scene = Scene::only_for(somebody_else);
    for path in ["/v1/commands/a/cancel", "/v1/results/1/ack", "/v1/modules/fim/ask"] {
        assert_eq!(scene.client.post(path, json!({})).await.unwrap().status, 403, "{path}");
    }
    let answer = scene.client.post("/v1/commands", json!({})).await.unwrap();
    let message =
        format!("user {own} may not submit commands; these user ids may: {somebody_else}");
    let error = json!({ "error": { "code": "not_permitted", "message": message } });
    assert_eq!((answer.status, answer.body), (403, error));
    assert!(scene.agent.peers.lock().unwrap().is_empty(), "the handler is not asked");
    let refused = scene.agent.refused.lock().unwrap().clone();
    assert_eq!(refused.len(), 4, "each is for the audit trail");
    assert!(refused.iter().all(|(uid, why)| *uid == own && why.contains("may not submit")));
    assert_eq!(scene.client.get("/v1/status").await.unwrap().status, 200);
}

#[test]
fn root_the_own_user_and_the_configured_ones_may_submit() {
    let policy = ControlPolicy { allowed_uids: vec![1000, 0, 7] };
    assert_eq!(who_may_submit(policy, 998), [0, 7, 998, 1000]);
    assert_eq!(who_may_submit(ControlPolicy::default(), 0), [0]);
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_accepted_and_one_byte_more_is_not() {
    let scene = Scene::new();
    scene.agent.gate.add_permits(1);
    let text = |length: usize| Value::String("x".repeat(length - 2));
    let largest = scene.client.post("/v1/commands", text(1024 * 1024)).await.unwrap();
    assert_eq!((largest.status, &largest.body["bytes"]), (202, &json!(1024 * 1024)));
    for length in [1024 * 1024 + 1, 16 * 1024 * 1024] {
        let answer = scene.client.post("/v1/commands", text(length)).await.unwrap();
        let error =
            json!({ "code": "body_too_large", "message": "the body has more than 1048576 bytes" });
        assert_eq!((answer.status, answer.body), (413, json!({ "error": error })));
    }
}

#[tokio::test]
async fn a_handler_that_panics_or_answers_nonsense_is_a_500_and_harms_nobody() {
    let scene = Scene::new();
    let answer = scene.client.get("/v1/commands/panic").await.unwrap();
    assert_eq!((answer.status, &answer.body["error"]["code"]), (500, &json!("internal")));
    assert_eq!(scene.client.get("/v1/commands/odd").await.unwrap().status, 500);
    assert_eq!(scene.client.get("/v1/status").await.unwrap().status, 200);
}
