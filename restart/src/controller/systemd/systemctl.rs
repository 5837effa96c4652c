//! The second way to ask systemd: its own command, which may have ways that we have not.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::manager::OwnUnit;
use crate::controller::watched::Watched;

/// It only places a job.
const TIMEOUT: Duration = Duration::from_secs(10);
/// It only asks, and the agent is down meanwhile.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const SIGTERM: i32 = 15;

/// Runs `systemctl --no-block restart`, on `unit` or else on the unit that the control group names.
pub(super) async fn restart(unit: Option<&OwnUnit>) -> Result<(), String> {
    let (id, of_user) = name(unit)?;
    let both = move || {
        // As over D-Bus: a start limit used up would stop the unit and leave it so.
        if let Err(error) = run("reset-failed", &id, of_user) {
            tracing::warn!(%error, "cannot reset the counter of starts");
        }
        // As over D-Bus, too: a stop that is under way is not cancelled.
        run_with(&["--job-mode=fail"], "restart", &id, of_user)
    };
    tokio::task::spawn_blocking(both).await.map_err(|error| error.to_string())?
}

/// Runs `systemctl --no-block stop`, on the same unit.
pub(super) async fn stop(unit: Option<&OwnUnit>) -> Result<(), String> {
    let (id, of_user) = name(unit)?;
    let stopping = tokio::task::spawn_blocking(move || run("stop", &id, of_user)).await;
    stopping.map_err(|error| error.to_string())?
}

/// The type of the job that systemd has for the unit that the control group names: `restart`, `start`, `stop`, …; `None` when
/// it has none. Takes a second at most.
pub(super) async fn job() -> Result<Option<String>, String> {
    let (id, of_user) = name(None)?;
    let asking = move || {
        let mut command = systemctl(of_user);
        command.args(["list-jobs", "--no-legend", "--plain", "--", &id]).stdout(Stdio::piped());
        let printed = run_to_end(command, ASK_TIMEOUT)?;
        Ok(job_in(&printed, &id))
    };
    tokio::task::spawn_blocking(asking).await.map_err(|error| error.to_string())?
}

/// A line is `NUMBER UNIT TYPE STATE`.
fn job_in(printed: &str, id: &str) -> Option<String> {
    let words = printed.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    words.into_iter().find_map(|words| match words.as_slice() {
        [_, unit, kind, ..] if *unit == id => Some((*kind).to_owned()),
        _ => None,
    })
}

fn name(unit: Option<&OwnUnit>) -> Result<(String, bool), String> {
    if let Some(unit) = unit {
        return Ok((unit.id.clone(), unit.of_user));
    }
    let text = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    Ok(unit_of_cgroup(&text).ok_or("the control group names no service")?)
}

fn run(verb: &str, id: &str, of_user: bool) -> Result<(), String> {
    run_with(&[], verb, id, of_user)
}

fn run_with(options: &[&str], verb: &str, id: &str, of_user: bool) -> Result<(), String> {
    let mut command = systemctl(of_user);
    command.args(["--no-block", "--no-ask-password"]).args(options).args([verb, "--", id]);
    command.stdout(Stdio::null());
    run_to_end(command, TIMEOUT).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "controllers are where processes are started")]
fn systemctl(of_user: bool) -> Command {
    let mut command = Command::new("systemctl");
    if of_user {
        command.arg("--user");
    }
    // It would report to our manager in our name.
    command.env_remove("NOTIFY_SOCKET");
    command
}

/// Runs a command that prints little, and returns what it printed.
fn run_to_end(mut command: Command, within: Duration) -> Result<String, String> {
    let spawned = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("cannot start systemctl: {error}"))?;
    let in_time = wait(&child, within);
    if in_time != Ok(true) {
        // It is in our control group and must not be left behind.
        child.kill().map_err(|error| error.to_string())?;
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    match in_time {
        Ok(true) => {}
        Ok(false) => return Err(format!("systemctl did not end within {within:?}")),
        Err(reason) => return Err(reason),
    }
    // SIGTERM: the restart it has asked for takes it away with the unit.
    if status.success() || status.signal() == Some(SIGTERM) {
        return child.stdout.as_mut().map_or(Ok(String::new()), text_in);
    }
    let complaint = child.stderr.as_mut().map_or(Ok(String::new()), text_in);
    let complaint = complaint.unwrap_or_else(|error| error).replace('\n', " ");
    Err(format!("systemctl ended with {status}: {complaint}"))
}

