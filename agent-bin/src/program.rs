//! What the program does first, and which verb does the rest.

use std::process::ExitCode;
use std::sync::Arc;

use agent_core::config::LogLevel;
use clap::Parser;
use module_api::ModuleKind;
use restart::{LaunchPlan, StartEnvironment, helper_main};

use crate::args::{Args, Verb};
use crate::exit::Exit;
use crate::paths::{Places, Surroundings};
use crate::{cli, demo, start};

/// Runs the program with these kinds of modules.
///
/// How the process was started is captured before anything else, because it cannot be told later.
#[must_use]
pub fn main_with(kinds: Vec<Arc<dyn ModuleKind>>) -> ExitCode {
    if std::env::args_os().skip(1).eq([helper_main::HELPER_ARGUMENT]) {
        start::log_to_stderr(LogLevel::Info);
        return helper_main::run();
    }
    let started = restart::boottime();
    let environment = StartEnvironment::capture();
    let launch = LaunchPlan::capture();
    let args = Args::parse();
    let places = || Places::find(&args.global, &Surroundings::read());
    match args.verb {
        Verb::Run => match launch {
            Ok(launch) => start::run(&places(), kinds, environment, launch, started),
            Err(error) => start::complain(Exit::Failed, &error.to_string()),
        },
        Verb::CheckConfig => start::check_config(&places(), &kinds, args.global.json),
        Verb::Demo(options) => demo::run(&options),
        Verb::Ask(question) => {
            let socket = start::socket(&places(), &kinds);
            cli::dispatch(&args.global, &socket, question)
        }
        Verb::RestartHelper => start::complain(
            Exit::Usage,
            "restart-helper is started by the agent itself and takes no options",
        ),
    }
}
