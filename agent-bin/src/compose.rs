//! The one list of the modules that this binary has.

use std::sync::Arc;

use fim::FimKind;
use logcollector::LogcollectorKind;
use module_api::ModuleKind;

/// Every kind of module of the binary `wazuh-agent`.
#[must_use]
pub fn kinds() -> Vec<Arc<dyn ModuleKind>> {
    vec![Arc::new(FimKind::new()), Arc::new(LogcollectorKind::new())]
}
