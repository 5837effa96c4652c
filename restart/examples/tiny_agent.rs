//! The smallest agent that can be restarted in every way: no modules, one socket, a script instead of a configuration.
//!
//! `tiny_agent FOLDER` reads `FOLDER/script.json`, appends what it found at its start to `FOLDER/starts.jsonl`, and answers
//! one word per connection on `FOLDER/control.sock`: `who`, `fate`, `restart`, `quit`. `tests/real_process.rs` uses it.
#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_sign_loss,
    reason = "a test program: it ends where an agent would go on"
)]

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use restart::{
    DescriptorStore, EXIT_RESTART, LaunchPlan, MethodChoice, Notifier, ProcessController,
    ProcessIdentity, Requested, StartEnvironment, Ticket, TicketDraft, adopt, boottime_ms, choose,
    controller_for, helper_main, is_listening_unix_socket, judge,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// How the agent behaves. What spoils a restart applies to the first generation only.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Script {
    method: MethodChoice,
    remaining_ms: u64,
    ignore_sigterm: bool,
    call_off_on_sigterm: bool,
    hang_before_exec: bool,
    /// Opens a descriptor that would leak through execve, and blocks a signal.
    untidy: bool,
    /// On SIGTERM: replaces its own program by a file that cannot be executed.
    spoil_program: bool,
    /// Every generation runs as on a kernel before 5.1.
    without_pidfds: bool,
}

impl Script {
    fn read(folder: &Path) -> Self {
        let script = std::fs::read(folder.join("script.json")).expect("script.json");
        serde_json::from_slice(&script).expect("script")
    }
}

struct Agent {
    folder: PathBuf,
    script: Script,
    launch: LaunchPlan,
    notifier: Notifier,
    controller: Arc<dyn ProcessController>,
    own: ProcessIdentity,
    generation: u64,
    found: Value,
    fate: Option<String>,
    listener: UnixListener,
    sigterm: Signal,
}

