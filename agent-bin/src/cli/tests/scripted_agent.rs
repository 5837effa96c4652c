//! An agent that answers from a script and writes down what it was asked, to the letter.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::fake_agent::{Place, Run};

/// What the agent does next.
pub(super) enum Turn {
    /// Answers a request with this status and body.
    Answer(u16, Value),
    /// Reads a request and goes away without an answer, in the middle of one if `half`.
    Break {
        /// Whether some of the answer is sent.
        half: bool,
    },
    /// Stops listening, and listens anew.
    Restart,
}

/// An answer with `body`.
pub(super) fn ok(body: Value) -> Turn {
    Turn::Answer(200, body)
}

/// An answer that is an error of the agent.
pub(super) fn error(status: u16, code: &str, message: &str) -> Turn {
    Turn::Answer(status, json!({ "error": { "code": code, "message": message } }))
}

/// Runs the program with `line` as its arguments against an agent that takes these turns, the last of which has to end the
/// program. Returns what was printed and what was asked, as `METHOD TARGET BODY`.
pub(super) async fn run_against(line: &str, turns: Vec<Turn>) -> (Run, Vec<String>) {
    let place = Place::new();
    let listener = listen(&place);
    tokio::join!(place.run(line), play(&place, listener, turns))
}

/// Listens on the socket of `place`; whoever connects waits until it is his turn.
pub(super) fn listen(place: &Place) -> UnixListener {
    let listener = place.listen();
    listener.set_nonblocking(true).unwrap();
    UnixListener::from_std(listener).unwrap()
}

/// Takes the turns one after the other, then stops listening.
pub(super) async fn play(
    place: &Place,
    mut listener: UnixListener,
    turns: Vec<Turn>,
) -> Vec<String> {
    let mut asked = Vec::new();
    for turn in turns {
        if matches!(turn, Turn::Restart) {
            drop(listener);
            listener = listen(place);
            continue;
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        asked.push(read_request(&mut stream).await);
        let answer = match turn {
            Turn::Answer(status, body) => answer(status, &body),
            Turn::Break { half: true } => {
                "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned()
            }
            Turn::Break { half: false } | Turn::Restart => String::new(),
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    asked
}

fn answer(status: u16, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads a request as far as its head says, and returns its first line without the version, and its body.
async fn read_request(stream: &mut UnixStream) -> String {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let asked = head.lines().next().unwrap().replace(" HTTP/1.1", "");
                return format!("{asked} {body}").trim_end().to_owned();
            }
        }
        let mut bytes = [0; 1000];
        let count = stream.read(&mut bytes).await.unwrap();
        assert_ne!(count, 0, "the request broke off: {text}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
}
