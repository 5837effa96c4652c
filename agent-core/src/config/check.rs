//! Checks a configuration section by section and collects every problem with its line.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use module_api::{ModuleKind, SectionError, parse_section};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::problem::{ConfigError, MAX_PROBLEMS, Problem};
use super::tree::{Content, Node, to_object};
use super::wording::{mismatch_of, reword, unknown_word};
use super::{
    CommandsConfig, Config, ModuleSection, RestartConfig, SupervisionConfig, digest, sections,
};

/// One check of one file.
pub(super) struct Check<'a> {
    file: &'a Path,
    root: &'a Node,
    /// At most [`MAX_PROBLEMS`].
    problems: Vec<Problem>,
    /// How many there are beyond these.
    more: usize,
}

impl<'a> Check<'a> {
    /// A check of the text that was read as `root` from `file`.
    pub(super) fn new(file: &'a Path, root: &'a Node) -> Self {
        Self { file, root, problems: Vec::new(), more: 0 }
    }

    /// Refuses what is neither one of the agent's sections nor one of `kinds`.
    pub(super) fn top_level(&mut self, kinds: &[Arc<dyn ModuleKind>]) {
        let names = kinds.iter().map(|kind| kind.name().as_str());
        for name in names.clone().filter(|name| sections::NAMES.contains(name)) {
            self.add(name, "", "a module must not have the name of a section of the agent");
        }
        let allowed: Vec<&str> = sections::NAMES.into_iter().chain(names).collect();
        match &self.root.content {
            Content::Map(entries) => {
                for key in entries.keys().filter(|key| !allowed.contains(&key.as_str())) {
                    self.add(key, "", &unknown_word("section", key, &allowed));
                }
            }
            Content::Scalar(Value::Null) => {}
            Content::Scalar(_) | Content::List(_) => {
                let message = mismatch_of(&self.root.to_value(), "sections such as restart:");
                let line = self.root.line;
                self.problems.push(Problem { line, ..Problem::of_file(self.file, message) });
            }
        }
    }

    /// The agent's own sections; the defaults of a section that has problems.
    pub(super) fn config(&mut self) -> Config {
        let restart = self.checked("restart", "timeout", RestartConfig::check);
        Config {
            agent: self.section("agent"),
            supervision: self.supervision(),
            commands: self.commands(&restart),
            restart,
            control: self.section("control"),
            events: self.section("events"),
        }
    }

    /// The section of `kind`, which has been asked whether it accepts it, also when it is switched off.
    pub(super) fn module(&mut self, kind: &dyn ModuleKind) -> ModuleSection {
        let name = kind.name().clone();
        let mut section = match self.mapping(name.as_str()).map(|node| &node.content) {
            Some(Content::Map(entries)) => to_object(entries),
            Some(Content::Scalar(_) | Content::List(_)) | None => Map::new(),
        };
        let enabled = match section.remove("enabled") {
            None => true,
            Some(Value::Bool(enabled)) => enabled,
            Some(other) => {
                self.add(name.as_str(), "enabled", &mismatch_of(&other, "true or false"));
                true
            }
        };
        let section = Value::Object(section);
        if let Err(errors) = kind.build(&section) {
            self.add_all(name.as_str(), &errors);
        }
        let digest = digest::module_digest(enabled, &section);
        ModuleSection { name, enabled, section, digest }
    }

    /// Whether nothing was wrong.
    pub(super) fn finish(mut self) -> Result<(), ConfigError> {
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(u64::MAX));
        if self.more > 0 {
            let message = format!("has {} more problems, which are not listed", self.more);
            self.problems.push(Problem::of_file(self.file, message));
        }
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(ConfigError { problems: self.problems }),
        }
    }

    fn commands(&mut self, restart: &RestartConfig) -> CommandsConfig {
        let section: CommandsConfig = self.section("commands");
        if let Err(error) = section.check(restart) {
            self.add("commands", error.key(), &error.to_string());
        }
        section
    }

    fn supervision(&mut self) -> SupervisionConfig {
        let section: SupervisionConfig = self.section("supervision");
        if let Err(error) = section.check() {
            self.add("supervision", error.key(), &error.to_string());
        }
        section
    }

    /// The section `name` if its values are good one by one and together; `key` is where the blame for the latter is
    /// put.
    fn checked<T: DeserializeOwned + Default, E: Display>(
        &mut self,
        name: &str,
        key: &str,
        check: impl FnOnce(&T) -> Result<(), E>,
    ) -> T {
        let section: T = self.section(name);
        if let Err(error) = check(&section) {
            self.add(name, key, &error.to_string());
        }
        section
    }

    /// The section `name`, or its defaults if it is not there or wrong.
    fn section<T: DeserializeOwned + Default>(&mut self, name: &str) -> T {
        let Some(node) = self.mapping(name) else { return T::default() };
        let leaves = node.leaves();
        let mut errors: Vec<SectionError> =
            leaves.iter().filter_map(|leaf| parse_section::<T>(leaf).err()).flatten().collect();
        // Several values below one unknown key are one problem.
        errors.dedup();
        if errors.is_empty() {
            match parse_section(&node.to_value()) {
                Ok(section) => return section,
                Err(error) => errors = error,
            }
        }
        self.add_all(name, &errors);
        T::default()
    }

    /// The section `name` if it is there and a mapping. One without any value, as left behind when all its keys are
    /// comments, counts as not there.
    fn mapping(&mut self, name: &str) -> Option<&'a Node> {
        let Content::Map(sections) = &self.root.content else { return None };
        let node = sections.get(name)?;
        match &node.content {
            Content::Map(_) => Some(node),
            Content::Scalar(Value::Null) => None,
            Content::Scalar(_) | Content::List(_) => {
                self.add(name, "", &mismatch_of(&node.to_value(), "a mapping of keys"));
                None
            }
        }
    }

    fn add_all(&mut self, section: &str, errors: &[SectionError]) {
        for error in errors {
            self.add(section, &error.path, &reword(&error.message));
        }
    }

    /// Notes that the value at `path` of `section` is wrong.
    fn add(&mut self, section: &str, path: &str, message: &str) {
        if self.problems.len() == MAX_PROBLEMS {
            self.more += 1;
            return;
        }
        let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        let key = format!("{section}{separator}{path}");
        let line = self.root.line_of(&key);
        self.problems.push(Problem {
            line,
            key: Some(key),
            ..Problem::of_file(self.file, message)
        });
    }
}
