//! The agent with one more module, `scripted`, that does what its section of the configuration says. For tests.

use std::process::ExitCode;
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName, ScriptedKind};

fn main() -> ExitCode {
    let mut kinds = agent_bin::kinds();
    // Tests with this program count modules and their steps: what has tests of its own stays away.
    kinds.retain(|kind| kind.name().as_str() != "fim");
    match ModuleName::new("scripted") {
        Ok(name) => kinds.push(Arc::new(ScriptedKind(name)) as Arc<dyn ModuleKind>),
        Err(error) => unreachable!("{error}"),
    }
    agent_bin::main_with(kinds)
}
