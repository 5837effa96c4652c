//! What a value, a key or a section is refused with: the whole text that an operator reads.

use std::time::Duration;

use super::{config, parse, refused};

#[test]
fn an_unknown_section_is_refused_with_those_there_are() {
    refused(&[
        (
            "agent: {}\nrestrat:\n  timeout: 5s\n",
            "a.yml:2: restrat: unknown section \"restrat\" (did you mean \"restart\"?), \
             expected one of agent, restart, supervision, commands, control, events, alpha, beta",
        ),
        (
            "syscheck: {}\n",
            "a.yml:1: syscheck: unknown section \"syscheck\", \
             expected one of agent, restart, supervision, commands, control, events, alpha, beta",
        ),
    ]);
}

#[test]
fn an_unknown_key_is_refused_with_those_there_are() {
    refused(&[
        (
            "supervision:\n  backof_max: 5s\n",
            "a.yml:2: supervision.backof_max: unknown key \"backof_max\" (did you mean \"backoff_max\"?), \
             expected one of backoff_initial, backoff_max, backoff_reset, quarantine_failures, quarantine_window",
        ),
        (
            "events:\n  file:\n    size: {a: 1, b: 2}\n",
            "a.yml:3: events.file.size: unknown key \"size\", expected one of enabled, path, rotate_size, keep",
        ),
        (
            "alpha:\n  strat: [ok]\n",
            "a.yml:2: alpha.strat: unknown key \"strat\" (did you mean \"start\"?), \
             expected one of start, ready, save, stop, resume, ask, fail_after_ms, slow_by_ms, publish_every_ms, watch, remember, \
             record, lies",
        ),
    ]);
}

#[test]
fn a_value_of_the_wrong_form_is_refused_with_the_right_one() {
    refused(&[
        (
            "restart:\n  timeout: abc\n",
            "a.yml:2: restart.timeout: found \"abc\", expected a duration such as 500ms, 30s, 5m, 1h or 1d",
        ),
        (
            "restart:\n  timeout: 30x\n",
            "a.yml:2: restart.timeout: found \"30x\", expected a duration such as 500ms, 30s, 5m, 1h or 1d",
        ),
        (
            "restart:\n  timeout: true\n",
            "a.yml:2: restart.timeout: found true, expected a duration such as 500ms, 30s, 5m, 1h or 1d",
        ),
        (
            "restart:\n  timeout:\n",
            "a.yml:2: restart.timeout: found null, expected a duration such as 500ms, 30s, 5m, 1h or 1d",
        ),
        (
            "events: {file: {rotate_size: 5m}}\n",
            "a.yml:1: events.file.rotate_size: found \"5m\", expected a size such as 512, 64K, 1MB or 2G",
        ),
        (
            "agent: {log_level: loud}\n",
            "a.yml:1: agent.log_level: found \"loud\", expected one of error, warn, info, debug, trace",
        ),
        (
            "restart: {method: 5}\n",
            "a.yml:1: restart.method: found 5, expected one of auto, systemd, helper, exec",
        ),
        (
            "control:\n  allowed_uids:\n    - 1000\n    - root\n",
            "a.yml:4: control.allowed_uids[1]: found \"root\", expected a whole number from 0 to 4294967295",
        ),
        (
            "events: {file: {enabled: yes}}\n",
            "a.yml:1: events.file.enabled: found \"yes\", expected true or false",
        ),
        ("events: {file: 5}\n", "a.yml:1: events.file: found 5, expected a mapping of keys"),
        ("restart:\n  - 5s\n", "a.yml:1: restart: found a list, expected a mapping of keys"),
        ("alpha: 5\n", "a.yml:1: alpha: found 5, expected a mapping of keys"),
        ("\n- agent\n", "a.yml:2: found a list, expected sections such as restart:"),
        ("hello\n", "a.yml:1: found \"hello\", expected sections such as restart:"),
    ]);
}

