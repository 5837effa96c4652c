//! The control API over real sockets: requests, raw bytes, stopping, binding and the client.

mod binding;
mod client_errors;
mod fake_agent;
mod raw_bytes;
mod requests;
mod slow_clients;
mod stopping;
