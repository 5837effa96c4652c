//! The agent with one more module, `scripted`, that does what its section of the configuration says. For tests.

use std::process::ExitCode;
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName, ScriptedKind};

fn main() -> ExitCode {
    let mut kinds = agent_bin::kinds();
    match ModuleName::new("scripted") {
        Ok(name) => kinds.push(Arc::new(ScriptedKind(name)) as Arc<dyn ModuleKind>),
        Err(error) => unreachable!("{error}"),
    }
    agent_bin::main_with(kinds)
}
