//! What a scripted module does when it is called, and how that is written in YAML.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// What a scripted module does when one of its methods is called.
///
/// In the configuration an act is a name (`ok`, `busy`, `fail`, `hang`, `panic`, `block`), `ok-after-ms: 500`, or another
/// act that comes later: `{after-ms: 500, then: fail}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Answers well: started, ready, saved, stopped.
    Ok,
    /// Answers busy to `ready_for_shutdown`; the same as `Ok` elsewhere.
    Busy,
    /// Fails; `ready_for_shutdown` cannot fail and answers busy.
    Fail,
    /// Never answers, but lets the runtime go on.
    Hang,
    /// Panics.
    Panic,
    /// Never answers and keeps its runtime thread for itself.
    Block,
    /// Waits this many milliseconds, then answers well.
    OkAfterMs(u64),
    /// Waits, then does something else; see [`Act::after_ms`].
    AfterMs(u64, Box<Act>),
}

impl Act {
    /// This act, `millis` milliseconds later.
    #[must_use]
    pub fn after_ms(self, millis: u64) -> Self {
        Self::AfterMs(millis, Box::new(self))
    }

    /// The acts of a method that fails until its `tries`-th call, which succeeds like all that follow. With 0 or 1 it
    /// never fails.
    #[must_use]
    pub fn fail_until(tries: usize) -> Vec<Self> {
        let mut acts = vec![Self::Fail; tries.saturating_sub(1)];
        acts.push(Self::Ok);
        acts
    }

    /// How long to wait, and what to do then.
    pub(super) fn unfold(&self) -> (Duration, &Self) {
        match self {
            Self::OkAfterMs(millis) => (Duration::from_millis(*millis), &Self::Ok),
            Self::AfterMs(millis, then) => {
                let (more, act) = then.unfold();
                (Duration::from_millis(*millis).saturating_add(more), act)
            }
            Self::Ok | Self::Busy | Self::Fail | Self::Hang | Self::Panic | Self::Block => {
                (Duration::ZERO, self)
            }
        }
    }
}

/// The acts that are written as a name alone.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Ok,
    Busy,
    Fail,
    Hang,
    Panic,
    Block,
}

impl From<Name> for Act {
    fn from(name: Name) -> Self {
        match name {
            Name::Ok => Self::Ok,
            Name::Busy => Self::Busy,
            Name::Fail => Self::Fail,
            Name::Hang => Self::Hang,
            Name::Panic => Self::Panic,
            Name::Block => Self::Block,
        }
    }
}

/// The acts that are written as a mapping.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Timed {
    ok_after_ms: Option<u64>,
    after_ms: Option<u64>,
    then: Option<Act>,
}

/// By hand, because what serde derives for "one of several shapes" does not say what was wrong with the one meant.
impl<'de> Deserialize<'de> for Act {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActVisitor)
    }
}

struct ActVisitor;

impl<'de> Visitor<'de> for ActVisitor {
    type Value = Act;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an act, `ok-after-ms: N`, or `{after-ms: N, then: ACT}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Act, E> {
        Name::deserialize(StrDeserializer::new(text)).map(Act::from)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Act, A::Error> {
        match Timed::deserialize(MapAccessDeserializer::new(map))? {
            Timed { ok_after_ms: Some(millis), after_ms: None, then: None } => {
                Ok(Act::OkAfterMs(millis))
            }
            Timed { ok_after_ms: None, after_ms: Some(millis), then: Some(act) } => {
                Ok(act.after_ms(millis))
            }
            Timed { .. } => Err(A::Error::custom(
                "an act with a delay is written `ok-after-ms: N` or `{after-ms: N, then: ACT}`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Result<Act, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn acts_are_read_as_they_are_written() {
        let written = [
            (json!("ok"), Act::Ok),
            (json!("busy"), Act::Busy),
            (json!("fail"), Act::Fail),
            (json!("hang"), Act::Hang),
            (json!("panic"), Act::Panic),
            (json!("block"), Act::Block),
            (json!({"ok-after-ms": 7}), Act::OkAfterMs(7)),
            (json!({"after-ms": 7, "then": "fail"}), Act::Fail.after_ms(7)),
            (json!({"after-ms": 7, "then": {"ok-after-ms": 3}}), Act::OkAfterMs(3).after_ms(7)),
        ];
        for (value, act) in written {
            assert_eq!(read(value), Ok(act));
        }
    }

    #[test]
    fn what_is_no_act_is_refused_with_what_is_one() {
        let names = "expected one of `ok`, `busy`, `fail`, `hang`, `panic`, `block`";
        let shapes =
            "an act with a delay is written `ok-after-ms: N` or `{after-ms: N, then: ACT}`";
        let refused = [
            (json!("hnag"), format!("unknown variant `hnag`, {names}")),
            (json!({"after-ms": 7, "then": "fial"}), format!("unknown variant `fial`, {names}")),
            (json!({"after-ms": 7}), shapes.to_owned()),
            (json!({"then": "ok"}), shapes.to_owned()),
            (json!({"ok-after-ms": 7, "after-ms": 1, "then": "ok"}), shapes.to_owned()),
            (
                json!({"before-ms": 7}),
                "unknown field `before-ms`, expected one of `ok-after-ms`, `after-ms`, `then`".to_owned(),
            ),
            (
                json!(7),
                "invalid type: integer `7`, expected the name of an act, `ok-after-ms: N`, or `{after-ms: N, then: ACT}`"
                    .to_owned(),
            ),
        ];
        for (value, message) in refused {
            assert_eq!(read(value), Err(message));
        }
    }

    #[test]
    fn a_method_that_succeeds_at_its_third_call_fails_twice() {
        assert_eq!(Act::fail_until(3), [Act::Fail, Act::Fail, Act::Ok]);
        assert_eq!(Act::fail_until(1), [Act::Ok]);
        assert_eq!(Act::fail_until(0), [Act::Ok]);
    }

    #[test]
    fn delays_within_delays_add_up() {
        let act = Act::OkAfterMs(3).after_ms(7);
        assert_eq!(act.unfold(), (Duration::from_millis(10), &Act::Ok));
    }
}
