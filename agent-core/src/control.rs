//! The control API: HTTP/1.1 and JSON on a Unix socket, so that `curl --unix-socket` works.
//!
//! ```text
//! GET  /v1/status
//! GET  /v1/modules
//! GET  /v1/commands?limit=N                     the N newest, 20 unless told, 1 to 1000
//! GET  /v1/commands/{id}?after=SEQ&wait_ms=N    waits up to N ms (at most 30,000) for news after entry SEQ
//! GET  /v1/changes?after=N&limit=N&wait_ms=N    what happened to all commands after the change N, the oldest first
//! GET  /v1/results?wait_ms=N                    the oldest result that nobody has acknowledged
//! GET  /v1/preflight?modules=A,B&force=true     what a restart would find in its way; without modules: of the agent
//! POST /v1/commands                             body: a command of at most 1 MiB, in either wire form
//! POST /v1/commands/{id}/cancel                 body: nothing or {"reason": "…"}
//! POST /v1/results/{change}/ack                 the result has arrived for good
//! POST /v1/modules/{name}/ask                   body: {"verb": "…", "arguments": {…}}; the module answers within 30 s
//! ```
//!
//! The server knows nothing of the agent: it turns bytes into an [`ApiRequest`], checks who asks, and hands it to a
//! [`ControlHandler`]. Whatever goes wrong is answered with `{"error":{"code":…,"message":…}}` and a code from
//! [`ErrorKind`].
//!
//! When the process is replaced, [`ControlServer::stop_accepting`] leaves connections that nobody has accepted yet in
//! the backlog of the socket. Whoever holds another descriptor of the same listener, here the next process, accepts
//! and answers them, so connecting never fails.

mod answer;
mod api;
mod bind;
mod client;
mod connection;
mod error_kind;
mod parse_error_io;
mod path_segment;
mod route;
mod server;

#[cfg(test)]
mod tests;

pub use api::{ApiAnswer, ApiRequest, ControlHandler, PeerCred};
pub use bind::{BindError, bind};
pub use client::{ClientError, ControlClient};
pub use error_kind::ErrorKind;
pub use hyper::body::Bytes;
pub use path_segment::command_path;
pub use server::{ControlPolicy, ControlServer, MAX_BODY, MAX_CONNECTIONS, MAX_WAIT, serve};
