//! Every way in which a request has no answer.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use crate::control::{ApiAnswer, ClientError, ControlClient};

type Answer = Result<ApiAnswer, ClientError>;

/// What the client makes of a server that reads the request, answers `bytes` and closes.
async fn answered_with(bytes: &'static [u8]) -> Answer {
    let (folder, client, listener) = listening();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(bytes).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.get("/v1/status"), server);
    drop(folder);
    answer
}

fn listening() -> (TempDir, ControlClient, UnixListener) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    (folder, ControlClient::new(path), listener)
}

#[tokio::test]
async fn no_socket_and_a_socket_without_a_listener_mean_not_running() {
    let (folder, client, listener) = listening();
    drop(listener);
    let stale = client.get("/v1/status").await.unwrap_err();
    let missing =
        ControlClient::new(folder.path().join("none")).get("/v1/status").await.unwrap_err();
    let not_a_folder = ControlClient::new("/dev/null/s").get("/v1/status").await.unwrap_err();
    for error in [stale, missing, not_a_folder] {
        let ClientError::NotRunning { socket, reason } = &error else { panic!("{error}") };
        assert!(!reason.is_empty());
        assert!(error.to_string().contains(socket.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_socket_that_may_not_be_written_means_permission_denied() {
    // On a thread of its own, because the file system's user id belongs to a thread.
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (folder, client, _listener) = listening();
            fs::set_permissions(client.socket(), Permissions::from_mode(0o000)).unwrap();
            let before = nix::unistd::setfsuid(65534.into());
            let answer = client.get("/v1/status").await;
            nix::unistd::setfsuid(before);
            drop(folder);
            assert!(matches!(answer, Err(ClientError::PermissionDenied { .. })), "{answer:?}");
        });
    });
    thread.join().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_early_means_interrupted() {
    for bytes in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"half\":",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n",
    ] {
        let answer = answered_with(bytes.as_bytes()).await;
        assert!(matches!(answer, Err(ClientError::Interrupted { .. })), "{bytes:?}: {answer:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_in_the_backlog_means_interrupted() {
    let (_folder, client, listener) = listening();
    let ((), answer) = tokio::join!(
        async {
            tokio::task::yield_now().await;
            drop(listener);
        },
        client.get("/v1/status")
    );
    assert!(
        matches!(answer, Err(ClientError::Interrupted { .. } | ClientError::NotRunning { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_json_or_not_http_means_bad_answer() {
    for bytes in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", "SSH-2.0-x\r\n\r\n"] {
        let answer = answered_with(bytes.as_bytes()).await;
        assert!(matches!(answer, Err(ClientError::BadAnswer { .. })), "{bytes:?}: {answer:?}");
    }
    let answer = ControlClient::new("/s").get("not a path").await;
    assert!(matches!(answer, Err(ClientError::BadAnswer { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_says_nothing_means_timed_out() {
    let (_folder, client, _listener) = listening();
    let answer = client.with_timeout(Duration::from_millis(20)).get("/v1/status").await;
    assert!(matches!(answer, Err(ClientError::TimedOut)), "{answer:?}");
}

#[tokio::test]
async fn an_error_status_is_an_answer() {
    let bytes = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(answered_with(bytes).await.unwrap(), ApiAnswer { status: 503, body: json!({}) });
}
