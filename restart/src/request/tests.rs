//! Every request against everything that may be under way.

use std::collections::BTreeSet;

use module_api::ModuleName;
use proptest::prelude::*;

use super::{Arbiter, Decision, Denial, Scope};

fn names(words: &str) -> BTreeSet<ModuleName> {
    words.split_whitespace().map(|word| ModuleName::new(word).unwrap()).collect()
}

fn modules(words: &str) -> Scope {
    Scope::Modules(names(words))
}

fn known() -> BTreeSet<ModuleName> {
    names("fim inventory sca")
}

/// An arbiter with `scope` under way as "first".
fn under_way(scope: Scope) -> Arbiter<&'static str> {
    let mut arbiter = Arbiter::default();
    arbiter.begin("first", scope, &known()).unwrap();
    arbiter
}

fn sealed(scope: Scope) -> Arbiter<&'static str> {
    let mut arbiter = under_way(scope);
    drop(arbiter.seal());
    arbiter
}

const JOINED: Decision<&str> = Decision::Joined { to: "first" };
const OVERTAKES: Decision<&str> = Decision::Overtakes { what: "first" };

#[test]
fn what_nothing_stands_in_the_way_of_is_accepted() {
    let idle = Arbiter::<&str>::default();
    assert_eq!(idle.decide(&Scope::Agent, &known()), Decision::Accepted);
    assert_eq!(idle.decide(&modules("fim"), &known()), Decision::Accepted);
}

#[test]
fn whatever_the_restart_under_way_covers_joins_it() {
    assert_eq!(under_way(Scope::Agent).decide(&Scope::Agent, &known()), JOINED);
    assert_eq!(under_way(Scope::Agent).decide(&modules("fim sca"), &known()), JOINED);
    assert_eq!(under_way(modules("fim sca")).decide(&modules("fim sca"), &known()), JOINED);
    assert_eq!(under_way(modules("fim sca")).decide(&modules("sca"), &known()), JOINED);
}

#[test]
fn modules_that_the_restart_under_way_does_not_cover_wait_for_their_turn() {
    for wanted in ["sca", "fim sca"] {
        let decision = under_way(modules("fim")).decide(&modules(wanted), &known());
        assert_eq!(decision, Decision::Accepted, "{wanted}");
    }
}

#[test]
fn nobody_joins_a_restart_that_is_sealed() {
    assert!(sealed(Scope::Agent).is_sealed());
    assert!(!under_way(Scope::Agent).is_sealed());
    assert!(!Arbiter::<&str>::default().is_sealed());
    assert_eq!(sealed(Scope::Agent).decide(&Scope::Agent, &known()), Decision::Accepted);
    assert_eq!(sealed(Scope::Agent).decide(&modules("fim"), &known()), Decision::Accepted);
    assert_eq!(sealed(modules("fim")).decide(&modules("fim"), &known()), Decision::Accepted);
}

#[test]
fn sealing_gives_back_who_may_still_join() {
    let mut arbiter = under_way(Scope::Agent);
    let before = arbiter.seal();
    assert_eq!(before.decide(&modules("fim"), &known()), JOINED);
    assert_eq!(arbiter.decide(&modules("fim"), &known()), Decision::Accepted);
}

#[test]
fn the_whole_agent_overtakes_modules_whether_they_are_sealed_or_not() {
    assert_eq!(under_way(modules("fim")).decide(&Scope::Agent, &known()), OVERTAKES);
    assert_eq!(sealed(modules("fim")).decide(&Scope::Agent, &known()), OVERTAKES);
}

#[test]
fn a_restart_of_modules_that_has_grown_is_joined_by_everybody() {
    let mut arbiter = sealed(modules("fim"));
    arbiter.grow();
    assert_eq!(arbiter.decide(&Scope::Agent, &known()), JOINED);
    assert_eq!(arbiter.decide(&modules("sca"), &known()), JOINED);
}

#[test]
fn an_ended_restart_is_joined_by_nobody() {
    let mut arbiter = under_way(Scope::Agent);
    arbiter.end();
    assert_eq!(arbiter.decide(&Scope::Agent, &known()), Decision::Accepted);
    arbiter.grow();
    assert_eq!(arbiter.decide(&modules("fim"), &known()), Decision::Accepted);
}

#[test]
fn an_unknown_module_is_denied_with_the_list_of_those_that_are_known() {
    let denial = Denial::UnknownModules {
        unknown: vec!["fimm".to_owned(), "scan".to_owned()],
        known: known().into_iter().collect(),
    };
    let text =
        "no enabled module fimm, scan; the enabled modules are: fim, inventory, sca".to_owned();
    assert_eq!(denial.to_string(), text);
    let wanted = modules("fim fimm scan");
    let decision = Arbiter::<&str>::default().decide(&wanted, &known());
    assert_eq!(decision, Decision::Denied(denial.clone()));
    assert_eq!(Arbiter::default().begin("first", wanted, &known()), Err(denial));
    let none = Arbiter::default().begin("first", modules("fim"), &BTreeSet::new()).unwrap_err();
    assert_eq!(none.to_string(), "no enabled module fim; the enabled modules are: none");
}

#[test]
fn a_restart_of_no_module_is_denied() {
    let decision = Arbiter::<&str>::default().decide(&modules(""), &known());
    assert_eq!(decision, Decision::Denied(Denial::NoModules));
}

#[test]
fn an_operators_stop_denies_every_restart_from_then_on() {
    let mut arbiter = under_way(Scope::Agent);
    arbiter.stop();
    for scope in [Scope::Agent, modules("fim"), modules("unknown")] {
        assert_eq!(arbiter.decide(&scope, &known()), Decision::Denied(Denial::Stopping));
        assert_eq!(arbiter.begin("second", scope, &known()), Err(Denial::Stopping));
    }
}

fn scope() -> impl Strategy<Value = Scope> {
    let names = proptest::sample::subsequence(vec!["fim", "inventory", "sca"], 1..=3);
    prop_oneof![Just(Scope::Agent), names.prop_map(|names| modules(&names.join(" ")))]
}

proptest! {
    #[test]
    fn only_what_covers_a_request_is_its_outcome(first in scope(), second in scope(), seal in any::<bool>()) {
        let arbiter = if seal { sealed(first.clone()) } else { under_way(first.clone()) };
        let joined = arbiter.decide(&second, &known()) == JOINED;
        prop_assert_eq!(joined, !seal && first.covers(&second));
        prop_assert!(!first.covers(&second) || first == Scope::Agent || second != Scope::Agent);
    }
}
