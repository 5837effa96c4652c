//! The floor of the machine: a static C service in the unit that is shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles the service into `folder`. `Err` is the reason why that cannot be done here.
pub(crate) fn compile(folder: &Path) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/restart/floor.c");
    let program = folder.join("floor");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-static", "-Wall", "-Werror", "-o"]).arg(&program).arg(&source);
    let output = gcc.output().map_err(|error| format!("gcc does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("gcc -static: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(program)
}

/// The shipped unit with another program, and with `more` at the end of its section `[Service]`.
pub(crate) fn unit(program: &Path, more: &str) -> Result<String, String> {
    let shipped = include_str!("../../packaging/wazuh-agent.service");
    let of_program = shipped
        .replace("ExecStart=/usr/bin/wazuh-agent", &format!("ExecStart={}", program.display()));
    let with_more = of_program.replace("\n[Install]", &format!("{more}\n[Install]"));
    if of_program == shipped || (with_more == of_program) != more.is_empty() {
        return Err("the shipped unit has no place for another program".to_owned());
    }
    Ok(with_more)
}