#[test]
fn a_value_out_of_range_is_refused_with_the_range() {
    refused(&[
        ("restart: {timeout: 999ms}", "a.yml:1: restart.timeout: found 999ms, expected 1s to 10m"),
        ("restart: {timeout: 11m}", "a.yml:1: restart.timeout: found 11m, expected 1s to 10m"),
        (
            "restart: {ready_poll: 0}",
            "a.yml:1: restart.ready_poll: found 0ms, expected 10ms to 10s",
        ),
        (
            "supervision: {quarantine_failures: 1001}",
            "a.yml:1: supervision.quarantine_failures: found 1001, expected a whole number from 0 to 1000",
        ),
        (
            "supervision: {quarantine_window: 8d}",
            "a.yml:1: supervision.quarantine_window: found 8d, expected 10ms to 7d",
        ),
        (
            "commands: {max_attempts: 0}",
            "a.yml:1: commands.max_attempts: found 0, expected a whole number from 1 to 10",
        ),
        ("commands: {timeout: 2d}", "a.yml:1: commands.timeout: found 2d, expected 1s to 1d"),
        (
            "commands: {time_to_live: {restart-agent: 0s}}",
            "a.yml:1: commands.time_to_live.restart-agent: found 0ms, expected 1s to 366d",
        ),
        (
            "commands:\n  time_to_live: {restart_agent: 5m}",
            "a.yml:2: commands.time_to_live.restart_agent: unknown key \"restart_agent\" (did you mean \"restart-agent\"?), \
             expected one of restart-agent, restart-module, reload, check-config",
        ),
        (
            "events: {max_stored: 0}",
            "a.yml:1: events.max_stored: found 0, expected a whole number from 1 to 1000000000",
        ),
        (
            "events: {file: {keep: -1}}",
            "a.yml:1: events.file.keep: found -1, expected a whole number from 0 to 1000",
        ),
        (
            "events: {file: {rotate_size: 999B}}",
            "a.yml:1: events.file.rotate_size: found 999B, expected 1KB to 100GB",
        ),
        (
            "control: {mode: \"1777\"}",
            "a.yml:1: control.mode: found \"1777\", expected an octal mode from \"0000\" to \"0777\"",
        ),
        (
            "control: {mode: 660}",
            "a.yml:1: control.mode: found 660, expected an octal mode from \"0000\" to \"0777\"",
        ),
    ]);
}

#[test]
fn a_path_that_depends_on_the_working_directory_or_is_none_is_refused() {
    refused(&[
        (
            "control: {socket: \"/a\\0b\"}",
            "a.yml:1: control.socket: found \"/a\\0b\", expected an absolute path, or null for the default",
        ),
        (
            "control: {socket: a.sock}",
            "a.yml:1: control.socket: found \"a.sock\", expected an absolute path, or null for the default",
        ),
        (
            "events: {file: {path: \"\"}}",
            "a.yml:1: events.file.path: found \"\", expected an absolute path, or null for the default",
        ),
    ]);
}

#[test]
fn a_socket_path_that_linux_cannot_bind_is_refused() {
    let text = |length: usize| format!("control: {{socket: /{}}}", "s".repeat(length - 1));
    assert!(parse(&text(107)).is_ok());
    refused(&[(
        &text(108),
        "a.yml:1: control.socket: found a path of 108 bytes, expected at most 107, as Linux demands of sockets",
    )]);
}

#[test]
fn budgets_that_do_not_fit_are_refused_with_the_arithmetic() {
    refused(&[
        (
            "restart:\n  stop_timeout: 5s\n  timeout: 20s\n",
            "a.yml:3: restart.timeout: ready_timeout 10s + save_timeout 5s + 2 x stop_timeout 5s = 25s, \
             more than timeout 20s",
        ),
        (
            "agent: {}\nrestart: {stop_timeout: 10s}\n",
            "a.yml:2: restart.timeout: ready_timeout 10s + save_timeout 5s + 2 x stop_timeout 10s = 35s, \
             more than timeout 30s",
        ),
        (
            "supervision: {backoff_initial: 2m}\n",
            "a.yml:1: supervision.backoff_initial: backoff_initial 2m is more than backoff_max 1m",
        ),
        (
            "commands: {timeout: 54s}\n",
            "a.yml:1: commands.timeout: timeout 54s is less than a restart of the agent may take: restart.timeout 30s + \
             start_timeout 10s + confirm_timeout 15s",
        ),
        (
            "commands: {remember_ids_for: 6d}\n",
            "a.yml:1: commands.remember_ids_for: remember_ids_for 6d is less than keep_for 7d",
        ),
    ]);
    assert_eq!(config("commands: {timeout: 55s}").commands.timeout, Some(Duration::from_secs(55)));
    assert_eq!(config("restart: {timeout: 25s}").restart.timeout, Duration::from_secs(25));
}

