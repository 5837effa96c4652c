//! The command line: verbs, options and what they mean.

mod fim;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use module_api::ModuleName;
use module_api::units::parse_duration;

use crate::exit::EXIT_CODES;

pub(crate) use fim::{FimVerb, ScanArgs};

/// The agent, and the tool that asks a running agent for something.
#[derive(Debug, Parser)]
#[command(name = "wazuh-agent", version, about, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options that every verb takes, before or after it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct GlobalOptions {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The state folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The folder of the control socket; STATE_DIR/run if only --state-dir is given
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// The control socket; RUN_DIR/control.sock unless given
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print one JSON object on standard output, for programs; `commands watch` prints one a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What the program is to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run the agent in the foreground
    Run,
    #[command(flatten)]
    Ask(Question),
    /// Check the configuration without running anything
    CheckConfig,
    /// Show what the agent does: it is restarted while it reads lines, then the lines are counted
    Demo(DemoArgs),
    /// Wait for the old agent and become the new one; started by the agent itself
    #[command(hide = true)]
    RestartHelper,
}

/// The verbs that ask a running agent.
#[derive(Debug, Subcommand)]
pub(crate) enum Question {
    /// Restart the agent or single modules, and follow it to the end
    #[command(after_help = EXIT_CODES)]
    Restart(RestartArgs),
    /// Read the configuration again and restart the modules whose part has changed
    #[command(after_help = EXIT_CODES)]
    Reload(ReloadArgs),
    /// Stop the agent, and wait until its process is gone
    #[command(after_help = EXIT_CODES)]
    Stop(StopArgs),
    /// Show how the agent is
    Status,
    /// Show the modules
    Modules,
    /// Show commands and what became of them
    #[command(subcommand)]
    Commands(CommandsVerb),
    /// Ask the file integrity monitoring what it knows, or let it scan
    #[command(subcommand)]
    Fim(FimVerb),
}

/// `commands …`
#[derive(Debug, Subcommand)]
pub(crate) enum CommandsVerb {
    /// List commands, newest first
    List {
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one command with its history
    Show {
        /// Its id
        id: String,
    },
    /// Cancel a command that has not been begun
    #[command(after_help = EXIT_CODES)]
    Cancel {
        /// Its id
        id: String,
        /// Why, for the audit record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Show what happens to any command as it happens, also across restarts of the agent, until Ctrl-C
    #[command(after_help = EXIT_CODES)]
    Watch {
        /// Begin after the change of this number, 0 for the oldest that is kept; with what is new unless given
        #[arg(long, value_name = "N")]
        after: Option<u64>,
    },
}

/// How long to follow a command, and why it was given.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Following {
    /// Why, for the audit record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// How long to wait for the outcome: 500ms, 90s, 2m
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = timeout)]
    pub(crate) timeout: Duration,
}

/// `restart …`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RestartArgs {
    /// Restart only this module, in process, with the configuration read last; may be repeated; `all` is every module
    #[arg(long = "module", value_name = "NAME")]
    pub(crate) modules: Vec<ModuleName>,
    #[command(flatten)]
    pub(crate) following: Following,
    /// Do not wait for what is busy, cut short a restart under way, and go on in spite of checks that may be overridden
    #[arg(long)]
    pub(crate) force: bool,
    /// Make the checks that come before a restart, print what they find, and change nothing
    #[arg(long, conflicts_with = "no_wait")]
    pub(crate) dry_run: bool,
    /// Return once the command is accepted
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `reload …`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(crate) following: Following,
    /// Return once the command is accepted
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// `stop …`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    pub(crate) following: Following,
}

/// `demo …`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoArgs {
    /// How many restarts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) restarts: u32,
    /// Run the agent as a unit of systemd (as root) instead of by hand
    #[arg(long)]
    pub(crate) systemd: bool,
    /// Print one JSON object on standard output, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

