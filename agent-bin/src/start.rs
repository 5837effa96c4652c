//! `wazuh-agent run`: logs, runtime, agent, and the end of the process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent_core::config::{Config, LoadedConfig, LogLevel};
use agent_core::{Exit, Paths, Setup};
use module_api::ModuleKind;
use restart::{EXIT_RESTART, LaunchPlan, StartEnvironment};
use tracing::level_filters::LevelFilter;

use crate::exit::Exit as Code;
use crate::paths::Places;

/// Threads of the agent itself; each module has its own.
const THREADS: usize = 2;

/// Runs an agent to its end. `main` began at `started`, since boot.
pub(crate) fn run(
    places: &Places,
    kinds: Vec<Arc<dyn ModuleKind>>,
    environment: StartEnvironment,
    launch: LaunchPlan,
    started: Duration,
) -> ExitCode {
    let config = match load(places, &kinds) {
        Ok(config) => config,
        Err(error) => {
            match Config::load_checked(&places.state_dir, &places.config, &kinds, &error) {
                Some(checked) => checked,
                None => return complain(Code::Config, &error.to_string()),
            }
        }
    };
    log_to_stderr(config.config.agent.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .thread_name("agent")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(Code::Failed, &format!("cannot start the runtime: {error}")),
    };
    let setup = Setup {
        environment,
        launch,
        started,
        paths: Paths {
            config: places.config.clone(),
            config_is_given: places.config_is_given,
            state_dir: places.state_dir.clone(),
            run_dir: places.run_dir.clone(),
            socket: places.socket_is_given.then(|| places.socket.clone()),
        },
        kinds,
        version: env!("CARGO_PKG_VERSION"),
        config,
    };
    let exit = runtime.block_on(agent_core::run(setup));
    // A module that hangs in a thread of its own must not keep the process.
    runtime.shutdown_background();
    match exit {
        Ok(Exit::Success) => Code::Success.into(),
        Ok(Exit::RestartByStatus) => ExitCode::from(EXIT_RESTART),
        Ok(Exit::Exec(plan, _armed)) => complain(Code::Failed, &plan.exec().to_string()),
        Err(error) => complain(Code::Failed, &error.to_string()),
    }
}

/// `wazuh-agent check-config`.
#[expect(clippy::print_stdout, reason = "the answer goes to standard output")]
pub(crate) fn check_config(places: &Places, kinds: &[Arc<dyn ModuleKind>], json: bool) -> ExitCode {
    let path = &places.config;
    match load(places, kinds) {
        Ok(_) if json => {
            println!(
                "{}",
                serde_json::json!({"file": path, "exists": path.exists(), "problems": []})
            );
        }
        Ok(_) if !path.exists() => {
            println!("{}: there is no such file; the defaults hold", path.display());
        }
        Ok(_) => println!("{}: the configuration is right", path.display()),
        Err(error) if json => {
            println!("{}", serde_json::json!({"file": path, "problems": error.problems}));
            return Code::Config.into();
        }
        Err(error) => return complain(Code::Config, &error.to_string()),
    }
    Code::Success.into()
}

/// The socket that the agent of these places listens on: as named, as configured, or in the run folder. A configuration
/// that cannot be read says nothing about it.
pub(crate) fn socket(places: &Places, kinds: &[Arc<dyn ModuleKind>]) -> PathBuf {
    let configured = || load(places, kinds).ok().and_then(|loaded| loaded.config.control.socket);
    if places.socket_is_given { None } else { configured() }
        .unwrap_or_else(|| places.socket.clone())
}

/// A file that was named has to be there; the one at the usual place may be missing.
fn load(
    places: &Places,
    kinds: &[Arc<dyn ModuleKind>],
) -> Result<LoadedConfig, agent_core::config::ConfigError> {
    if places.config_is_given {
        Config::load(&places.config, kinds)
    } else {
        Config::load_if_present(&places.config, kinds)
    }
}

/// Writes the log to standard error, from `level` on.
pub(crate) fn log_to_stderr(level: LogLevel) {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry().with(LevelFilter::from(level)).with(lines).init();
}

/// Says on standard error why the process ends.
#[expect(clippy::print_stderr, reason = "the last words of a process that cannot go on")]
pub(crate) fn complain(code: Code, message: &str) -> ExitCode {
    eprintln!("wazuh-agent: {message}");
    code.into()
}
