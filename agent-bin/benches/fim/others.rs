//! Other programs that read the same files.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// ms that openssl takes for the digests of all files of `tree`, with as many processes as there are processors.
pub(crate) fn openssl(tree: &Path) -> Result<f64, String> {
    let script = "set -o pipefail; find \"$0\" -xdev -type f -print0 | xargs -0 -P\"$(nproc)\" -n 200 openssl dgst -sha256";
    let mut command = Command::new("bash");
    command.args(["-c", script]).arg(tree);
    timed(&mut command)
}

/// ms that `aide --init` takes for `tree`. `Ok(Err(..))` is why it cannot be measured here.
pub(crate) fn aide(tree: &Path, folder: &Path) -> Result<Result<f64, String>, String> {
    if Command::new("aide").arg("--version").output().is_err() {
        return Ok(Err("aide is not installed".to_owned()));
    }
    let (config, database) = (folder.join("aide.conf"), folder.join("aide.db"));
    let text = format!(
        "database_out=file:{}\ngzip_dbout=no\n{} p+ftype+i+l+u+g+s+m+c+sha256\n",
        database.display(),
        tree.display()
    );
    fs::write(&config, text).map_err(|error| format!("aide.conf: {error}"))?;
    let mut command = Command::new("aide");
    command.arg("--init").arg("--config").arg(&config);
    timed(&mut command).map(Ok)
}

fn timed(command: &mut Command) -> Result<f64, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    if status.success() { Ok(took) } else { Err(format!("{command:?}: {status}")) }
}
