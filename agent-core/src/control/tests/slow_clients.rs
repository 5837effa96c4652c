//! Clients that send or read slowly, or not at all, cost themselves and nobody else.
//!
//! Sockets are set up in real time; the clock is paused once only a time limit is left to happen.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::fake_agent::{Scene, read_to_end};
use crate::control::MAX_CONNECTIONS;

/// Connections are accepted in order, so an answer to a later one shows that all earlier ones are accepted.
async fn all_accepted(scene: &Scene) {
    assert_eq!(scene.client.get("/v1/status").await.unwrap().status, 200);
}

/// What `client` reads until the server closes, and how long after `begin` that was, in seconds. The clock is paused, so
/// only the limit of the server passes; what the test took before in real time makes it a little more.
async fn until_closed(client: &mut UnixStream, begin: Instant) -> (String, u64) {
    tokio::time::pause();
    let text = read_to_end(client).await;
    (text, begin.elapsed().as_secs())
}

/// Whether it was the limit of ten seconds that passed, not the next one of thirty.
fn is_ten(seconds: u64) -> bool {
    (10..30).contains(&seconds)
}

#[tokio::test]
async fn a_silent_client_is_closed_after_ten_seconds() {
    let begin = Instant::now();
    let scene = Scene::new();
    let mut silent = scene.connect().await;
    all_accepted(&scene).await;
    let (answer, seconds) = until_closed(&mut silent, begin).await;
    assert_eq!(answer, "");
    assert!(is_ten(seconds), "{seconds} s");
}

#[tokio::test]
async fn half_a_head_is_given_up_after_ten_seconds() {
    let begin = Instant::now();
    let scene = Scene::new();
    let mut slow = scene.connect().await;
    slow.write_all(b"GET /v1/status HTT").await.unwrap();
    all_accepted(&scene).await;
    let (answer, seconds) = until_closed(&mut slow, begin).await;
    assert_eq!(answer, "");
    assert!(is_ten(seconds), "{seconds} s");
}

#[tokio::test]
async fn a_connection_kept_alive_is_closed_after_ten_idle_seconds() {
    let begin = Instant::now();
    let scene = Scene::new();
    let mut idle = scene.connect().await;
    idle.write_all(b"GET /v1/status HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with("}\n") {
        answer.push(char::from(idle.read_u8().await.unwrap()));
    }
    all_accepted(&scene).await;
    let (answer, seconds) = until_closed(&mut idle, begin).await;
    assert_eq!(answer, "");
    assert!(is_ten(seconds), "{seconds} s");
}

#[tokio::test]
async fn a_body_that_never_comes_is_given_up_after_ten_seconds() {
    let begin = Instant::now();
    let scene = Scene::new();
    let mut slow = scene.connect().await;
    let head = "POST /v1/commands HTTP/1.1\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(b"half").await.unwrap();
    all_accepted(&scene).await;
    let (answer, seconds) = until_closed(&mut slow, begin).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains(r#""code":"request_timeout""#), "{answer}");
    assert!(is_ten(seconds), "{seconds} s");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_closed_after_thirty_seconds() {
    let scene = Scene::new();
    let mut slow = scene.connect().await;
    slow.write_all(b"GET /v1/modules HTTP/1.1\r\n\r\n").await.unwrap();
    scene.agent.begun.acquire().await.unwrap().forget();
    all_accepted(&scene).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let answer = read_to_end(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(answer.len() < 8_000_000, "closed in the middle: {}", answer.len());
}

#[tokio::test]
async fn when_every_slot_is_taken_the_next_client_waits_for_one() {
    let scene = Scene::new();
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(scene.connect().await);
    }
    let client = scene.client.clone();
    let mut waiting = tokio::spawn(async move { client.get("/v1/status").await });
    let early = tokio::time::timeout(Duration::from_millis(50), &mut waiting).await;
    assert!(early.is_err(), "answered although every slot is taken");
    drop(idle.pop());
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn silent_clients_in_every_slot_keep_others_out_for_ten_seconds_at_most() {
    let begin = Instant::now();
    let scene = Scene::new();
    let mut idle = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        idle.push(scene.connect().await);
    }
    let mut late = scene.connect().await;
    late.write_all(b"GET /v1/status HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
    let (answer, seconds) = until_closed(&mut late, begin).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(is_ten(seconds), "{seconds} s");
}
