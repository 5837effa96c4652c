//! The command line against a fake agent, with everything it prints.

mod auditing;
mod cancelling;
mod fake_agent;
mod fim_check;
mod fim_scan;
mod fim_status;
mod following;
mod scripted_agent;
mod stopping;
mod transcripts;
mod watching;
mod without_agent;
