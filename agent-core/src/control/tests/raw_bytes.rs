//! Bytes that are not what a well-behaved client sends.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::fake_agent::Scene;
use crate::control::MAX_CONNECTIONS;

/// Checks that `answer` is one whole HTTP answer with a JSON error, and gives status line and code.
fn refusal(answer: &str) -> (String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}\n{body}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert!(!body["error"]["message"].as_str().unwrap().is_empty());
    (head.lines().next().unwrap().to_owned(), body["error"]["code"].as_str().unwrap().to_owned())
}

async fn refused(scene: &Scene, bytes: &[u8], status_line: &str, code: &str) {
    let answer = scene.raw(bytes).await;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
    assert_eq!(refusal(&answer), (format!("HTTP/1.1 {status_line}"), code.to_owned()), "{shown:?}");
}

#[tokio::test]
async fn what_is_not_http_is_refused_with_json() {
    let scene = Scene::new();
    for bytes in [
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v1/status HTTP/9.9\r\n\r\n",
        "G\0T /v1/status HTTP/1.1\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n",
        "POST /v1/commands HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        "{\"command\":{}}\r\n\r\n",
    ] {
        refused(&scene, bytes.as_bytes(), "400 Bad Request", "malformed_request").await;
    }
    refused(&scene, &[0xff; 4096], "400 Bad Request", "malformed_request").await;
    assert_eq!(scene.client.get("/v1/status").await.unwrap().status, 200);
}

#[tokio::test]
async fn an_unknown_verb_is_a_wrong_method_and_names_the_right_one() {
    let scene = Scene::new();
    let answer = scene.raw(b"RESTART /v1/commands HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert_eq!(refusal(&answer).0, "HTTP/1.1 405 Method Not Allowed");
    assert!(answer.contains("\r\nallow: GET, POST\r\n"), "{answer}");
}

#[tokio::test]
async fn huge_heads_are_refused_with_json() {
    let scene = Scene::new();
    let too_large = "431 Request Header Fields Too Large";
    let value = "x".repeat(1_000_000);
    let one_long = format!("GET /v1/status HTTP/1.1\r\na: {value}\r\n\r\n");
    refused(&scene, one_long.as_bytes(), too_large, "headers_too_large").await;
    let many = format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    refused(&scene, many.as_bytes(), too_large, "headers_too_large").await;
    let long_target = format!("GET /{value} HTTP/1.1\r\n\r\n");
    refused(&scene, long_target.as_bytes(), too_large, "headers_too_large").await;
}

#[tokio::test]
async fn a_body_announced_as_too_large_is_refused_before_it_is_sent() {
    let scene = Scene::new();
    let head = "POST /v1/commands HTTP/1.1\r\ncontent-length: 1048577\r\n\r\n";
    refused(&scene, head.as_bytes(), "413 Payload Too Large", "body_too_large").await;
    let absurd = format!("POST /v1/commands HTTP/1.1\r\ncontent-length: {}\r\n\r\n", u64::MAX / 4);
    refused(&scene, absurd.as_bytes(), "413 Payload Too Large", "body_too_large").await;
}

#[tokio::test]
async fn a_body_in_chunks_is_refused_once_it_is_too_large() {
    let scene = Scene::new();
    let mut bytes = b"POST /v1/commands HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..32 {
        bytes.extend(b"10000\r\n");
        bytes.extend([b'x'; 0x10000]);
        bytes.extend(b"\r\n");
    }
    refused(&scene, &bytes, "413 Payload Too Large", "body_too_large").await;
}

#[tokio::test]
async fn a_body_with_broken_chunks_is_refused() {
    let scene = Scene::new();
    let bytes = b"POST /v1/commands HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    refused(&scene, bytes, "400 Bad Request", "malformed_request").await;
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let scene = Scene::new();
    let two = "GET /v1/status HTTP/1.1\r\n\r\nGET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n";
    let answer = scene.raw(two.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
}

#[tokio::test]
async fn a_flood_of_connections_is_served_in_portions() {
    let scene = Scene::new();
    let requests: Vec<_> = (0..300)
        .map(|_| {
            let client = scene.client.clone();
            tokio::spawn(async move { client.get("/v1/status").await })
        })
        .collect();
    for request in requests {
        let answer = request.await.unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, json!({ "name": "first" })));
    }
    let most = scene.agent.most_at_once.load(Ordering::SeqCst);
    assert!(most <= MAX_CONNECTIONS, "{most}");
}
