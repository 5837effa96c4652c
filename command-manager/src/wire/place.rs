//! A place in the JSON of a command, which refuses what is wrong there by its path.

use jiff::Timestamp;
use serde_json::Value;

use super::moment::{self, MOMENT};
use super::{WireError, shortened};
use crate::CommandId;

/// How much of a wrong value an error repeats, in characters.
const SHOWN: usize = 60;

const ID: &str = "1 to 128 visible ASCII characters without spaces";

/// A path such as `parameters.extra_args[1]`, and what is there, if anything is.
#[derive(Clone)]
pub(super) struct Place<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Place<'a> {
    /// The command itself.
    pub(super) fn root(value: &'a Value) -> Result<Self, WireError> {
        if value.is_object() {
            Ok(Self { path: String::new(), value: Some(value) })
        } else {
            Err(refused("the command", Some(value), "a JSON object"))
        }
    }

    /// The field `key` of the object here. What is missing, or no object, has no fields.
    pub(super) fn field(&self, key: &str) -> Self {
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, value: self.value.and_then(|value| value.get(key)) }
    }

    /// The item `index` of the list here.
    pub(super) fn item(&self, index: usize) -> Self {
        let path = format!("{}[{index}]", self.path);
        Self { path, value: self.value.and_then(|value| value.get(index)) }
    }

    /// The same place with nothing there.
    pub(super) fn missing(&self) -> Self {
        Self { path: self.path.clone(), value: None }
    }

    /// Where this is, as errors show it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whatever is here.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.value
    }

    /// This place, where nothing or an object is.
    pub(super) fn object(self) -> Result<Self, WireError> {
        self.read("an object", Value::as_object)?;
        Ok(self)
    }

    /// The text here, if it is there.
    pub(super) fn text(&self) -> Result<Option<&'a str>, WireError> {
        self.read("a text", Value::as_str)
    }

    /// The text here, empty if it is not there.
    pub(super) fn owned_text(&self) -> Result<String, WireError> {
        Ok(self.text()?.unwrap_or_default().to_owned())
    }

    /// The yes or no here, if it is there.
    pub(super) fn flag(&self) -> Result<Option<bool>, WireError> {
        self.read("true or false", Value::as_bool)
    }

    /// The list here, if it is there.
    pub(super) fn list(&self) -> Result<Option<&'a [Value]>, WireError> {
        self.read("a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// The id of a command here, if it is there.
    pub(super) fn command_id(&self) -> Result<Option<CommandId>, WireError> {
        self.text()?.map(CommandId::new).transpose().map_err(|_| self.refuse(ID))
    }

    /// The id of a command here, which has to be there.
    pub(super) fn required_command_id(&self) -> Result<CommandId, WireError> {
        self.command_id()?.ok_or_else(|| self.refuse(ID))
    }

    /// The moment here, if it is there.
    pub(super) fn moment(&self) -> Result<Option<Timestamp>, WireError> {
        let Some(text) = self.text()? else { return Ok(None) };
        moment::parse(text).map(Some).ok_or_else(|| self.refuse(MOMENT))
    }

    /// Refuses what is no whole number. As in JSON Schema, `1.0` is one, and none is too large.
    pub(super) fn check_whole_number(&self) -> Result<(), WireError> {
        let whole = |value: &Value| value.as_f64().filter(|number| number.fract() == 0.0);
        self.read("a whole number", whole).map(drop)
    }

    /// The error for what is here, or for its absence.
    pub(super) fn refuse(&self, expected: &str) -> WireError {
        refused(&self.path, self.value, expected)
    }

    fn read<T>(
        &self,
        expected: &str,
        as_type: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        let Some(value) = self.value else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| self.refuse(expected))
    }
}

fn refused(path: &str, found: Option<&Value>, expected: &str) -> WireError {
    let text = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let (path, expected) = (path.to_owned(), expected.to_owned());
    WireError::Field { path, found: shortened(&text, SHOWN), expected }
}
