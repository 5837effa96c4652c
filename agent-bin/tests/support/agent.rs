//! An agent in a temporary folder for end-to-end tests: started by hand, asked through the command line, ended for sure.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

/// Longer than anything takes that works; only a failure waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_wazuh-agent"))
}

/// The agent whose module `scripted` does what its section says. An example, so cargo builds it for the tests.
pub(crate) fn scripted_binary() -> PathBuf {
    let path = binary().with_file_name("examples").join("scripted_agent");
    assert!(
        path.exists(),
        "{} is missing; run `cargo build -p agent-bin --examples`",
        path.display()
    );
    path
}

/// An agent with its own folder. Whatever process holds the folder at the end is killed.
pub(crate) struct TestAgent {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) binary: PathBuf,
    child: Option<Child>,
}

impl TestAgent {
    /// A folder with a configuration, and no process yet. `extra` is added to the configuration.
    pub(crate) fn new(binary: PathBuf, extra: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("wazuh-agent-").tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        let agent = Self { folder, binary, child: None };
        agent.configure(extra);
        agent
    }

    pub(crate) fn configure(&self, extra: &str) {
        let config = format!(
            "logcollector:\n  files: [{}]\n  read_interval: 20ms\n  reload_interval: 50ms\n  start_at: beginning\n{extra}",
            self.path("logs/*.log").display()
        );
        fs::write(self.path("agent.yml"), config).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command line that runs this agent or asks it.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg(verb)
            .arg("--config")
            .arg(self.path("agent.yml"))
            .arg("--state-dir")
            .arg(self.path("state"))
            .arg("--run-dir")
            .arg(self.path("run"));
        command
    }

    /// Starts the agent and returns when it says that it runs.
    pub(crate) fn start(&mut self) {
        let mut command = self.command("run");
        self.spawn(&mut command);
    }

    /// Starts `command` as the agent, with its log in the folder; returns when it says that it runs.
    pub(crate) fn spawn(&mut self, command: &mut Command) {
        self.spawn_until(command, "running");
    }

    /// The same, but returns when the agent says that it is in `state`.
    pub(crate) fn spawn_until(&mut self, command: &mut Command, state: &str) {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.path("agent.log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        // A program that a test has just copied is busy as long as a child of another test, on its way to its own program,
        // has inherited the descriptor that it was written by.
        self.child = Some(loop {
            match command.spawn() {
                Err(busy) if busy.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::yield_now();
                }
                spawned => break spawned.unwrap(),
            }
        });
        self.until(state, |agent| agent.status().is_some_and(|status| status["state"] == state));
    }

    /// Takes a process that the test has started in its own way for the agent's.
    pub(crate) fn adopt(&mut self, child: Child) {
        self.child = Some(child);
    }

    /// Waits for the process that the test started, so that it does not stay a zombie.
    pub(crate) fn reap(&mut self) -> Option<std::process::ExitStatus> {
        self.child.take().map(|mut child| child.wait().unwrap())
    }

    /// The pid of the process that the test started, as long as it was not waited for.
    pub(crate) fn child_id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs a verb of the command line to its end.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        let mut command = self.command(args[0]);
        command.args(&args[1..]).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs a verb with `--json` and reads what it prints.
    pub(crate) fn json(&self, args: &[&str]) -> (Option<i32>, Value) {
        let output = self.cli(&[args, &["--json"]].concat());
        let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{args:?} printed no JSON ({error}): {:?} {:?}; the agent's log:\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
                self.log()
            )
        });
        (output.status.code(), value)
    }

    pub(crate) fn status(&self) -> Option<Value> {
        let output = self.cli(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.status().expect("the agent runs")["pid"].as_i64().unwrap()).unwrap()
    }

    /// The process that holds the folder, also one that does not answer.
    pub(crate) fn pid_of_holder(&self) -> i32 {
        self.holder().expect("an agent holds the folder").as_raw_nonzero().get()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    pub(crate) fn append(&self, file: &str, text: &str) {
        use std::io::Write;
        let path = self.path("logs").join(file);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// How often each line was delivered to the output file.
    pub(crate) fn delivered(&self) -> BTreeMap<String, u32> {
        delivered_in(&fs::read_to_string(self.path("state/events.ndjson")).unwrap_or_default())
    }

    /// Looks until `met` holds; fails with the agent's log when it never does.
    pub(crate) fn until(&self, what: &str, mut met: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !met(self) {
            assert!(Instant::now() < deadline, "never: {what}; the agent's log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process that holds the folder, if one does.
    fn holder(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("state/agent.lock")).ok()?;
        let pid = Pid::from_raw(text.trim().parse().ok()?)?;
        // Only a process that works in this folder is ours to kill.
        let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        let words = fs::read(process.join("cmdline")).ok()?;
        let ours = self.folder.path().as_os_str().as_encoded_bytes();
        let works_here =
            fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == self.folder.path());
        (works_here || words.windows(ours.len()).any(|window| window == ours)).then_some(pid)
    }
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        // First, because it may be a supervisor, which would start the other one again.
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if let Some(pid) = self.holder()
            && let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
        {
            pidfd_send_signal(&process, Signal::KILL).ok();
        }
    }
}

/// How often each line is among the delivered events. An event that is not whole yet does not count.
pub(crate) fn delivered_in(events: &str) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    for line in events.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let event: Value = serde_json::from_str(line).unwrap();
        // Warnings have no line.
        if let Some(original) = event["event"]["original"].as_str() {
            *lines.entry(original.to_owned()).or_default() += 1;
        }
    }
    lines
}

/// Signals a process by its pid, which the test knows to be of its agent.
pub(crate) fn kill(pid: i32, signal: Signal) {
    let process = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap();
    pidfd_send_signal(&process, signal).unwrap();
}

/// Says by name that a test was not run here, and why.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write;
    eprintln!("skipped: {test}: {reason}");
    if let Some(path) = std::env::var_os("WAZUH_TEST_SKIPS") {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(Path::new(&path)).unwrap();
        writeln!(file, "{test}\t{reason}").unwrap();
    }
}