#[test]
fn a_quarantine_that_no_module_could_reach_is_refused_with_the_arithmetic() {
    refused(&[
        (
            "supervision:\n  quarantine_window: 4m\n",
            "a.yml:2: supervision.quarantine_window: no module can fail more than quarantine_failures 10 times within \
             quarantine_window 4m: the pauses in between take up to 500ms + 1s + 2s + 4s + 8s + 16s + 32s + 3 x 1m = \
             243500ms",
        ),
        (
            "supervision: {backoff_initial: 1m, quarantine_window: 9m}\n",
            "a.yml:1: supervision.quarantine_window: no module can fail more than quarantine_failures 10 times within \
             quarantine_window 9m: the pauses in between take up to 10 x 1m = 10m",
        ),
        (
            "supervision: {quarantine_failures: 1, quarantine_window: 499ms}\n",
            "a.yml:1: supervision.quarantine_window: no module can fail more than quarantine_failures 1 times within \
             quarantine_window 499ms: the pauses in between take up to 500ms",
        ),
    ]);
    let window = |text: &str| config(text).supervision.quarantine_window.as_millis();
    assert_eq!(window("supervision: {quarantine_window: 243500ms}"), 243_500);
    assert_eq!(window("supervision: {quarantine_failures: 0, quarantine_window: 10ms}"), 10);
}

#[test]
fn all_problems_are_listed_in_the_order_of_the_file() {
    refused(&[(
        "beta: {enabled: 1}
restart:
  timout: 5s
  save_timeout: 1y
alpha:
  stop: [ok, {fail: 1}, boom]
logs: {}
",
        "a.yml:1: beta.enabled: found 1, expected true or false
a.yml:3: restart.timout: unknown key \"timout\" (did you mean \"timeout\"?), expected one of method, timeout, \
ready_timeout, ready_poll, save_timeout, stop_timeout, start_timeout, confirm_timeout, escalate
a.yml:4: restart.save_timeout: found \"1y\", expected a duration such as 500ms, 30s, 5m, 1h or 1d
a.yml:6: alpha.stop[1].fail: unknown key \"fail\", expected one of ok-after-ms, after-ms, then
a.yml:7: logs: unknown section \"logs\", expected one of agent, restart, supervision, commands, control, events, alpha, beta",
    )]);
}

#[test]
fn a_file_full_of_problems_does_not_flood_the_log() {
    let text: String = (0..1_000).map(|number| format!("section{number}: 1\n")).collect();
    let error = parse(&text).unwrap_err();
    assert_eq!(error.problems.len(), 51);
    let last = error.problems.last().unwrap().to_string();
    assert_eq!(last, "a.yml: has 950 more problems, which are not listed");
}

#[test]
fn a_long_value_does_not_hide_what_is_allowed() {
    let (long, shown) = ("x".repeat(10_000), "x".repeat(99));
    refused(&[
        (
            &format!("restart: {{timeout: {long}}}"),
            &format!(
                "a.yml:1: restart.timeout: found \"{shown}..., expected a duration such as 500ms, 30s, 5m, 1h or 1d"
            ),
        ),
        (
            &format!("agent: {{log_level: {long}}}"),
            &format!(
                "a.yml:1: agent.log_level: found \"{shown}..., expected one of error, warn, info, debug, trace"
            ),
        ),
        (
            &format!("? {long}\n: 1"),
            &format!(
                "a.yml:1: {shown}{shown}xx...: unknown section \"{shown}x...\", \
                 expected one of agent, restart, supervision, commands, control, events, alpha, beta"
            ),
        ),
    ]);
}
