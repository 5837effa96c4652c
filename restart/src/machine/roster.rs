//! All modules of the loop: found by name, counted by step, and the next deadline of all, each in logarithmic time.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use module_api::ModuleName;

use super::ladder::Ladder;
use crate::event::{Effect, ModuleOutcome};
use crate::limits::Limits;

/// The modules in the order of `begin`.
///
/// An answer touches one module, so nothing here looks at all of them for it: with ten thousand modules that would be the
/// cost of the loop.
#[derive(Debug, Clone)]
pub(super) struct Roster {
    ladders: Vec<Ladder>,
    by_name: HashMap<ModuleName, usize>,
    /// What is to be done by time alone, soonest first.
    deadlines: BTreeSet<(Instant, usize)>,
    undrained: usize,
    unended: usize,
}

impl Roster {
    /// Modules that nobody has asked yet. A name that comes again counts once.
    pub(super) fn new(names: Vec<ModuleName>, now: Instant) -> Self {
        let mut ladders = Vec::with_capacity(names.len());
        let mut by_name = HashMap::with_capacity(names.len());
        for name in names {
            by_name.entry(name).or_insert_with_key(|name| {
                ladders.push(Ladder::new(name.clone(), now));
                ladders.len() - 1
            });
        }
        let (undrained, unended) = (ladders.len(), ladders.len());
        Self { ladders, by_name, deadlines: BTreeSet::new(), undrained, unended }
    }

    pub(super) fn find(&self, name: &ModuleName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Changes one module and keeps the counts and the deadlines in step.
    pub(super) fn change<R>(
        &mut self,
        number: usize,
        limits: &Limits,
        change: impl FnOnce(&mut Ladder) -> R,
    ) -> Option<R> {
        let ladder = self.ladders.get_mut(number)?;
        let (drained, ended) = (ladder.is_drained(), ladder.has_ended());
        let deadline = ladder.deadline(limits);
        let result = change(ladder);
        self.undrained -= usize::from(!drained && ladder.is_drained());
        self.unended -= usize::from(!ended && ladder.has_ended());
        let next = ladder.deadline(limits);
        if next != deadline {
            if let Some(at) = deadline {
                self.deadlines.remove(&(at, number));
            }
            if let Some(at) = next {
                self.deadlines.insert((at, number));
            }
        }
        Some(result)
    }

    /// Changes every module, in order.
    pub(super) fn change_all(
        &mut self,
        limits: &Limits,
        effects: &mut Vec<Effect>,
        mut change: impl FnMut(&mut Ladder, &mut Vec<Effect>),
    ) {
        for number in 0..self.ladders.len() {
            self.change(number, limits, |ladder| change(ladder, effects));
        }
    }

    /// Asks every module for the first time.
    pub(super) fn ask_all(&mut self, limits: &Limits, effects: &mut Vec<Effect>) {
        for (number, ladder) in self.ladders.iter_mut().enumerate() {
            ladder.ask(effects);
            self.deadlines.extend(ladder.deadline(limits).map(|at| (at, number)));
        }
    }

    /// The modules whose deadline has come.
    pub(super) fn due(&self, now: Instant) -> Vec<usize> {
        self.deadlines.range(..=(now, usize::MAX)).map(|(_, number)| *number).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn all_drained(&self) -> bool {
        self.undrained == 0
    }

    pub(super) fn all_ended(&self) -> bool {
        self.unended == 0
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &ModuleName> {
        self.ladders.iter().map(Ladder::name)
    }

    pub(super) fn outcomes(&self, now: Instant) -> Vec<ModuleOutcome> {
        self.ladders.iter().map(|ladder| ladder.outcome(now)).collect()
    }
}
