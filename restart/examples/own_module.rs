//! A component of your own: one module, and the host that drains, saves and stops it with the shutdown loop.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example")]

use std::sync::Arc;

use async_trait::async_trait;
use module_api::{Module, ModuleError, ModuleName, Readiness, SavedState, StartContext};
use restart::{Clock, Event, Host, Limits, Progress, Purpose, Shutdown, TokioClock, drive};
use tokio::sync::mpsc;

struct Counter(ModuleName, u32);

#[async_trait]
impl Module for Counter {
    fn name(&self) -> &ModuleName {
        &self.0
    }
    async fn start(&self, _: StartContext) -> Result<(), ModuleError> {
        Ok(()) // Your host starts its modules with what they saved, a sink for events and a spawner of tasks.
    }
    async fn ready_for_shutdown(&self) -> Readiness {
        Readiness::Ready
    }
    async fn resume(&self) {}
    async fn save_state(&self) -> Result<SavedState, ModuleError> {
        Ok(SavedState::new(1, self.1.to_le_bytes().to_vec()))
    }
    async fn stop(&self) -> Result<(), ModuleError> {
        Ok(())
    }
}

struct Component(Arc<Counter>);

#[async_trait]
impl Host for Component {
    fn module(&self, _: &ModuleName) -> Option<Arc<dyn Module>> {
        Some(Arc::<Counter>::clone(&self.0))
    }
    async fn keep_state(&self, _: &ModuleName, _: SavedState) -> Result<(), String> {
        Ok(()) // Yours writes it to disk.
    }
    fn release(&self, _: &ModuleName) {}
    fn abandon(&self, _: &ModuleName) {}
    async fn request_replacement(&self) -> Event {
        Event::ReplacementRefused("nobody replaces this process".to_owned())
    }
    fn report(&self, _: Progress) {}
}

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() {
    let name = ModuleName::new("counter").unwrap();
    let host = Arc::new(Component(Arc::new(Counter(name.clone(), 7))));
    let begun = Shutdown::begin(Purpose::End, vec![name], Limits::default(), TokioClock.now());
    let outcome = drive(host, begun, &TokioClock, mpsc::channel(1).1).await;
    println!("{outcome:#?}");
    assert!(outcome.is_clean());
}
