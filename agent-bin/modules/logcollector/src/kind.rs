//! What the composition of the binary gets: the kind of this module.

use std::sync::Arc;

use module_api::{Module, ModuleKind, ModuleName, SectionError};
use serde_json::Value;

use crate::config::Config;
use crate::module::Logcollector;

/// The kind of the module `logcollector`, which tails log files and publishes one event per line.
///
/// Its section of the configuration, all keys optional:
///
/// | key | meaning | default | allowed |
/// |---|---|---|---|
/// | `files` | glob patterns; relative ones start at the working directory | none | valid patterns |
/// | `read_interval` | how long to wait when there was nothing more to read | `200ms` | `10ms` to `1m` |
/// | `reload_interval` | how often the patterns are evaluated again | `1s` | `10ms` to `1h` |
/// | `max_line_bytes` | longer lines become several events with `log.part` | `1MB` | `256` to `16MB` |
/// | `start_at` | where files are begun that exist when their pattern is watched for the first time | `end` | `end`, `beginning` |
#[derive(Debug)]
pub struct LogcollectorKind {
    name: ModuleName,
}

impl LogcollectorKind {
    /// The kind, for the list of modules of the binary.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "the name is fixed, and every test of the crate checks that it is valid"
    )]
    pub fn new() -> Self {
        Self { name: ModuleName::new("logcollector").expect("a valid name") }
    }
}

impl Default for LogcollectorKind {
    fn default() -> Self {
        Self::new()
    }
}

impl ModuleKind for LogcollectorKind {
    fn name(&self) -> &ModuleName {
        &self.name
    }

    fn build(&self, section: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        let config = Config::parse(section)?;
        Ok(Arc::new(Logcollector::new(self.name.clone(), config)))
    }
}
