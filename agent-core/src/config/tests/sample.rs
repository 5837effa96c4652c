//! The sample file says what the types say.

use serde_json::Value;

use super::super::tree::Node;
use super::{Config, config, parse};

#[test]
fn the_sample_file_says_exactly_the_defaults() {
    assert_eq!(config(&Config::default_yaml()), Config::default());
}

#[test]
fn the_sample_file_has_every_key() {
    let sample: Value = Node::parse(&Config::default_yaml()).unwrap().to_value();
    let sections = [
        "/agent",
        "/restart",
        "/supervision",
        "/commands",
        "/commands/time_to_live",
        "/control",
        "/events",
        "/events/file",
    ];
    for section in sections {
        // The refusal of a key that does not exist lists all that do.
        let path = section.trim_start_matches('/').replace('/', ": {");
        let close = "}".repeat(section.matches('/').count());
        let error = parse(&format!("{path}: {{zzz: 1{close}")).unwrap_err().to_string();
        let keys = error.rsplit_once("expected ").unwrap().1.trim_start_matches("one of ");
        for key in keys.split(", ") {
            let found = sample.pointer(&format!("{section}/{key}"));
            assert!(found.is_some(), "{section}/{key} is not in the sample");
        }
    }
}

#[test]
fn the_packaged_file_is_the_sample_with_examples_in_comments() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../agent-bin/packaging/wazuh-agent.yml");
    let packaged = std::fs::read_to_string(path).unwrap();
    assert!(packaged.starts_with(&Config::default_yaml()));
    assert_eq!(config(&packaged), Config::default());
}
