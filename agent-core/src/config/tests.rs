//! The rules of the configuration file: how it is read and loaded, and what holds for any text.

mod modules;
mod refusals;
mod sample;
mod syntax;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use command_manager::{Settings, TimeToLive};
use module_api::{ModuleKind, ModuleName, ScriptedKind};
use proptest::prelude::{Strategy, any, prop};

use super::{
    Config, ConfigError, EventFileConfig, LoadedConfig, LogLevel, ModuleSection, RestartMethod,
};

fn kinds() -> Vec<Arc<dyn ModuleKind>> {
    ["alpha", "beta"]
        .map(|name| -> Arc<dyn ModuleKind> {
            Arc::new(ScriptedKind(ModuleName::new(name).unwrap()))
        })
        .into()
}

fn parse(text: &str) -> Result<LoadedConfig, ConfigError> {
    Config::parse(text, Path::new("a.yml"), &kinds())
}

fn config(text: &str) -> Config {
    parse(text).unwrap().config
}

fn module(text: &str) -> ModuleSection {
    parse(text).unwrap().modules.swap_remove(0)
}

/// Every text is refused with exactly the lines beside it.
fn refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = parse(text).expect_err(text);
        assert_eq!(error.to_string(), *expected, "for:\n{text}");
    }
}

#[test]
fn a_file_without_any_value_means_the_defaults() {
    for text in ["", "\n", "# only a comment\n", "---\n", "{}", "restart:\n", "events: {file: }"] {
        assert_eq!(config(text), Config::default(), "{text:?}");
    }
}

#[test]
fn every_key_is_read() {
    let text = "
agent: {log_level: debug}
restart: {method: helper, timeout: 60, ready_timeout: 20s, ready_poll: 1s, save_timeout: 6s, stop_timeout: 7s,
  start_timeout: 8s, confirm_timeout: 1m}
supervision: {backoff_initial: 1s, backoff_max: 1h, backoff_reset: 1d, quarantine_failures: 5, quarantine_window: 31s}
control: {socket: /run/a.sock, mode: 0600, allowed_uids: [1000, 1001]}
commands: {max_attempts: 3, max_restarts_per_hour: 4, timeout: 5m, keep_finished: 2000, keep_for: 2d, remember_ids_for: 3d,
  report_for: 4d, time_to_live: {restart-agent: 1m, restart-module: 2m, reload: 3m, check-config: 4m}}
events: {max_stored: 10, file: {enabled: false, path: /var/log/e.ndjson, rotate_size: 64K, keep: 0}}
";
    let config = config(text);
    assert_eq!(config.agent.log_level, LogLevel::Debug);
    assert_eq!(config.restart.method, RestartMethod::Helper);
    let limits = config.restart.limits();
    let seconds = [limits.overall, limits.ready, limits.poll, limits.save, limits.stop];
    assert_eq!(seconds.map(|limit| limit.as_secs()), [60, 20, 1, 6, 7]);
    let starts = [config.restart.start_timeout, config.restart.confirm_timeout];
    assert_eq!(starts.map(|timeout| timeout.as_secs()), [8, 60]);
    let pauses = &config.supervision;
    let pauses = [pauses.backoff_initial, pauses.backoff_max, pauses.backoff_reset];
    assert_eq!(pauses.map(|pause| pause.as_secs()), [1, 3_600, 86_400]);
    let quarantine = config.supervision.policy().quarantine;
    assert_eq!((quarantine.failures, quarantine.window), (5, Duration::from_secs(31)));
    let settings = config.commands.settings(&config.restart);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let days = |days: u64| minutes(24 * 60 * days);
    let (restart_agent, restart_module) = (minutes(1), minutes(2));
    let (reload, check_config) = (minutes(3), minutes(4));
    let expected = Settings {
        max_attempts: 3,
        max_restarts_per_hour: 4,
        timeout: minutes(5),
        time_to_live: TimeToLive { restart_agent, restart_module, reload, check_config },
        keep_finished: 2_000,
        keep_for: days(2),
        remember_ids_for: days(3),
        report_for: days(4),
        reporters: Vec::new(),
        reporters_on_demand: Vec::new(),
    };
    assert_eq!(settings, expected);
    assert_eq!(config.control.socket.as_deref(), Some(Path::new("/run/a.sock")));
    assert_eq!((config.control.mode, config.control.allowed_uids), (0o600, vec![1000, 1001]));
    assert_eq!(config.events.max_stored, 10);
    let path = Some("/var/log/e.ndjson".into());
    let file = EventFileConfig { enabled: false, path, rotate_size: 64_000, keep: 0 };
    assert_eq!(config.events.file, file);
}

#[test]
fn the_defaults_of_commands_are_those_of_the_command_manager() {
    let settings = |text: &str| {
        let config = config(text);
        config.commands.settings(&config.restart)
    };
    assert_eq!(settings(""), Settings::default());
    let patient = settings("restart: {timeout: 10m}");
    assert_eq!(
        patient.timeout,
        Duration::from_secs(600 + 10 + 15),
        "as long as a restart may take"
    );
}

#[test]
fn the_digest_of_the_file_covers_every_byte() {
    let digest = |text: &str| parse(text).unwrap().digest;
    assert_eq!(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ne!(digest("# a"), digest("# b"));
}

#[test]
fn a_file_is_loaded_from_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yml");
    assert!(Config::load(&path, &kinds()).is_err());
    let absent = Config::load_if_present(&path, &kinds()).unwrap();
    assert_eq!((absent.config, &absent.path), (Config::default(), &path));
    std::fs::write(&path, "agent: {log_level: trace}").unwrap();
    for load in [Config::load, Config::load_if_present] {
        let loaded = load(&path, &kinds()).unwrap();
        assert_eq!((loaded.config.agent.log_level, &loaded.path), (LogLevel::Trace, &path));
    }
}

/// Fragments of configuration in any order, which reach deeper than arbitrary characters do.
fn shuffled_yaml() -> impl Strategy<Value = String> {
    let fragments = [
        "agent:", "restart:", "alpha:", "timeout", "enabled", ": ", "\n", "\n  ", "\n  - ", "30s",
        "-1", "null", "true", "{", "}", "[", "]", ",", "&a ", "*a", "<<", "!t ", "\"", "'", "|",
        "#", "---\n", "1e999", ".nan", "0660", "\t", "\u{0}", "\u{e9}", "? ",
    ];
    prop::collection::vec(prop::sample::select(fragments.to_vec()), 0..40).prop_map(|v| v.concat())
}

proptest::proptest! {
    #[test]
    fn any_text_is_accepted_or_refused_with_one_line_for_each_problem(
        text in proptest::prop_oneof![any::<String>(), shuffled_yaml()],
    ) {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(!error.problems.is_empty());
            proptest::prop_assert_eq!(error.to_string().lines().count(), error.problems.len());
        }
    }

    #[test]
    fn a_duration_is_accepted_exactly_within_its_range(millis in 0_u64..1_000_000) {
        let text = format!("restart: {{start_timeout: {millis}ms}}");
        let expected = (10..=600_000).contains(&millis).then(|| Duration::from_millis(millis));
        proptest::prop_assert_eq!(parse(&text).ok().map(|l| l.config.restart.start_timeout), expected);
    }
}
