//! The sections of modules.

use std::path::Path;
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName, ScriptedKind};
use serde_json::json;

use super::{Config, module, parse, refused};

#[test]
fn every_known_module_has_an_entry_and_is_on_unless_switched_off() {
    let modules = parse("beta: {enabled: false, start: [ok]}").unwrap().modules;
    let entries: Vec<_> = modules.iter().map(|m| (m.name.as_str(), m.enabled)).collect();
    assert_eq!(entries, [("alpha", true), ("beta", false)]);
    assert_eq!(modules[0].section, json!({}));
    assert_eq!(modules[1].section, json!({"start": ["ok"]}), "without the key of the agent");
}

#[test]
fn a_module_that_is_switched_off_is_checked_all_the_same() {
    refused(&[(
        "alpha:\n  enabled: false\n  fail_after_ms: soon\n",
        "a.yml:3: alpha.fail_after_ms: found \"soon\", expected a whole number from 0 on",
    )]);
}

#[test]
fn the_digest_of_a_module_changes_with_what_it_says_and_nothing_else() {
    let digest = |text: &str| module(text).digest;
    let base = digest("alpha: {start: [ok], stop: [ok]}");
    assert_eq!(digest("# comment\nalpha:\n  stop: [ok]\n  start: [ok]\n  enabled: true\n"), base);
    assert_eq!(digest("restart: {timeout: 50s}\nalpha: {start: [ok], stop: [ok]}"), base);
    assert_ne!(digest("alpha: {start: [ok], stop: [fail]}"), base);
    assert_ne!(digest("alpha: {enabled: false, start: [ok], stop: [ok]}"), base);
}

#[test]
fn a_module_named_like_a_section_of_the_agent_is_refused() {
    let kinds: [Arc<dyn ModuleKind>; 1] =
        [Arc::new(ScriptedKind(ModuleName::new("control").unwrap()))];
    let error = Config::parse("", Path::new("a.yml"), &kinds).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.yml: control: a module must not have the name of a section of the agent"
    );
}
