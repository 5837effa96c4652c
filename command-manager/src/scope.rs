//! Which commands exclude each other, and which of those that wait is next.

use crate::CommandType;

/// What a command works on. Two commands of one scope are never under way together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The agent as a whole: excludes every other command, of every scope.
    Agent,
    /// Modules, while the process stays.
    Modules,
    /// The configuration file, which is only read.
    Configuration,
}

impl Scope {
    /// Whether commands of these scopes must not be under way together.
    #[must_use]
    pub fn excludes(self, other: Self) -> bool {
        self == other || self == Self::Agent || other == Self::Agent
    }
}

impl CommandType {
    /// What commands of this type work on.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::RestartAgent | Self::Stop => Scope::Agent,
            Self::RestartModule | Self::Reload => Scope::Modules,
            Self::CheckConfig => Scope::Configuration,
        }
    }
}

/// The command that may be begun now: the first in the order of acceptance that excludes nothing under way and nothing
/// that was accepted before it and still waits. So no command is overtaken by one that could keep it waiting.
///
/// `heads` holds the oldest waiting command of each type, as its place in that order and its type.
pub(crate) fn next(under_way: &[CommandType], heads: &[(i64, CommandType)]) -> Option<i64> {
    let mut heads = heads.to_vec();
    heads.sort_unstable_by_key(|(place, _)| *place);
    let mut before: Vec<Scope> = under_way.iter().map(|kind| kind.scope()).collect();
    for (place, kind) in heads {
        let scope = kind.scope();
        if !before.iter().any(|other| scope.excludes(*other)) {
            return Some(place);
        }
        before.push(scope);
    }
    None
}

#[cfg(test)]
mod tests {
    use CommandType::{CheckConfig, Reload, RestartAgent, RestartModule, Stop};

    use super::*;

    #[test]
    fn the_agent_excludes_everything_and_the_others_only_themselves() {
        let scopes = [Scope::Agent, Scope::Modules, Scope::Configuration];
        let excluded = scopes.map(|one| scopes.map(|other| u8::from(one.excludes(other))));
        assert_eq!(excluded, [[1, 1, 1], [1, 1, 0], [1, 0, 1]]);
    }

    #[test]
    fn the_oldest_is_next_when_nothing_is_under_way() {
        assert_eq!(next(&[], &[]), None);
        assert_eq!(next(&[], &[(7, Reload), (3, RestartAgent), (5, CheckConfig)]), Some(3));
    }

    #[test]
    fn a_check_of_the_configuration_does_not_wait_for_modules() {
        assert_eq!(next(&[RestartModule], &[(2, Reload), (3, CheckConfig)]), Some(3));
        assert_eq!(next(&[RestartModule, CheckConfig], &[(4, Reload), (5, CheckConfig)]), None);
    }

    #[test]
    fn nothing_overtakes_a_restart_that_waits() {
        let heads = [(2, RestartAgent), (3, CheckConfig), (4, RestartModule)];
        assert_eq!(next(&[RestartModule], &heads), None);
        assert_eq!(next(&[], &heads), Some(2));
    }

    #[test]
    fn nothing_is_begun_beside_a_restart_or_a_stop() {
        for kind in [RestartAgent, Stop] {
            assert_eq!(next(&[kind], &[(2, Reload), (3, CheckConfig), (4, Stop)]), None);
        }
    }
}
