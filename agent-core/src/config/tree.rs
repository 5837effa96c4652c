//! The YAML text as a tree that knows the line of every key.
//!
//! The sections are read by serde from plain values, which have no lines; a path into this tree finds them again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, MessageFormatter, Options, Spanned, UserMessageFormatter};

use super::problem::Problem;

/// Nested lists and mappings: real files need 6, and every level costs stack.
const MAX_DEPTH: usize = 32;
/// Keys, values and lists, those that aliases repeat included: bounds what a small text can grow to.
const MAX_NODES: usize = 50_000;

/// One value of the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// The line, from 1: of the key, or of the item in a list. Where an alias or a merge brings the value in, the
    /// line of that.
    pub(super) line: Option<u64>,
    pub(super) content: Content,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Scalar(Value),
    List(Vec<Node>),
    /// Sorted by key, so that values made from it are written in the same order every time.
    Map(BTreeMap<String, Node>),
}

/// A text that is no YAML, or more of it than is accepted.
#[derive(Debug)]
pub(super) struct SyntaxError {
    location: Option<Location>,
    message: String,
}

impl SyntaxError {
    pub(super) fn into_problem(self, file: &Path) -> Problem {
        Problem {
            line: self.location.and_then(line),
            column: self.location.and_then(|at| Some(at.column()).filter(|column| *column > 0)),
            ..Problem::of_file(file, self.message)
        }
    }
}

impl Node {
    /// Reads `text`, in which duplicate keys, unknown tags, several documents and alias bombs are errors.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let node: Option<Self> =
            serde_saphyr::from_str_with_options(text, options()).map_err(|error| SyntaxError {
                location: error.location(),
                message: describe(&error),
            })?;
        Ok(node.unwrap_or(Self { line: None, content: Content::Scalar(Value::Null) }))
    }

    /// The value without the lines.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::to_value).collect(),
            Content::Map(entries) => Value::Object(to_object(entries)),
        }
    }

    /// For each value in the mappings of this one, an object that holds only that value at its place. Lists count as
    /// values. Reading them one by one finds all wrong values, where reading the whole stops at the first.
    pub(super) fn leaves(&self) -> Vec<Value> {
        match &self.content {
            Content::Map(entries) if !entries.is_empty() => entries
                .iter()
                .flat_map(|(key, child)| child.leaves().into_iter().map(move |leaf| (key, leaf)))
                .map(|(key, leaf)| Value::Object(Map::from_iter([(key.clone(), leaf)])))
                .collect(),
            Content::Map(_) | Content::List(_) | Content::Scalar(_) => vec![self.to_value()],
        }
    }

    /// The line of the value at `path` (`files[0].path`), or of the closest one around it.
    pub(super) fn line_of(&self, path: &str) -> Option<u64> {
        let (mut node, mut rest) = (self, path);
        while let Some((child, after)) = node.step(rest) {
            (node, rest) = (child, after);
        }
        node.line
    }

    fn step<'a>(&self, path: &'a str) -> Option<(&Self, &'a str)> {
        let path = path.strip_prefix('.').unwrap_or(path);
        match &self.content {
            Content::Scalar(_) => None,
            Content::List(items) => {
                let (index, after) = path.strip_prefix('[')?.split_once(']')?;
                Some((items.get(index.parse::<usize>().ok()?)?, after))
            }
            // The longest key that fits, because keys may contain the signs that separate keys.
            Content::Map(entries) => entries
                .iter()
                .filter_map(|(key, child)| Some((child, path.strip_prefix(key.as_str())?)))
                .filter(|(_, after)| after.is_empty() || after.starts_with(['.', '[']))
                .min_by_key(|(_, after)| after.len()),
        }
    }
}

/// The mapping as a plain object, its keys sorted.
pub(super) fn to_object(entries: &BTreeMap<String, Node>) -> Map<String, Value> {
    entries.iter().map(|(key, child)| (key.clone(), child.to_value())).collect()
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // `yes` and `0660` are words, not true and 660.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The error without its place, for people who know YAML but not the library.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library words its other 60 kinds of error")]
fn describe(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => describe(error),
        Error::Budget { .. } => format!(
            "is too large: more than {MAX_NODES} values with all aliases in place, or more than {MAX_DEPTH} levels deep"
        ),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key {key:?} stands here a second time")
        }
        Error::MultipleDocuments { .. } => {
            "a second YAML document starts here, expected only one".to_owned()
        }
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

fn line(location: Location) -> Option<u64> {
    Some(location.line()).filter(|line| *line > 0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { line: line(read.referenced), content: read.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Content, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("is not a finite number"))?;
        Ok(Content::Scalar(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = Node { line: line(key.referenced), content: entries.next_value()? };
            // The library compares keys as YAML does, which takes 1 and "1" for two. The line is part of the message
            // because an error made here has no place.
            if map.insert(key.value.clone(), node).is_some() {
                let line = key.referenced.line();
                let message =
                    format!("the key {:?} stands a second time in line {line}", key.value);
                return Err(A::Error::custom(message));
            }
        }
        Ok(Content::Map(map))
    }
}
