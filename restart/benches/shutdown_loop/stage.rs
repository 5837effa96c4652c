//! Runs the real machine and the real driver over modules, and takes the time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use module_api::{Module, ModuleName, SavedState};
use restart::{Clock, Ending, Event, Host, Limits, Progress, Purpose, Shutdown, TokioClock, drive};
use tokio::sync::mpsc;

/// Budgets that the slow modules stay within.
const LIMITS: Limits = Limits {
    ready: Duration::from_secs(10),
    poll: Duration::from_millis(100),
    save: Duration::from_secs(10),
    stop: Duration::from_secs(5),
    replacement: Duration::from_secs(5),
    overall: Duration::from_secs(30),
};

/// What one run of the loop took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) whole: Duration,
    /// Until the last of the modules that are not slow had stopped.
    pub(crate) others: Duration,
}

/// A host whose own work is as little as a host can do: not the host is to be measured.
struct Stage {
    /// Where each is found by the number in its name.
    slow: Vec<Arc<dyn Module>>,
    others: Vec<Arc<dyn Module>>,
    others_left: AtomicUsize,
    others_ended: OnceLock<Instant>,
}

#[async_trait]
impl Host for Stage {
    fn module(&self, name: &ModuleName) -> Option<Arc<dyn Module>> {
        let (prefix, number) = name.as_str().rsplit_once('-')?;
        let modules = if prefix == SLOW { &self.slow } else { &self.others };
        modules.get(number.parse::<usize>().ok()?).cloned()
    }

    async fn keep_state(&self, _name: &ModuleName, _state: SavedState) -> Result<(), String> {
        Ok(())
    }

    fn release(&self, name: &ModuleName) {
        if !name.as_str().starts_with(SLOW) && self.others_left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            self.others_ended.get_or_init(|| TokioClock.now());
        }
    }

    fn abandon(&self, _name: &ModuleName) {}

    async fn request_replacement(&self) -> Event {
        Event::ReplacementUnconditional
    }

    fn report(&self, _progress: Progress) {}
}

/// The prefix of the names of slow modules.
pub(crate) const SLOW: &str = "slow";

/// One run of the loop. The slow ones come first, where they would delay the most. The time begins with the machine and
/// ends with the outcome.
pub(crate) async fn run(
    purpose: Purpose,
    slow: Vec<Arc<dyn Module>>,
    others: Vec<Arc<dyn Module>>,
) -> Result<Took, String> {
    let names: Vec<ModuleName> =
        slow.iter().chain(&others).map(|module| module.name().clone()).collect();
    let host = Arc::new(Stage {
        others_left: AtomicUsize::new(others.len()),
        slow,
        others,
        others_ended: OnceLock::new(),
    });
    let watched = Arc::clone(&host);
    let (_open, requests) = mpsc::channel(1);
    let began = TokioClock.now();
    let begun = Shutdown::begin(purpose, names, LIMITS, began);
    let outcome = drive(host, begun, &TokioClock, requests).await;
    let whole = TokioClock.now().saturating_duration_since(began);
    if outcome.ending != Ending::Ended || !outcome.is_clean() {
        return Err(format!("the loop ended otherwise than measured: {:?}", outcome.ending));
    }
    let ended = watched.others_ended.get().ok_or("not every module was released")?;
    Ok(Took { whole, others: ended.saturating_duration_since(began) })
}
