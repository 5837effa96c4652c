//! The rules that the parsers have and a JSON Schema cannot express.

use command_manager::wire::{MAX_NESTING, MAX_REASON};
use command_manager::{WireError, WireForm};
use serde_json::{Value, json};

/// One of them.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    /// Whether a refusal is one by this rule.
    refuses: fn(&Refusal<'_>) -> bool,
    /// A command that breaks this rule alone.
    pub(crate) witness: fn(WireForm) -> Value,
}

/// What the parser of a form said.
enum Refusal<'a> {
    Nesting,
    /// Of the extra argument with this number, where all of them are texts.
    Argument {
        at: usize,
        expected: &'a str,
    },
    /// Of a reason that has no more characters than it may have bytes.
    Reason {
        expected: &'a str,
    },
    /// Of the absence of a module, although an extra argument reads `--module`.
    NoModule,
}

pub(crate) const RULES: [Rule; 9] = [
    Rule {
        name: "nesting is bounded",
        refuses: |refusal| matches!(refusal, Refusal::Nesting),
        witness: |form| {
            let mut command = with_extra(form, "stop", json!([]));
            command["trace"] = (1..MAX_NESTING).fold(json!([]), |inner, _| json!([inner]));
            command
        },
    },
    Rule {
        name: "a reason is measured in bytes and not in characters",
        refuses: |refusal| matches!(refusal, Refusal::Reason { expected: "at most 1024 bytes" }),
        witness: |form| with_reason(form, "\u{e9}".repeat(MAX_REASON)),
    },
    Rule {
        name: "among the extra arguments a reason is short, and a module need not be",
        refuses: |refusal| {
            matches!(refusal, Refusal::Argument { expected: "at most 1024 bytes", .. })
        },
        witness: |form| {
            let long = "x".repeat(MAX_REASON + 1);
            with_extra(form, "stop", json!(["--reason", long]))
        },
    },
    Rule {
        name: "--module has a name behind it",
        refuses: |refusal| {
            let name = "the name of a module (which is not \"all\")";
            matches!(refusal, Refusal::Argument { at: 1.., expected } if *expected == name)
        },
        witness: |form| with_extra(form, "restart-agent", json!(["--module"])),
    },
    Rule {
        name: "--reason has a text behind it",
        refuses: |refusal| {
            matches!(refusal, Refusal::Argument { at: 1.., expected: "the text of the reason" })
        },
        witness: |form| with_extra(form, "stop", json!(["--reason"])),
    },
    Rule {
        name: "behind a complete extra argument another one begins",
        refuses: |refusal| {
            let switch = "--module NAME, --force or --reason TEXT";
            matches!(refusal, Refusal::Argument { at: 1.., expected } if *expected == switch)
        },
        witness: |form| with_extra(form, "stop", json!(["--force", "fim"])),
    },
    Rule {
        name: "there is one reason",
        refuses: |refusal| {
            let field = "no second reason, because parameters.reason is given";
            matches!(refusal, Refusal::Argument { expected, .. } if ["only one reason", field].contains(expected))
        },
        witness: |form| with_extra(form, "stop", json!(["--reason", "a", "--reason", "b"])),
    },
    Rule {
        name: "the extra arguments of a command for the whole agent name no module",
        refuses: |refusal| matches!(refusal, Refusal::Argument { expected, .. } if expected.starts_with("no module, because ")),
        witness: |form| with_extra(form, "stop", json!(["--module", "fim"])),
    },
    Rule {
        name: "a reason that reads --module names no module",
        refuses: |refusal| matches!(refusal, Refusal::NoModule),
        witness: |form| with_extra(form, "restart-module", json!(["--reason", "--module"])),
    },
];

/// The rule by which `command` was refused, if it is one of those.
pub(crate) fn rule_of(form: WireForm, command: &Value, error: &WireError) -> Option<&'static str> {
    let refusal = match error {
        WireError::TooDeep { .. } => Refusal::Nesting,
        WireError::Field { path, found, expected } => {
            refusal_of_field(form, command, path, found, expected)?
        }
        WireError::TooLarge { .. }
        | WireError::NotUtf8 { .. }
        | WireError::Malformed { .. }
        | WireError::DuplicateKey { .. } => return None,
    };
    RULES.iter().find(|rule| (rule.refuses)(&refusal)).map(|rule| rule.name)
}

fn refusal_of_field<'a>(
    form: WireForm,
    command: &Value,
    path: &str,
    found: &str,
    expected: &'a str,
) -> Option<Refusal<'a>> {
    let (list, reason, modules) = match form {
        WireForm::Envelope => ("parameters.extra_args", "parameters.reason", "parameters.data"),
        WireForm::Document => ("action.args", "action.args.reason", "action.args"),
    };
    let at = |path: &str| command.pointer(&format!("/{}", path.replace('.', "/")));
    let extra = at(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if let Some(index) = path.strip_prefix(list).and_then(|rest| rest.strip_prefix('[')) {
        let at = index.strip_suffix(']')?.parse().ok()?;
        return extra.iter().all(Value::is_string).then_some(Refusal::Argument { at, expected });
    }
    if path == reason {
        let characters = at(path)?.as_str()?.chars().count();
        return (characters <= MAX_REASON).then_some(Refusal::Reason { expected });
    }
    let named = found == "nothing" || form == WireForm::Document;
    (path == modules && named && extra.contains(&json!("--module"))).then_some(Refusal::NoModule)
}

fn with_extra(form: WireForm, kind: &str, extra: Value) -> Value {
    match form {
        WireForm::Envelope => {
            json!({"command": {"type": kind}, "parameters": {"extra_args": extra}})
        }
        WireForm::Document => json!({"document_id": "d", "action": {"name": kind, "args": extra}}),
    }
}

fn with_reason(form: WireForm, reason: String) -> Value {
    match form {
        WireForm::Envelope => {
            json!({"command": {"type": "stop"}, "parameters": {"reason": reason}})
        }
        WireForm::Document => {
            json!({"document_id": "d", "action": {"name": "stop", "args": {"reason": reason}}})
        }
    }
}
