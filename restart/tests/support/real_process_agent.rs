//! A `tiny_agent` in a folder of its own, as the real-process tests see it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use restart::ProcessIdentity;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

/// Far above what a loaded machine needs: a test that gets here has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The folder, and whatever agents it has seen; all of them are ended with it.
pub(crate) struct Agent {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) child: Option<Child>,
}

impl Agent {
    /// Writes the script; nothing is started yet.
    pub(crate) fn with_script(script: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script.json"), script.to_string()).unwrap();
        Self { folder, child: None }
    }

    /// Starts the agent by its path, with the folder as its argument, and waits until it answers.
    pub(crate) fn started(script: &Value) -> Self {
        let mut agent = Self::with_script(script);
        let mut command = Command::new(program());
        command.arg(agent.folder.path());
        agent.start(command);
        agent
    }

    /// Starts `command`, which has to lead to the agent, and waits until it answers. Nobody reaps it before the test ends.
    pub(crate) fn start(&mut self, mut command: Command) {
        let file = std::fs::File::open(self.path("script.json")).unwrap();
        command.stdin(Stdio::from(file)).stdout(Stdio::piped());
        let child = self.child.insert(command.spawn().unwrap());
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"ready\n");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Says `word` and returns the answer of whichever agent takes the connection.
    pub(crate) fn ask(&self, word: &str) -> String {
        let mut stream = UnixStream::connect(self.path("control.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(word.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Restarts the agent and returns what the old and the new one found at their start.
    ///
    /// The old agent takes no connection after its answer, and none is refused: the new one gets the next.
    pub(crate) fn restarted(&self) -> (Value, Value) {
        let before = self.who();
        assert_eq!(self.ask("restart"), "asked");
        (before, self.who())
    }

    pub(crate) fn who(&self) -> Value {
        serde_json::from_str(&self.ask("who")).unwrap()
    }

    /// What every start so far has found.
    pub(crate) fn starts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("starts.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The helper, as the ticket names it.
    pub(crate) fn helper(&self) -> ProcessIdentity {
        let ticket: Value =
            serde_json::from_slice(&std::fs::read(self.path("ticket.json")).unwrap()).unwrap();
        serde_json::from_value(ticket["successor"].clone()).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        for start in self.starts() {
            let identity: ProcessIdentity =
                serde_json::from_value(start["identity"].clone()).unwrap();
            kill(&identity);
        }
        if let Some(child) = &mut self.child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// Ends the process if it is still this very one, and waits until it has ended.
pub(crate) fn kill(identity: &ProcessIdentity) {
    let pid = Pid::from_raw(identity.pid).unwrap();
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
        && identity.is_alive()
    {
        pidfd_send_signal(&pidfd, Signal::KILL).unwrap();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    }
}

/// Waits until the process has ended by itself.
pub(crate) fn wait_for_end(identity: &ProcessIdentity) {
    let pid = Pid::from_raw(identity.pid).unwrap();
    if let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty())
        && identity.is_alive()
    {
        let timeout = rustix::event::Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)).unwrap();
        assert_eq!(ended, 1, "process {} has not ended", identity.pid);
    }
}

/// The example program. Cargo builds it with the tests, unless it is told to run this test alone: then it is built here,
/// so that never an older one is tested.
pub(crate) fn program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let program = test.ancestors().nth(2).unwrap().join("examples/tiny_agent");
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = [home.join("src"), home.join("examples")].map(|folder| newest(&folder));
        let built = std::fs::metadata(&program).and_then(|file| file.modified());
        if !built.is_ok_and(|built| sources.iter().all(|source| *source <= built)) {
            let args = ["build", "--quiet", "-p", "restart", "--example", "tiny_agent"];
            assert!(Command::new(env!("CARGO")).args(args).status().unwrap().success());
        }
        program
    });
    program.clone()
}

fn newest(path: &Path) -> SystemTime {
    if path.is_file() {
        return path.metadata().unwrap().modified().unwrap();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| newest(&entry.unwrap().path())).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The standard three, as the process started by the test has them, and what was handed over after them.
pub(crate) fn with_handed_over(first: &Value, handed_over: &[(i32, &str)], found: &Value) {
    let standard = |value: &Value| value.as_array().unwrap()[..3].to_vec();
    assert_eq!(standard(first), standard(found), "the standard three stay what they were");
    let rest: Vec<(i32, String)> =
        serde_json::from_value(found.as_array().unwrap()[3..].into()).unwrap();
    let rest: Vec<(i32, &str)> =
        rest.iter().map(|(number, target)| (*number, target.split('[').next().unwrap())).collect();
    assert_eq!(rest, handed_over);
}

/// The folder's script as a descriptor of it looks under `/proc`.
pub(crate) fn canonical(path: &Path) -> String {
    path.canonicalize().unwrap().to_str().unwrap().to_owned()
}
