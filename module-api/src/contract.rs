//! The contract of [`Module`] as checks that every real module runs on itself.
//!
//! A module's own test implements [`Subject`] and calls [`check`]:
//!
#![cfg_attr(feature = "scripted", doc = "```")]
#![cfg_attr(not(feature = "scripted"), doc = "```ignore")]
//! # use std::sync::Arc;
//! # use module_api::{Module, ModuleName, Script, ScriptedModule, contract};
//! struct Ticking;
//!
//! #[async_trait::async_trait]
//! impl contract::Subject for Ticking {
//!     fn build(&self) -> Arc<dyn Module> {
//!         let script = Script { publish_every_ms: Some(10), ..Script::default() };
//!         Arc::new(ScriptedModule::new(ModuleName::new("ticking").unwrap(), script))
//!     }
//!
//!     async fn give_work(&self) {} // it ticks by itself
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! contract::check(&Ticking).await.unwrap();
//! # });
//! ```
//!
//! What is checked is what [`Module`] promises and no more: `stop` before `start` is never called, for one. What cannot be
//! seen from outside is not checked: whether a module that says it is ready has taken on long work, whether
//! an event says what happened, and a thread or blocking call that outlives `stop` without its event sink.
//! A call that blocks its thread stops the check as well; then the test hangs.

mod abandoning;
mod attempt;
mod dropping;
mod kept;
mod ledger;
mod lifecycle;
mod losing;
mod rule;
mod station;
mod tasks;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::Module;

pub use rule::{Rule, Violation, Violations};

/// The module under test, with what the checks need to know of its world.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A new instance that is not started, always of the same kind with the same section. Called within a runtime.
    fn build(&self) -> Arc<dyn Module>;

    /// Brings about one more thing that the module has to publish an event for: a line in a log, a changed file. Nothing to do
    /// for a module that publishes by itself. Also called while no instance runs; the next one has to find it then.
    async fn give_work(&self);

    /// How long to wait for what must happen, and for what must not.
    fn patience(&self) -> Patience {
        Patience::default()
    }
}

/// How long the checks wait. With paused time nobody waits for real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For what the contract wants at once: the answer of `ready_for_shutdown`, and the end of what runs after `stop`.
    pub at_once: Duration,
    /// For `start`, `resume`, `save_state` and `stop` each, for a busy module to get ready, and for the event about a
    /// piece of work.
    pub slow: Duration,
    /// For what must not happen. What a module does later is not seen, so this should be several of its intervals; it
    /// is always waited for to the end.
    pub quiet: Duration,
}

impl Default for Patience {
    /// 1 s is far more than an answer without work takes, 10 s is the default budget to get ready, and 500 ms are long
    /// for modules that are configured to be fast in tests.
    fn default() -> Self {
        Self {
            at_once: Duration::from_secs(1),
            slow: Duration::from_secs(10),
            quiet: Duration::from_millis(500),
        }
    }
}

/// Runs all checks, one after the other, each on new instances with an empty spool and an empty
/// [`folder`](crate::StartContext::folder), which the instances of one check leave to each other and which is removed at its end. Calls are dropped on purpose only if all
/// else is well.
///
/// The runtime should be that of this test alone, because tasks that are left over are counted. Ends after at most some
/// 40 times the longest patience unless the module blocks the thread; dropping it leaves instances running.
///
/// # Errors
/// Every rule that was broken, with what was seen when it was broken first.
pub async fn check(subject: &dyn Subject) -> Result<(), Violations> {
    let checks: [Check<'_>; 8] = [
        Box::pin(lifecycle::works(subject)),
        Box::pin(lifecycle::drains_and_goes_on(subject)),
        Box::pin(lifecycle::stops_for_good(subject)),
        Box::pin(lifecycle::saves_for_good(subject)),
        Box::pin(losing::starts_where_it_ended(subject)),
        Box::pin(losing::keeps_what_was_refused(subject)),
        Box::pin(losing::survives_a_kill(subject)),
        Box::pin(abandoning::ends_with_its_tasks(subject)),
    ];
    let mut violations = Violations::default();
    for check in checks {
        if let Err(violation) = check.await {
            violations.add(violation);
        }
    }
    // What is broken anyway would be blamed on the dropped call.
    if violations.0.is_empty()
        && let Err(violation) = dropping::survives_dropped_calls(subject).await
    {
        violations.add(violation);
    }
    violations.into_result()
}

type Check<'a> = Pin<Box<dyn Future<Output = Result<(), Violation>> + Send + 'a>>;