fn main() -> ExitCode {
    let descriptors = own_descriptors();
    let launch = LaunchPlan::capture().expect("launch plan");
    let environment = StartEnvironment::capture();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    if launch.args.get(1).is_some_and(|arg| arg == helper_main::HELPER_ARGUMENT) {
        return helper_main::run();
    }
    let adopted = adopt(&environment, |_, _| Ok(()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(async {
        let mut agent = start(launch, &environment, adopted, descriptors).await;
        agent.run().await
    })
}

/// Everything a start should have found: the test compares it whole.
async fn start(
    launch: LaunchPlan,
    environment: &StartEnvironment,
    adopted: restart::Adopted,
    descriptors: Value,
) -> Agent {
    let folder = PathBuf::from(launch.args.get(1).expect("FOLDER"));
    let script = Script::read(&folder);
    do_without_pidfds(script.without_pidfds);
    let own = ProcessIdentity::own().expect("identity");
    let generation = next_generation(&folder.join("generation"));
    let ticket = Ticket::load(&folder.join("ticket.json")).expect("ticket");
    let verdict = ticket.as_ref().map(|it| judge(it, &own, generation, boottime_ms()));
    let method = choose(script.method, &restart::Facts::gather(environment).await);
    let notifier = Notifier::from(environment);
    let controller =
        controller_for(method, environment, &launch, &DescriptorStore::new(notifier.clone()));
    let found = json!({
        "identity": own,
        "generation": generation,
        "args": launch.args,
        "env": launch.env,
        "cwd": launch.cwd,
        "executable": std::fs::read_link("/proc/self/exe").expect("exe"),
        "descriptors": descriptors,
        "adopted": adopted.fds.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "rejected": adopted.rejected.iter().map(|it| &it.reason).collect::<Vec<_>>(),
        "inherited": inherited(),
        "method": method,
        "ticket": ticket,
        "verdict": verdict.as_ref().map(|verdict| format!("{verdict:?}")),
        "outcome": verdict.as_ref().map(restart::Verdict::outcome),
    });
    if ticket.is_some() {
        Ticket::close(&folder.join("ticket.json")).expect("close");
    }
    let listener = listener(&folder.join("control.sock"), adopted.fds);
    let sigterm = signal(SignalKind::terminate()).expect("SIGTERM");
    if generation == 1 && script.untidy {
        be_untidy();
    }
    write_down(&folder, &found);
    notifier.ready("runs").expect("ready");
    if generation == 1 {
        writeln!(std::io::stdout(), "ready").expect("stdout");
    }
    Agent {
        folder,
        script,
        launch,
        notifier,
        controller,
        own,
        generation,
        found,
        fate: None,
        listener,
        sigterm,
    }
}

fn write_down(folder: &Path, found: &Value) {
    let mut starts = File::options().create(true).append(true).open(folder.join("starts.jsonl"));
    writeln!(starts.as_mut().expect("starts.jsonl"), "{found}").expect("starts.jsonl");
}

impl Agent {
    async fn run(&mut self) -> ExitCode {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (client, _) = accepted.expect("accept");
                    if let Some(code) = self.answer(client).await {
                        return code;
                    }
                }
                // One that ignores it does so also when it is read only after the helper was found to be dead.
                _ = self.sigterm.recv() => if !self.ignores_sigterm() {
                    return ExitCode::SUCCESS;
                },
            }
        }
    }

    fn ignores_sigterm(&self) -> bool {
        self.generation == 1 && self.script.ignore_sigterm
    }

    async fn answer(&mut self, mut client: UnixStream) -> Option<ExitCode> {
        let mut word = [0; 16];
        let length = client.read(&mut word).await.expect("word");
        match &word[..length] {
            b"who" => reply(client, &self.found.to_string()).await,
            b"fate" => reply(client, self.fate.as_deref().unwrap_or("none")).await,
            b"restart" => return self.restart(client).await,
            b"quit" => return Some(ExitCode::SUCCESS),
            _ => reply(client, "what?").await,
        }
        None
    }

    /// `None` when the agent goes on.
    async fn restart(&mut self, client: UnixStream) -> Option<ExitCode> {
        if let Err(refusal) = self.controller.preflight().await {
            reply(client, &format!("refused: {refusal}")).await;
            return None;
        }
        let draft = TicketDraft {
            command_ids: vec!["one".to_owned()],
            requester: None,
            reason: None,
            method: self.controller.method(),
            old: self.own.clone(),
            generation: self.generation,
            binary: None,
            config: None,
        };
        let mut ticket = draft.commit(&self.folder.join("ticket.json")).expect("commit");
        let listener: OwnedFd = self.listener.as_fd().try_clone_to_owned().expect("clone");
        let note: OwnedFd = File::open(self.folder.join("script.json")).expect("note").into();
        let fds = vec![("control".to_owned(), listener), ("note".to_owned(), note)];
        let remaining = Duration::from_millis(self.script.remaining_ms);
        match self.controller.request(&mut ticket, fds, remaining).await {
            Err(error) => {
                ticket.withdraw().expect("withdraw");
                reply(client, &format!("failed: {error}")).await;
                None
            }
            Ok(Requested::ExitWith75) => {
                reply(client, "asked").await;
                ticket.stopped(Value::Null, true).expect("stopped");
                Some(ExitCode::from(EXIT_RESTART))
            }
            Ok(Requested::ExecWhenStopped(plan)) => {
                reply(client, "asked").await;
                let watchdog = plan.arm_watchdog(remaining).expect("watchdog");
                if self.generation == 1 && self.script.hang_before_exec {
                    loop {
                        std::thread::park();
                    }
                }
                ticket.stopped(Value::Null, true).expect("stopped");
                drop(watchdog);
                tracing::error!("{}", plan.exec());
                Some(ExitCode::FAILURE)
            }
            Ok(Requested::SigtermWillCome { fate, call_off }) => {
                reply(client, "asked").await;
                self.wait_for_sigterm(ticket, fate, call_off).await
            }
        }
    }

    async fn wait_for_sigterm(
        &mut self,
        ticket: restart::CommittedTicket,
        mut fate: oneshot::Receiver<String>,
        call_off: Option<restart::CallOff>,
    ) -> Option<ExitCode> {
        let first = self.generation == 1;
        let mut watched = true;
        loop {
            tokio::select! {
                message = &mut fate, if watched => match message {
                    Ok(message) => {
                        self.fate = Some(message);
                        ticket.withdraw().expect("withdraw");
                        return None;
                    }
                    Err(_) => watched = false,
                },
                _ = self.sigterm.recv() => {
                    if self.ignores_sigterm() {
                        continue;
                    }
                    if first && self.script.call_off_on_sigterm {
                        call_off.expect("a helper").call_off().expect("call off");
                        ticket.withdraw().expect("withdraw");
                        return Some(ExitCode::SUCCESS);
                    }
                    if first && self.script.spoil_program {
                        spoil(&self.launch.executable);
                    }
                    self.notifier.stopping().expect("stopping");
                    ticket.stopped(json!({}), true).expect("stopped");
                    return Some(ExitCode::SUCCESS);
                }
            }
        }
    }
}

