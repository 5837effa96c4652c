//! The check that the modules of a binary can live together: distinct names, and none that a section of the agent has.

use std::collections::BTreeSet;
use std::sync::Arc;

use module_api::{ModuleKind, ModuleName};

use crate::config::is_section_of_the_agent;

/// Modules that cannot be composed to an agent. Only a changed program can mend that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompositionError {
    /// State, events and commands of the two could not be told apart.
    #[error("two modules are named {0}; give each module of the program a name of its own")]
    SameName(ModuleName),
    /// The word for all modules in commands.
    #[error("a module is named all, which stands for every module; give it another name")]
    NameOfAll,
    /// Its section of the configuration could not be told from the agent's.
    #[error(
        "a module is named {0}, as is a section of the agent's configuration; give it another name"
    )]
    NameOfASection(ModuleName),
}

/// Checks the kinds of modules that a binary has.
///
/// # Errors
/// [`CompositionError`] names the first name that is taken.
pub(crate) fn check(kinds: &[Arc<dyn ModuleKind>]) -> Result<(), CompositionError> {
    let mut taken = BTreeSet::new();
    for kind in kinds {
        let name = kind.name();
        if is_section_of_the_agent(name.as_str()) {
            return Err(CompositionError::NameOfASection(name.clone()));
        }
        if name.as_str() == "all" {
            return Err(CompositionError::NameOfAll);
        }
        if !taken.insert(name) {
            return Err(CompositionError::SameName(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use module_api::ScriptedKind;

    use super::*;

    fn checked(names: &[&str]) -> Result<(), String> {
        let kind = |name: &&str| Arc::new(ScriptedKind(ModuleName::new(name).unwrap())) as _;
        let kinds: Vec<Arc<dyn ModuleKind>> = names.iter().map(kind).collect();
        check(&kinds).map_err(|error| error.to_string())
    }

    #[test]
    fn modules_with_distinct_names_live_together() {
        assert_eq!(checked(&["fim", "sca", "inventory"]), Ok(()));
        assert_eq!(checked(&[]), Ok(()));
    }

    #[test]
    fn two_modules_with_one_name_are_refused() {
        let text = "two modules are named fim; give each module of the program a name of its own";
        assert_eq!(checked(&["fim", "sca", "fim"]), Err(text.to_owned()));
    }

    #[test]
    fn the_word_for_all_modules_is_no_name() {
        let text = "a module is named all, which stands for every module; give it another name";
        assert_eq!(checked(&["all"]), Err(text.to_owned()));
    }

    #[test]
    fn a_module_with_the_name_of_a_section_is_refused() {
        assert_eq!(
            checked(&["restart"]),
            Err("a module is named restart, as is a section of the agent's configuration; give it another name".to_owned())
        );
    }
}
