//! The binary `wazuh-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_bin::main_with(agent_bin::kinds())
}
