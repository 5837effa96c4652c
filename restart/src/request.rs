//! What becomes of a restart that is asked for while another may be under way: accepted, joined, overtaking or denied.

use std::collections::BTreeSet;
use std::fmt;

use module_api::ModuleName;

/// What a restart covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// The whole agent: the process is replaced.
    Agent,
    /// These modules, in process.
    Modules(BTreeSet<ModuleName>),
}

impl Scope {
    /// Whether a restart of this scope does all that one of `other` would do.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Agent, _) => true,
            (Self::Modules(_), Self::Agent) => false,
            (Self::Modules(ours), Self::Modules(theirs)) => theirs.is_subset(ours),
        }
    }
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision<Id> {
    /// It is begun when its turn comes.
    Accepted,
    /// The restart under way does what it asks for, and has not gone too far: both get one outcome.
    Joined {
        /// The request that is under way.
        to: Id,
    },
    /// It is accepted, and the restart of modules under way makes way: that grows into the restart of the whole agent,
    /// so that both get one outcome. The caller says so with [`Arbiter::grow`].
    Overtakes {
        /// The request that is under way.
        what: Id,
    },
    /// It will not be carried out.
    Denied(Denial),
}

/// Why a restart will not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// A module that is not there, or is switched off.
    #[error("no enabled module {}; the enabled modules are: {}", .unknown.join(", "), list(.known))]
    UnknownModules {
        /// Those that were asked for and are not known.
        unknown: Vec<String>,
        /// Those that could have been asked for.
        known: Vec<ModuleName>,
    },
    /// A restart of no module at all.
    #[error("there is no module to restart")]
    NoModules,
    /// An operator wants the agent to stop, which wins.
    #[error("the agent is being stopped")]
    Stopping,
}

fn list(names: &[ModuleName]) -> impl fmt::Display {
    let names: Vec<&str> = names.iter().map(ModuleName::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Knows what is under way, and decides about each request by that alone: no queue, no lock, no clock.
///
/// It keeps no list of those that joined: whoever keeps the requests asks [`Arbiter::decide`] for each that still waits
/// when the restart is [sealed](Arbiter::seal), so that nothing has to be kept in two places.
#[derive(Debug, Clone)]
pub struct Arbiter<Id> {
    under_way: Option<UnderWay<Id>>,
    stopping: bool,
}

#[derive(Debug, Clone)]
struct UnderWay<Id> {
    id: Id,
    scope: Scope,
    sealed: bool,
}

impl<Id> Default for Arbiter<Id> {
    fn default() -> Self {
        Self { under_way: None, stopping: false }
    }
}

impl<Id: Clone + PartialEq> Arbiter<Id> {
    /// Decides about a request. `known` are the modules that can be restarted. A request that is under way itself is
    /// joined to itself.
    ///
    /// The smaller restart joins the larger one that covers it, as long as that one has not been sealed: only what is
    /// started after the request was made can be its outcome. A restart of the whole agent does not wait for one
    /// of modules. Everything else waits for its turn.
    pub fn decide(&self, scope: &Scope, known: &BTreeSet<ModuleName>) -> Decision<Id> {
        if let Err(denial) = self.check(scope, known) {
            return Decision::Denied(denial);
        }
        match &self.under_way {
            Some(ours) if !ours.sealed && ours.scope.covers(scope) => {
                Decision::Joined { to: ours.id.clone() }
            }
            Some(ours) if *scope == Scope::Agent && ours.scope != Scope::Agent => {
                Decision::Overtakes { what: ours.id.clone() }
            }
            Some(_) | None => Decision::Accepted,
        }
    }

    /// Begins a request whose turn has come; whatever was under way has ended.
    ///
    /// # Errors
    /// [`Denial`]: it is not begun, because the modules have changed, or a stop has come, since it was accepted.
    pub fn begin(
        &mut self,
        id: Id,
        scope: Scope,
        known: &BTreeSet<ModuleName>,
    ) -> Result<(), Denial> {
        self.check(&scope, known)?;
        self.under_way = Some(UnderWay { id, scope, sealed: false });
        Ok(())
    }

    /// The restart under way becomes one of the whole agent. Nothing happens when none is under way.
    pub fn grow(&mut self) {
        if let Some(ours) = &mut self.under_way {
            ours.scope = Scope::Agent;
            ours.sealed = false;
        }
    }

    /// From now on nobody joins the restart under way: the modules are about to be started again, or the ticket is about
    /// to be written. Returns the arbiter as it was, to decide about those that wait.
    #[must_use]
    pub fn seal(&mut self) -> Self {
        let before = self.clone();
        if let Some(ours) = &mut self.under_way {
            ours.sealed = true;
        }
        before
    }

    /// Whether a restart is under way that nobody can join any more.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.under_way.as_ref().is_some_and(|ours| ours.sealed)
    }

    /// The restart under way has ended.
    pub fn end(&mut self) {
        self.under_way = None;
    }

    /// An operator wants the agent to stop: every restart is denied from now on.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    fn check(&self, scope: &Scope, known: &BTreeSet<ModuleName>) -> Result<(), Denial> {
        if self.stopping {
            return Err(Denial::Stopping);
        }
        let Scope::Modules(wanted) = scope else { return Ok(()) };
        if wanted.is_empty() {
            return Err(Denial::NoModules);
        }
        let unknown: Vec<String> = wanted.difference(known).map(ToString::to_string).collect();
        if !unknown.is_empty() {
            let known = known.iter().cloned().collect();
            return Err(Denial::UnknownModules { unknown, known });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
