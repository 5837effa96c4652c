//! The command line against a fake agent, with everything it prints.

mod auditing;
mod fake_agent;
mod following;
mod stopping;
mod transcripts;
mod without_agent;