fn wait(child: &Child, within: Duration) -> Result<bool, String> {
    let watched = pidfd_open(Pid::from_child(child), PidfdFlags::empty())
        .map(Watched::ByDescriptor)
        .map_err(|error| error.to_string());
    let watched = match watched {
        Ok(watched) => watched,
        Err(_) => {
            let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
            Watched::ByIdentity(crate::ProcessIdentity::of(pid).map_err(|error| error.to_string())?)
        }
    };
    let deadline = crate::kernel_clock::monotonic() + within;
    loop {
        let left = deadline.saturating_sub(crate::kernel_clock::monotonic());
        if watched.wait(None, Some(left)).map_err(|error| error.to_string())?.ended {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
    }
}

/// What it wrote, which fits into the pipe.
fn text_in(pipe: &mut impl Read) -> Result<String, String> {
    let mut text = String::new();
    pipe.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text.trim().to_owned())
}

/// The service in systemd's line of `/proc/self/cgroup`, and whether it is one of a user's manager.
fn unit_of_cgroup(text: &str) -> Option<(String, bool)> {
    // Where both versions of control groups are in use, either may be the one with the units.
    let lines =
        text.lines().filter(|line| line.contains(":name=systemd:") || line.starts_with("0::/"));
    let mut paths = lines.filter_map(|line| line.splitn(3, ':').nth(2));
    // A unit may have groups of its own below.
    let (path, id) = paths.find_map(|path| {
        path.rsplit('/').find(|part| part.ends_with(".service")).map(|id| (path, id))
    })?;
    let of_user = path.split('/').any(|part| part.starts_with("user@")) && !id.starts_with("user@");
    // A name that could be taken for a file of the kernel has one underscore more as a control group.
    Some((id.strip_prefix('_').unwrap_or(id).to_owned(), of_user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_of_the_unit_is_found_among_others() {
        let printed = "31 other.service stop running\n 7 agent.service restart running\n";
        assert_eq!(job_in(printed, "agent.service").as_deref(), Some("restart"));
        assert_eq!(job_in(printed, "other.service").as_deref(), Some("stop"));
        assert_eq!(job_in(printed, "ent.service"), None);
        assert_eq!(job_in("", "agent.service"), None);
    }

    #[test]
    fn the_unit_is_read_from_either_kind_of_control_group() {
        let of = |text| unit_of_cgroup(text);
        let agent = Some(("agent.service".to_owned(), false));
        assert_eq!(of("0::/system.slice/agent.service\n"), agent);
        assert_eq!(of("4:pids:/x\n1:name=systemd:/system.slice/agent.service\n0::/y\n"), agent);
        assert_eq!(of("9:name=systemd:/\n0::/system.slice/agent.service\n"), agent);
        assert_eq!(of("0::/system.slice/agent.service/payload\n"), agent);
        let instance = Some(("agent@2.service".to_owned(), false));
        assert_eq!(of("0::/system.slice/system-agent.slice/agent@2.service\n"), instance);
        assert_eq!(
            of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/agent.service\n"),
            Some(("agent.service".to_owned(), true))
        );
        let odd = |id: &str| Some((id.to_owned(), false));
        assert_eq!(of("0::/system.slice/_pids.service\n"), odd("pids.service"));
        assert_eq!(of("0::/system.slice/__own.service\n"), odd("_own.service"));
        assert_eq!(of("0::/x.slice/odd\\x2dname@a-1.service\n"), odd(r"odd\x2dname@a-1.service"));
        assert_eq!(of("0::/user.slice/user-1000.slice/session-1.scope\n"), None);
        assert_eq!(of("0::/\n"), None);
    }
}
