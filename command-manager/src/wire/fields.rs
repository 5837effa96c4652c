//! Reads the fields of a JSON object and refuses wrong ones by their path.

use serde_json::{Map, Value};

use super::{WireError, shortened};

/// How much of a wrong value an error repeats, in characters.
const SHOWN: usize = 60;

/// The fields of the object at `path` (empty for the envelope itself); an object that was left out has none.
pub(super) struct Fields<'a> {
    path: &'static str,
    fields: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The envelope itself.
    pub(super) fn root(value: &'a Value) -> Result<Self, WireError> {
        let fields = value
            .as_object()
            .ok_or_else(|| refused("the command", Some(value), "a JSON object"))?;
        Ok(Self { path: "", fields: Some(fields) })
    }

    /// The object under `key`.
    pub(super) fn object(&self, key: &'static str) -> Result<Fields<'a>, WireError> {
        Ok(Fields { path: key, fields: self.read(key, "an object", Value::as_object)? })
    }

    /// The text under `key`, if it is there.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, WireError> {
        self.read(key, "a text", Value::as_str)
    }

    /// The text under `key`, empty if it is not there.
    pub(super) fn owned_text(&self, key: &str) -> Result<String, WireError> {
        Ok(self.text(key)?.unwrap_or_default().to_owned())
    }

    /// The yes or no under `key`, if it is there.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, WireError> {
        self.read(key, "true or false", Value::as_bool)
    }

    /// The whole number under `key`, if it is there.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, WireError> {
        self.read(key, "a whole number", Value::as_i64)
    }

    /// The list under `key`, if it is there.
    pub(super) fn list(&self, key: &str) -> Result<Option<&'a [Value]>, WireError> {
        self.read(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// Whatever is under `key`.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.fields.and_then(|fields| fields.get(key))
    }

    /// The error for the value under `key`, or for its absence.
    pub(super) fn refuse(&self, key: &str, expected: &str) -> WireError {
        refused(&self.path_of(key), self.get(key), expected)
    }

    /// The error for `found`, which is what all parts together say about `key`.
    pub(super) fn refuse_merged(&self, key: &str, found: &Value, expected: &str) -> WireError {
        refused(&self.path_of(key), Some(found), expected)
    }

    /// The error for the item `index` of the list under `key`.
    pub(super) fn refuse_item(
        &self,
        key: &str,
        index: usize,
        found: Option<&Value>,
        expected: &str,
    ) -> WireError {
        refused(&format!("{}[{index}]", self.path_of(key)), found, expected)
    }

    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        as_type: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, WireError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| self.refuse(key, expected))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

fn refused(path: &str, found: Option<&Value>, expected: &str) -> WireError {
    let text = found.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let (path, expected) = (path.to_owned(), expected.to_owned());
    WireError::Field { path, found: shortened(&text, SHOWN), expected }
}
