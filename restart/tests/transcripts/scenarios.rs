//! The scenarios: each is a test of its own, and the name of its file.

use std::time::Duration;

use restart::{Limits, Purpose};

use crate::stage::plan::{Controller, Kind, ModulePlan, Plan, Request, Stray, Turn, Word};
use crate::{compare, folder};

fn willing(name: &str) -> ModulePlan {
    ModulePlan::willing(name)
}

fn module(name: &str, change: impl FnOnce(&mut ModulePlan)) -> ModulePlan {
    let mut module = ModulePlan::willing(name);
    change(&mut module);
    module
}

fn after(millis: u64, kind: Kind) -> Vec<Turn> {
    vec![Turn::after(millis, kind)]
}

fn hangs() -> Vec<Turn> {
    after(0, Kind::Hang)
}

/// One that takes its time: ready after 1 s, saved after 0.5 s more, stopped after 0.3 s more.
fn slow(name: &str) -> ModulePlan {
    module(name, |module| {
        module.ready = after(1_000, Kind::Ok);
        module.save = after(500, Kind::Ok);
        module.stop = after(300, Kind::Ok);
    })
}

fn end(modules: impl Into<Vec<ModulePlan>>) -> Plan {
    Plan::new(Purpose::End, modules.into())
}

/// The controller accepts after 0.2 s and sends SIGTERM 0.1 s later.
fn replace(modules: impl Into<Vec<ModulePlan>>) -> Plan {
    let mut plan = Plan::new(Purpose::Replace, modules.into());
    plan.controller =
        Controller { after: 200, answer: Word::Accepts, sigterm: Some(300), lost: None };
    plan
}

fn answering(after: u64, answer: Word) -> Plan {
    let mut plan = replace([slow("fim"), willing("sca")]);
    plan.controller = Controller { after, answer, sigterm: None, lost: None };
    plan
}

impl Plan {
    fn with(mut self, at: u64, request: Request) -> Self {
        self.requests.push((at, request));
        self
    }

    fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    fn controlled(mut self, change: impl FnOnce(&mut Controller)) -> Self {
        change(&mut self.controller);
        self
    }
}

