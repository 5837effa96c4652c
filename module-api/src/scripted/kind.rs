//! Scripted modules for an agent that builds its modules by itself.

use std::sync::Arc;

use serde_json::Value;

use super::{Script, ScriptedModule};
use crate::{Module, ModuleKind, ModuleName, SectionError, parse_section};

/// The kind of [`ScriptedModule`] whose script is its section of the configuration.
#[derive(Debug)]
pub struct ScriptedKind(pub ModuleName);

impl ModuleKind for ScriptedKind {
    fn name(&self) -> &ModuleName {
        &self.0
    }

    fn build(&self, section: &Value) -> Result<Arc<dyn Module>, Vec<SectionError>> {
        let script: Script = parse_section(section)?;
        Ok(Arc::new(ScriptedModule::new(self.0.clone(), script)))
    }
}
