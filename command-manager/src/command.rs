//! What a command asks for, of whom, and who asked.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What the agent is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandType {
    /// Restart the whole agent.
    RestartAgent,
    /// Restart modules, while the process stays.
    RestartModule,
    /// Read the configuration again and apply what changed.
    Reload,
    /// Stop the agent.
    Stop,
    /// Say whether the configuration would be accepted; changes nothing.
    CheckConfig,
}

impl CommandType {
    /// Every type there is.
    pub const ALL: [Self; 5] =
        [Self::RestartAgent, Self::RestartModule, Self::Reload, Self::Stop, Self::CheckConfig];

    /// The name in the wire form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RestartAgent => "restart-agent",
            Self::RestartModule => "restart-module",
            Self::Reload => "reload",
            Self::Stop => "stop",
            Self::CheckConfig => "check-config",
        }
    }

    /// The type of this wire name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for CommandType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the command is about. In JSON `"all"` or a list of module names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The whole agent.
    All,
    /// These modules: at least one, none twice, in the order in which they were named. Whether they exist is for the
    /// executor to say.
    Modules(Vec<String>),
}

impl Target {
    /// The word for the whole agent. No module can be called so.
    pub const ALL: &'static str = "all";
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str(Self::ALL),
            Self::Modules(names) => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Word(String),
            Names(Vec<String>),
        }
        match Form::deserialize(deserializer)? {
            Form::Word(word) if word == Self::ALL => Ok(Self::All),
            Form::Names(names) if !names.is_empty() => Ok(Self::Modules(names)),
            Form::Word(_) | Form::Names(_) => {
                Err(serde::de::Error::custom("expected \"all\" or a list of module names"))
            }
        }
    }
}

/// Where a command comes from, as the asker says. It proves nothing; [`Peer`] does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Origin {
    /// The component that made the command; empty when not given.
    pub module_name: String,
    /// The server that sent it; empty for local commands.
    pub server_name: String,
    /// The user of that server, or whoever else the asker acts for; empty when not given.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
}

/// Who asked over the local socket, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The effective user id when the peer connected.
    pub uid: u32,
    /// The effective group id when the peer connected.
    pub gid: u32,
    /// The process, if it is visible from here.
    pub pid: Option<i32>,
    /// The path of its executable, if it could be read.
    pub executable: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_type_is_the_same_in_json_and_in_text() {
        for kind in CommandType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(CommandType::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(CommandType::from_name("reboot"), None);
    }

    #[test]
    fn a_target_is_the_word_all_or_a_list() {
        for (target, json) in [
            (Target::All, r#""all""#),
            (Target::Modules(vec!["fim".into(), "sca".into()]), r#"["fim","sca"]"#),
        ] {
            assert_eq!(serde_json::to_string(&target).unwrap(), json);
            assert_eq!(serde_json::from_str::<Target>(json).unwrap(), target);
        }
        for json in ["[]", r#""fim""#, "5", "null"] {
            assert!(serde_json::from_str::<Target>(json).is_err(), "{json} was accepted");
        }
    }
}
