//! JSON read more strictly than serde_json does by itself: no duplicate keys, bounded size and nesting.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{MAX_BODY, MAX_NESTING, WireError, shortened};

/// Reads one JSON value and nothing after it.
pub(super) fn read(bytes: &[u8]) -> Result<Value, WireError> {
    if bytes.len() > MAX_BODY {
        return Err(WireError::TooLarge { found: bytes.len() });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| WireError::NotUtf8 { offset: error.valid_up_to() })?;
    let refusal = RefCell::new(None);
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: 1, path: Path::Root, refusal: &refusal }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value));
    value.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        match refusal.into_inner() {
            Some(Refusal::DuplicateKey(path)) => WireError::DuplicateKey { path, line, column },
            Some(Refusal::TooDeep(path)) => WireError::TooDeep { path, line, column },
            None => WireError::Malformed { line, column, reason: error.to_string() },
        }
    })
}

/// What serde_json would have let through. It cannot carry it in its own error, so it is put aside.
enum Refusal {
    DuplicateKey(String),
    TooDeep(String),
}

/// The way from the root to a value, kept on the stack.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// The path as errors show it: a key may be as long as the whole envelope.
    fn shown(&self) -> String {
        shortened(&self.to_string(), 256)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Path::Root, key) => write!(f, "{}", key.escape_debug()),
            Self::Key(parent, key) => write!(f, "{parent}.{}", key.escape_debug()),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Reads the value at `path`, which lies `depth` levels deep if it is an array or an object.
struct Strict<'a> {
    depth: usize,
    path: Path<'a>,
    refusal: &'a RefCell<Option<Refusal>>,
}

impl Strict<'_> {
    fn refuse<E: Error>(&self, refusal: Refusal) -> E {
        self.refusal.replace(Some(refusal));
        // Only seen by serde_json, which adds the place to it.
        E::custom("refused")
    }

    fn check_depth<E: Error>(&self) -> Result<(), E> {
        if self.depth > MAX_NESTING {
            return Err(self.refuse(Refusal::TooDeep(self.path.shown())));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut values = Vec::new();
        loop {
            let path = Path::Index(&self.path, values.len());
            let seed = Strict { depth: self.depth + 1, path, refusal: self.refusal };
            match items.next_element_seed(seed)? {
                Some(value) => values.push(value),
                None => return Ok(Value::Array(values)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = Path::Key(&self.path, &key);
            if fields.contains_key(&key) {
                return Err(self.refuse(Refusal::DuplicateKey(path.shown())));
            }
            let seed = Strict { depth: self.depth + 1, path, refusal: self.refusal };
            let value = entries.next_value_seed(seed)?;
            fields.insert(key, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_value_is_read_as_it_is() {
        let value =
            json!({"a": [null, true, -1, 18_446_744_073_709_551_615u64, 1.5, "\u{e9}\n"], "b": {}});
        assert_eq!(read(value.to_string().as_bytes()), Ok(value));
    }

    #[test]
    fn the_same_key_in_two_objects_is_fine_and_twice_in_one_is_not() {
        assert_eq!(read(br#"{"a":{"x":1},"x":1}"#), Ok(json!({"a": {"x": 1}, "x": 1})));
        assert_eq!(
            read(b"{\"a\":[{\"x\":1,\n\"\\u0078\":2}]}"),
            Err(WireError::DuplicateKey { path: "a[0].x".into(), line: 2, column: 8 })
        );
    }

    #[test]
    fn sixty_four_levels_are_read_and_sixty_five_are_not() {
        let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels]].concat();
        assert!(read(&nested(64)).is_ok());
        let refused = read(&nested(65)).unwrap_err();
        assert_eq!(refused, WireError::TooDeep { path: "[0]".repeat(64), line: 1, column: 66 });
        let objects = [r#"{"a":"#.repeat(65), "1".into(), "}".repeat(65)].concat();
        assert!(matches!(read(objects.as_bytes()), Err(WireError::TooDeep { .. })));
    }

    #[test]
    fn a_long_key_is_shortened_in_the_refusal() {
        let key = "k".repeat(10_000);
        let refused = read(format!(r#"{{"{key}":1,"{key}":2}}"#).as_bytes()).unwrap_err();
        assert!(refused.to_string().len() < 400);
    }

    #[test]
    fn what_is_not_one_json_value_is_refused_with_its_place() {
        for (text, line, column) in
            [("", 1, 0), ("{\n \"a\" 1}", 2, 6), ("{} {}", 1, 4), ("[1,]", 1, 4), ("1e999", 1, 5)]
        {
            let refused = read(text.as_bytes()).unwrap_err();
            assert!(
                matches!(refused, WireError::Malformed { line: l, column: c, .. } if (l, c) == (line, column)),
                "{text:?}: {refused:?}"
            );
        }
    }

    #[test]
    fn size_and_encoding_are_checked_first() {
        let large = vec![b' '; MAX_BODY + 1];
        assert_eq!(read(&large), Err(WireError::TooLarge { found: MAX_BODY + 1 }));
        assert_eq!(read(b"{\"a\xff"), Err(WireError::NotUtf8 { offset: 3 }));
        let mut largest = vec![b' '; MAX_BODY - 2];
        largest.extend(b"{}");
        assert_eq!(read(&largest), Ok(json!({})));
    }
}
