//! A stage for the loop: what is to happen is a plan, and what really happened is a record.

pub mod actor;
pub mod plan;
pub mod record;
pub mod sink;
pub mod story;