macro_rules! transcripts {
    ($($name:ident => $plan:expr;)*) => {
        $(
            #[test]
            fn $name() {
                compare(stringify!($name), &$plan);
            }
        )*

        /// The names of all scenarios.
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

// How a restart and a plain end go when all is well, and when modules are not.
transcripts! {
    willing_modules_are_asked_saved_and_stopped => replace([willing("fim"), willing("sca")]);
    without_a_gate_each_module_goes_at_its_own_pace => end([slow("fim"), willing("sca")]);
    all_are_drained_before_the_controller_is_asked => replace([slow("fim"), willing("sca")]);
    a_busy_module_is_asked_again => end([module("fim", |fim| {
        fim.ready = vec![Turn::after(0, Kind::Busy), Turn::after(50, Kind::Busy), Turn::OK];
    })]);
    a_module_that_stays_busy_is_closed_all_the_same => replace([module("fim", |fim| {
        fim.ready = after(0, Kind::Busy);
    })]).limited(|limits| limits.poll = Duration::from_secs(4));
    a_module_that_does_not_answer_is_closed_all_the_same =>
        replace([module("fim", |fim| fim.ready = hangs()), willing("sca")]);
    a_hung_save_costs_its_budget => end([module("fim", |fim| fim.save = hangs())]);
    a_failed_save_is_noted => end([module("fim", |fim| fim.save = after(200, Kind::Fail))]);
    a_full_disk_is_noted => end([module("fim", |fim| fim.keep = after(200, Kind::Fail))]);
    a_disk_that_hangs_costs_the_budget_of_the_save => end([module("fim", |fim| {
        fim.save = after(3_000, Kind::Ok);
        fim.keep = hangs();
    })]);
    a_second_stop_helps => end([module("fim", |fim| {
        fim.stop = vec![Turn::HANG, Turn::after(100, Kind::Ok)];
    })]);
    a_stop_that_fails_is_tried_once_more => end([module("fim", |fim| {
        fim.stop = vec![Turn::after(100, Kind::Fail), Turn::after(100, Kind::Ok)];
    })]);
    a_module_that_does_not_stop_is_abandoned => end([module("fim", |fim| fim.stop = hangs())]);
    a_module_that_hangs_everywhere_delays_no_other => end([willing("fim"), module("sca", |sca| {
        sca.ready = hangs();
        sca.save = hangs();
        sca.stop = hangs();
    }), slow("inventory")]);
    slow_modules_take_the_longest_and_not_the_sum => end([
        module("fim", |fim| fim.stop = after(4_000, Kind::Ok)),
        module("sca", |sca| sca.stop = after(3_000, Kind::Ok)),
        module("inventory", |inventory| inventory.save = after(2_000, Kind::Ok)),
    ]);
    the_overall_deadline_abandons_whatever_is_left => replace([
        module("fim", |fim| {
            fim.ready = after(9_000, Kind::Ok);
            fim.save = after(4_000, Kind::Ok);
            fim.stop = after(4_000, Kind::Fail);
        }),
        willing("sca"),
    ]).controlled(|controller| {
        *controller = Controller { after: 4_000, answer: Word::Accepts, sigterm: Some(8_000), lost: None };
    }).limited(|limits| limits.overall = Duration::from_secs(25));
    a_panic_is_a_failure_in_every_method => end([
        module("ready", |ready| ready.ready = after(100, Kind::Panic)),
        module("save", |save| save.save = after(100, Kind::Panic)),
        module("write", |write| write.keep = after(100, Kind::Panic)),
        module("stop", |stop| stop.stop = after(100, Kind::Panic)),
    ]);
    a_panic_while_resuming_harms_nobody => {
        let mut plan = answering(100, Word::Refuses);
        plan.modules[0].resume = after(0, Kind::Panic);
        plan
    };
    a_module_that_does_not_run_counts_as_ready_saved_and_stopped =>
        replace([module("fim", |fim| fim.runs = false), willing("sca")]);
    a_module_that_is_named_twice_is_called_once => {
        let mut plan = end([willing("fim"), willing("sca")]);
        plan.listed = vec![0, 1, 0];
        plan
    };
    a_restart_without_modules_still_asks_the_controller => replace([]);
    an_end_without_modules_is_over_at_once => end([]);
    a_late_answer_changes_nothing => end([module("fim", |fim| {
        fim.save = hangs();
        fim.stop = after(2_000, Kind::Ok);
    })]).with(1_000, Request::Stray(Stray::Stranger)).with(6_000, Request::Stray(Stray::Of(0)));
    a_lying_module_is_believed_and_then_shut_out => end([module("fim", |fim| {
        fim.save = after(4_500, Kind::Ok);
        fim.lies_every = Some(4_000);
    })]);
    force_while_draining_ends_the_asking =>
        replace([module("fim", |fim| fim.ready = hangs()), willing("sca")])
            .with(1_000, Request::Force);
    force_while_closing_abandons_what_is_left =>
        replace([module("fim", |fim| fim.save = hangs()), willing("sca")])
            .with(1_000, Request::Force);
    force_twice_goes_to_the_end_of_the_ladder => replace([module("fim", |fim| {
        fim.ready = hangs();
        fim.stop = hangs();
    })]).with(1_000, Request::Force).with(2_000, Request::Force);
    a_stop_while_draining_overtakes_the_restart =>
        replace([slow("fim"), willing("sca")]).with(500, Request::Stop);
    a_stop_while_the_controller_is_asked_overtakes_the_restart =>
        replace([slow("fim"), willing("sca")]).with(1_100, Request::Stop);
    a_stop_while_sigterm_is_awaited_overtakes_the_restart =>
        replace([slow("fim"), willing("sca")]).with(1_250, Request::Stop);
    a_stop_while_closing_changes_the_ending =>
        replace([slow("fim"), willing("sca")]).with(1_500, Request::Stop);
    a_sigterm_before_the_controller_is_asked_is_a_stop =>
        replace([slow("fim")]).with(500, Request::Sigterm);
    a_sigterm_may_overtake_the_answer_of_the_controller =>
        replace([slow("fim")]).controlled(|controller| controller.sigterm = Some(100));
    a_sigterm_before_the_request_has_gone_out_is_a_stop => replace([willing("fim")])
        .with(0, Request::Sigterm).with(0, Request::Force);
    a_stop_before_the_request_has_gone_out_takes_it_back => replace([willing("fim")])
        .with(0, Request::Force).with(0, Request::Stop).with(0, Request::Force);
    a_refusal_resumes_the_modules => answering(100, Word::Refuses);
    a_module_that_hangs_while_resuming_harms_nobody => {
        let mut plan = answering(100, Word::Refuses);
        plan.modules[0].resume = hangs();
        plan
    };
    a_sigterm_that_never_comes_calls_the_restart_off => answering(200, Word::Accepts);
    a_controller_that_hangs_is_not_waited_for => answering(0, Word::Hangs);
    a_controller_that_panics_has_refused => answering(100, Word::Panics);
    an_unconditional_controller_opens_the_gate_at_once => answering(100, Word::Unconditional);
    a_sigterm_that_no_controller_sends_is_a_stop =>
        answering(100, Word::Unconditional).with(1_300, Request::Sigterm);
    a_sigterm_before_an_unconditional_answer_is_a_stop =>
        answering(500, Word::Unconditional).with(1_300, Request::Sigterm);
    a_successor_that_nobody_will_start_is_in_the_outcome =>
        replace([slow("fim")]).controlled(|controller| controller.lost = Some(500));
}

#[test]
fn every_transcript_has_its_scenario() {
    // The others are writing them.
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        return;
    }
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".txt").map(str::to_owned)
        })
        .collect();
    files.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(files, names);
}
