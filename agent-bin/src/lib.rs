//! The agent's program: arguments, composition, exit codes, and the demonstration. The binary is one call of
//! [`main_with`].

mod args;
mod cli;
mod compose;
mod demo;
mod exit;
mod paths;
mod program;
mod start;

pub use compose::kinds;
pub use program::main_with;
