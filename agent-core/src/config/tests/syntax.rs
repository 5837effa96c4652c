//! What is YAML and what is not, and how much of it is accepted.

use std::time::Duration;

use serde_json::json;

use super::super::tree::Node;
use super::{parse, refused};

#[test]
fn text_that_is_no_yaml_is_refused_with_line_and_column() {
    refused(&[
        ("agent: {}\nrestart: [1, 2\n", "a.yml:2:10: unclosed bracket '['"),
        ("a: b: c\n", "a.yml:1:5: mapping values are not allowed in this context"),
        (
            "agent:\n\tlog_level: info\n",
            "a.yml:2:2: tabs disallowed within this context (block indentation)",
        ),
        ("agent: !secret {}\n", "a.yml:1:16: unsupported tag `!secret`"),
        ("agent: *none\n", "a.yml:1:8: reference to unknown value"),
        ("{}\n---\n{}\n", "a.yml:3:1: a second YAML document starts here, expected only one"),
        ("? [a]\n: 1\n", "a.yml:1:3: expected string scalar"),
    ]);
}

#[test]
fn a_key_that_stands_twice_is_refused_at_the_second() {
    refused(&[
        (
            "agent: {}\nrestart: {}\nagent: {}\n",
            "a.yml:3:1: the key \"agent\" stands here a second time",
        ),
        (
            "restart:\n  timeout: 5s\n  timeout: 6s\n",
            "a.yml:3:3: the key \"timeout\" stands here a second time",
        ),
        ("\"1\": a\n1: b\n", "a.yml: the key \"1\" stands a second time in line 2"),
    ]);
}

#[test]
fn aliases_and_merges_are_followed() {
    let text = "
agent: &agent {log_level: debug}
supervision: {backoff_initial: &pause 2s, backoff_max: *pause}
alpha: &alpha {start: [fail], stop: [ok]}
beta: {<<: *alpha, stop: [hang]}
";
    let loaded = parse(text).unwrap();
    assert_eq!(loaded.config.supervision.backoff_max, Duration::from_secs(2));
    assert_eq!(loaded.modules[1].section, json!({"start": ["fail"], "stop": ["hang"]}));
}

#[test]
fn a_wrong_value_from_elsewhere_is_blamed_on_the_line_that_brings_it_in() {
    refused(&[
(
        "alpha: {start: &acts [boom]}\nbeta:\n  stop: *acts\nrestart:\n  method: auto\n",
        "a.yml:1: alpha.start[0]: unknown value \"boom\", expected one of ok, busy, fail, hang, panic, block
a.yml:3: beta.stop[0]: unknown value \"boom\", expected one of ok, busy, fail, hang, panic, block",
    ),
    (
        "alpha: &all\n  fail_after_ms: 1\nbeta:\n  start: []\nsupervision:\n  <<: *all\n",
        "a.yml:6: supervision.fail_after_ms: unknown key \"fail_after_ms\", \
         expected one of backoff_initial, backoff_max, backoff_reset, quarantine_failures, quarantine_window",
    ),
    ]);
}

#[test]
fn a_small_text_that_grows_without_bound_is_refused() {
    let too_large = "is too large: more than 50000 values with all aliases in place, or more than 32 levels deep";
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let aliases = [format!("*a{}", level - 1).as_str(); 9].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let deep = format!("agent: {}1{}", "[".repeat(40), "]".repeat(40));
    let recursive = "agent: &a {log_level: *a}\n".to_owned();
    for (text, expected) in
        [(bomb, too_large), (deep, too_large), (recursive, "Recursive reference not allowed here")]
    {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.problems.len(), 1);
        assert_eq!(error.problems[0].message, expected);
    }
}

#[test]
fn a_text_over_one_megabyte_is_refused() {
    refused(&[(&"#".repeat(1_000_001), "a.yml: is longer than 1000000 bytes")]);
}

#[test]
fn a_path_leads_to_the_line_of_the_closest_value() {
    let tree = Node::parse("a:\n  - x\n  - b:\n      c: 1\na.b:\n  c: 1\n").unwrap();
    for (path, line) in [
        ("", 1),
        ("a", 1),
        ("a[1]", 3),
        ("a[1].b.c", 4),
        ("a[1].b.z", 3),
        ("a[7].b", 1),
        ("a[x]", 1),
        ("a.b", 5),
        ("a.b.c", 6),
        ("z", 1),
    ] {
        assert_eq!(tree.line_of(path), Some(line), "{path:?}");
    }
}