async fn reply(mut client: UnixStream, text: &str) {
    if let Err(error) = client.write_all(text.as_bytes()).await {
        tracing::info!(%error, "the client did not wait for the answer");
    }
}

fn next_generation(path: &Path) -> u64 {
    let last = std::fs::read_to_string(path).map_or(0, |text| text.parse().expect("generation"));
    std::fs::write(path, (last + 1).to_string()).expect("generation");
    last + 1
}

fn listener(path: &Path, adopted: Vec<(String, OwnedFd)>) -> UnixListener {
    let handed_over = adopted.into_iter().find(|(name, _)| name == "control");
    let listener = match handed_over {
        Some((_, fd)) => {
            assert!(is_listening_unix_socket(&fd, path), "the descriptor is what its name says");
            StdListener::from(fd)
        }
        None => {
            // A file without a listener behind it is left when nothing was handed over.
            drop(std::fs::remove_file(path));
            StdListener::bind(path).expect("bind")
        }
    };
    listener.set_nonblocking(true).expect("nonblocking");
    UnixListener::from_std(listener).expect("listener")
}

/// Number and target of every descriptor, but that of the listing itself.
fn own_descriptors() -> Value {
    let entries = std::fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let mut found: Vec<(i32, String)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let target = std::fs::read_link(&path).ok()?;
            let number = path.file_name()?.to_str()?.parse().ok()?;
            Some((number, target.to_string_lossy().into_owned()))
        })
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .collect();
    found.sort_unstable();
    json!(found)
}

fn inherited() -> Value {
    json!({
        "blocked_signals": status_of("SigBlk:"),
        "umask": status_of("Umask:"),
        "limits": std::fs::read_to_string("/proc/self/limits").expect("limits"),
    })
}

fn status_of(key: &str) -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
    status.lines().find_map(|line| line.strip_prefix(key)).expect(key).trim().to_owned()
}

/// Before any other thread is started, so that all of them are affected, and the helper.
fn do_without_pidfds(really: bool) {
    if !really {
        return;
    }
    let calls = [nix::libc::SYS_pidfd_open, nix::libc::SYS_pidfd_send_signal];
    let no_such_call = SeccompAction::Errno(nix::libc::ENOSYS as u32);
    let arch = std::env::consts::ARCH.try_into().expect("arch");
    let rules = calls.map(|call| (call, Vec::new())).into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, no_such_call, arch);
    let program: BpfProgram = filter.expect("filter").try_into().expect("program");
    seccompiler::apply_filter(&program).expect("no_new_privs and a filter");
}

fn be_untidy() {
    let leaking = rustix::io::dup(std::io::stdin()).expect("dup");
    std::mem::forget(leaking);
    let mut set = nix::sys::signal::SigSet::empty();
    set.add(nix::sys::signal::Signal::SIGUSR1);
    set.thread_block().expect("block");
}

fn spoil(program: &Path) {
    let spoiled = program.with_extension("spoiled");
    std::fs::write(&spoiled, b"not a program").expect("write");
    std::fs::set_permissions(&spoiled, Permissions::from_mode(0o644)).expect("mode");
    std::fs::rename(&spoiled, program).expect("rename");
}
