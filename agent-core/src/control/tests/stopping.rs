//! What a stop does to those who wait in the backlog, in the middle of a request, or for news.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::fake_agent::{FakeAgent, Scene, read_to_end};
use crate::control::{ClientError, ControlPolicy, serve};

/// More than any of the tests takes; reached only when something hangs.
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn who_connects_after_the_stop_is_answered_by_the_successor() {
    let scene = Scene::new();
    assert_eq!(scene.client.get("/v1/status").await.unwrap().body, json!({ "name": "first" }));
    scene.server.stop_accepting();
    let client = scene.client.clone();
    let waiting = tokio::spawn(async move { client.get("/v1/status").await });
    assert_eq!(scene.server.finished(LONG).await, 0);
    assert!(!waiting.is_finished(), "nobody is there to answer");

    let successor = FakeAgent::named("second");
    let second =
        serve(scene.listener.try_clone().unwrap(), successor, ControlPolicy::default()).unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().body, json!({ "name": "second" }));
    assert_eq!(second.finished(LONG).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clients_across_ten_changes_of_the_server_all_get_an_answer() {
    let scene = Scene::new();
    let clients: Vec<_> = (0..100)
        .map(|_| {
            let client = scene.client.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    client.get("/v1/status").await?;
                }
                Ok::<(), ClientError>(())
            })
        })
        .collect();
    let mut server = scene.server;
    for _ in 0..10 {
        scene.agent.begun.acquire_many(50).await.unwrap().forget();
        assert_eq!(server.finished(LONG).await, 0);
        let listener = scene.listener.try_clone().unwrap();
        let agent = Arc::clone(&scene.agent);
        server = serve(listener, agent, ControlPolicy::default()).unwrap();
    }
    for client in clients {
        client.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_the_connection_closed() {
    let scene = Scene::new();
    let mut client = scene.connect().await;
    let request = "POST /v1/commands HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
    client.write_all(request.as_bytes()).await.unwrap();
    scene.agent.begun.acquire().await.unwrap().forget();
    scene.server.stop_accepting();
    scene.agent.gate.add_permits(1);
    let (answer, cut_off) = tokio::join!(read_to_end(&mut client), scene.server.finished(LONG));
    assert!(answer.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(cut_off, 0);
}

#[tokio::test]
async fn a_long_poll_is_answered_at_once_with_what_is_known() {
    let scene = Scene::new();
    let client = scene.client.clone();
    let poll =
        tokio::spawn(async move { client.get("/v1/commands/x?after=2&wait_ms=30000").await });
    scene.agent.begun.acquire().await.unwrap().forget();
    assert_eq!(scene.server.finished(LONG).await, 0, "a wait of 30 s would have been cut off");
    assert_eq!(poll.await.unwrap().unwrap().body, json!({ "id": "x", "after": 2, "wait_ms": 0 }));
}

#[tokio::test]
async fn silent_and_slow_clients_do_not_hold_up_the_stop() {
    let scene = Scene::new();
    let silent = scene.connect().await;
    let mut half_a_head = scene.connect().await;
    half_a_head.write_all(b"GET /v1/sta").await.unwrap();
    let mut half_a_body = scene.connect().await;
    let head = b"POST /v1/commands HTTP/1.1\r\ncontent-length: 10\r\n\r\nhalf";
    half_a_body.write_all(head).await.unwrap();
    let mut not_reading = scene.connect().await;
    not_reading.write_all(b"GET /v1/modules HTTP/1.1\r\n\r\n").await.unwrap();
    scene.agent.begun.acquire().await.unwrap().forget();
    scene.client.get("/v1/status").await.unwrap();
    tokio::time::pause();
    let begin = Instant::now();
    assert_eq!(scene.server.finished(LONG).await, 0);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?} of paused time", begin.elapsed());
    drop((silent, half_a_head, half_a_body, not_reading));
}

#[tokio::test]
async fn a_handler_that_hangs_is_cut_off_and_counted() {
    let scene = Scene::new();
    let client = scene.client.clone();
    let post = tokio::spawn(async move { client.post("/v1/commands", json!({})).await });
    scene.agent.begun.acquire().await.unwrap().forget();
    assert_eq!(scene.server.finished(Duration::from_millis(20)).await, 1);
    let answer = post.await.unwrap();
    assert!(matches!(answer, Err(ClientError::Interrupted { .. })), "{answer:?}");
    // The submission itself goes on: what was accepted is not torn.
    scene.agent.gate.add_permits(1);
    scene.agent.submitted.acquire().await.unwrap().forget();
}

#[tokio::test]
async fn a_submission_is_run_to_its_end_although_its_client_is_gone() {
    let scene = Scene::new();
    let mut client = scene.connect().await;
    let request = "POST /v1/commands HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
    client.write_all(request.as_bytes()).await.unwrap();
    scene.agent.begun.acquire().await.unwrap().forget();
    drop(client);
    let agent = Arc::clone(&scene.agent);
    let finished = tokio::spawn(scene.server.finished(LONG));
    tokio::task::yield_now().await;
    assert!(!finished.is_finished(), "the stop waits for the submission");
    agent.gate.add_permits(1);
    assert_eq!(finished.await.unwrap(), 0);
    assert_eq!(agent.submitted.available_permits(), 1);
}

#[tokio::test]
async fn a_server_that_is_dropped_stops_accepting() {
    let scene = Scene::new();
    drop(scene.server);
    let client = scene.client.with_timeout(Duration::from_millis(50));
    let answer = client.get("/v1/status").await;
    assert!(matches!(answer, Err(ClientError::TimedOut)), "{answer:?}");
}