fn timeout(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as 500ms, 90s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for line in [
            "wazuh-agent --json --socket /s --config c --state-dir s --run-dir r status",
            "wazuh-agent status --json --socket /s --config c --state-dir s --run-dir r",
            "wazuh-agent commands --json list --socket /s --config c --state-dir s --run-dir r",
        ] {
            let global = parse(line).unwrap().global;
            assert!(global.json, "{line}");
            let paths = [global.socket, global.config, global.state_dir, global.run_dir];
            assert_eq!(
                paths.map(Option::unwrap),
                ["/s", "c", "s", "r"].map(PathBuf::from),
                "{line}"
            );
        }
    }

    #[test]
    fn a_restart_takes_modules_and_a_time() {
        let line = "wazuh-agent restart --module fim --module sca --timeout 2m --force --no-wait --reason x";
        let Verb::Ask(Question::Restart(args)) = parse(line).unwrap().verb else {
            panic!("{line}")
        };
        let names: Vec<&str> = args.modules.iter().map(ModuleName::as_str).collect();
        assert_eq!(names, ["fim", "sca"]);
        assert_eq!(args.following.timeout, Duration::from_secs(120));
        assert_eq!(args.following.reason.as_deref(), Some("x"));
        assert!(args.force && args.no_wait);
    }

    #[test]
    fn a_dry_run_may_be_forced_and_has_nothing_to_wait_for() {
        let Verb::Ask(Question::Restart(args)) =
            parse("wazuh-agent restart --dry-run --force --module fim").unwrap().verb
        else {
            panic!("not a restart")
        };
        assert!(args.dry_run && args.force && args.modules.len() == 1);
        assert_eq!(parse("wazuh-agent restart --dry-run --no-wait").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_restart_waits_ninety_seconds_unless_told() {
        let Verb::Ask(Question::Restart(args)) = parse("wazuh-agent restart").unwrap().verb else {
            panic!("not a restart")
        };
        assert_eq!(args.following.timeout, Duration::from_secs(90));
    }

    #[test]
    fn a_command_is_cancelled_by_its_id_and_with_a_reason() {
        let Verb::Ask(Question::Commands(CommandsVerb::Cancel { id, reason })) =
            parse("wazuh-agent commands cancel c-1 --reason mistake").unwrap().verb
        else {
            panic!("not a cancel")
        };
        assert_eq!((id.as_str(), reason.as_deref()), ("c-1", Some("mistake")));
        assert_eq!(parse("wazuh-agent commands cancel").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn commands_are_watched_from_now_on_unless_told() {
        for (line, begin) in [
            ("wazuh-agent commands watch", None),
            ("wazuh-agent commands watch --after 0", Some(0)),
        ] {
            let Verb::Ask(Question::Commands(CommandsVerb::Watch { after })) =
                parse(line).unwrap().verb
            else {
                panic!("{line}")
            };
            assert_eq!(after, begin, "{line}");
        }
    }

    #[test]
    fn wrong_values_are_refused_with_what_is_allowed() {
        for (line, text) in [
            ("wazuh-agent restart --timeout soon", "500ms, 90s or 2m"),
            ("wazuh-agent restart --timeout 0", "500ms, 90s or 2m"),
            ("wazuh-agent restart --module ../x", "invalid module name"),
            ("wazuh-agent commands list --limit 0", "1..=1000"),
            ("wazuh-agent commands watch --after soon", "invalid digit"),
            ("wazuh-agent demo --restarts 0", "1..=1000"),
            ("wazuh-agent retsart", "restart"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(text), "{line}: {error}");
        }
    }

    #[test]
    fn the_demonstration_takes_json_on_either_side() {
        for line in ["wazuh-agent demo --json", "wazuh-agent --json demo"] {
            let args = parse(line).unwrap();
            let Verb::Demo(demo) = args.verb else { panic!("{line}") };
            assert!(demo.json, "{line}");
            assert_eq!((demo.restarts, demo.systemd), (5, false));
        }
    }

    #[test]
    fn the_helper_is_hidden_and_takes_nothing() {
        assert!(matches!(parse("wazuh-agent restart-helper").unwrap().verb, Verb::RestartHelper));
        let help = Args::command().render_help().to_string();
        assert!(!help.contains("restart-helper"), "{help}");
        assert!(help.contains("Exit codes:"), "{help}");
    }
}
