//! Makes a plan of a number: the same number makes the same plan, on every machine.

use std::time::Duration;

use module_api::ModuleName;
use restart::{Limits, Purpose};

use crate::stage::plan::{Controller, Kind, ModulePlan, Plan, Request, Stray, Turn, Word};

/// The plan that belongs to `seed`.
pub fn plan_of(seed: u64) -> Plan {
    let mut dice = Dice(seed);
    let purpose = if dice.one_in(3) { Purpose::End } else { Purpose::Replace };
    let limits = dice.limits();
    let count = match dice.below(40) {
        0 => 0,
        1 => 13 + dice.below(38),
        _ => 1 + dice.below(12),
    };
    let modules: Vec<ModulePlan> = (0..count).map(|number| dice.module(number, &limits)).collect();
    let mut plan = Plan::new(purpose, modules);
    plan.limits = limits;
    plan.controller = dice.controller(&limits);
    plan.requests = dice.requests(count, &limits);
    if count > 0 && dice.one_in(20) {
        plan.listed.push(usize::try_from(dice.below(count)).unwrap());
    }
    plan
}

/// Numbers that look random (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn maybe<T>(&mut self, one_in: u64, what: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(one_in).then(|| what(self))
    }

    /// A time in milliseconds, often one at which something else may happen too.
    fn time(&mut self, budget: Duration) -> u64 {
        let budget = u64::try_from(budget.as_millis()).unwrap();
        match self.below(12) {
            0..4 => 0,
            4 => 1,
            5 => 100 * self.below(20),
            6 => budget.saturating_sub(1),
            7 => budget,
            8 => budget + 1,
            9 => self.below(2 * budget + 2),
            _ => self.below(budget + 1),
        }
    }

    /// The defaults, others that fit, and sometimes some that do not.
    fn limits(&mut self) -> Limits {
        if self.one_in(2) {
            return Limits::default();
        }
        let mut limits = Limits {
            ready: self.budget(12_000) * u32::from(!self.one_in(12)),
            poll: Duration::from_millis(10 + self.below(1_500)),
            save: self.budget(6_000),
            stop: self.budget(6_000),
            replacement: self.budget(8_000) * u32::from(!self.one_in(12)),
            overall: self.budget(30_000),
        };
        if limits.check().is_err() && !self.one_in(6) {
            limits.overall = limits.ready + limits.save + 2 * limits.stop + self.budget(5_000);
        }
        limits
    }

    fn budget(&mut self, most: u64) -> Duration {
        Duration::from_millis(100 * (1 + self.below(most / 100)))
    }

    fn module(&mut self, number: u64, limits: &Limits) -> ModulePlan {
        let mut module = ModulePlan::willing("m");
        module.name = ModuleName::new(&format!("m{number}")).unwrap();
        module.runs = !self.one_in(15);
        if self.one_in(2) {
            return module;
        }
        for _ in 0..self.below(4) {
            module.ready.push(Turn::after(self.time(limits.poll), Kind::Busy));
        }
        module.ready.extend(self.maybe(2, |dice| dice.turn(limits.ready)));
        module.save.extend(self.maybe(2, |dice| dice.turn(limits.save)));
        module.keep.extend(self.maybe(3, |dice| dice.turn(limits.save)));
        module.stop.extend(self.maybe(2, |dice| dice.turn(limits.stop)));
        module.stop.extend(self.maybe(2, |dice| dice.turn(limits.stop)));
        module.resume.extend(self.maybe(4, |dice| dice.turn(limits.overall)));
        module
    }

    fn turn(&mut self, budget: Duration) -> Turn {
        let kind = match self.below(16) {
            0 => Kind::Hang,
            1 => Kind::Panic,
            2 | 3 => Kind::Fail,
            4 => Kind::Busy,
            _ => Kind::Ok,
        };
        Turn::after(self.time(budget), kind)
    }

    fn controller(&mut self, limits: &Limits) -> Controller {
        let answer = match self.below(16) {
            0..9 => Word::Accepts,
            9..12 => Word::Unconditional,
            12 | 13 => Word::Refuses,
            14 => Word::Panics,
            _ => Word::Hangs,
        };
        let after = self.time(limits.replacement);
        // The controller's own, or an operator's if the controller sends none.
        let sigterm = match answer {
            Word::Accepts => (!self.one_in(6)).then(|| after + self.time(limits.replacement)),
            Word::Unconditional => self.maybe(2, |dice| after + dice.time(limits.save)),
            Word::Refuses | Word::Panics | Word::Hangs => None,
        };
        let early = self.maybe(5, |dice| dice.below(after + 1));
        let lost = self.maybe(10, |dice| after + dice.time(limits.stop));
        Controller { after, answer, sigterm: early.or(sigterm), lost }
    }

    fn requests(&mut self, modules: u64, limits: &Limits) -> Vec<(u64, Request)> {
        let mut requests = Vec::new();
        if self.one_in(2) {
            for _ in 0..self.below(4) {
                let request = self.request(modules);
                let at = self.time(limits.overall / 2);
                requests.push((at, request));
                if self.one_in(8) {
                    requests.push((at + self.time(limits.stop), request));
                }
            }
        }
        requests.sort_by_key(|(at, _)| *at);
        requests
    }

    fn request(&mut self, modules: u64) -> Request {
        match self.below(8) {
            0 => Request::Stop,
            1 => Request::Sigterm,
            2 => Request::Force,
            3 => Request::Stray(Stray::Stranger),
            _ if modules == 0 => Request::Stray(Stray::Stranger),
            _ => Request::Stray(Stray::Of(usize::try_from(self.below(modules)).unwrap())),
        }
    }
}
