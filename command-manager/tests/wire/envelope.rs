//! The envelope: what is read, what is merged, and every way to be refused.

use command_manager::wire::{MAX_BODY, MAX_REASON};
use command_manager::{
    CommandId, CommandType, Envelope, Origin, Target, WireError, WireForm, parse_envelope,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(envelope: &Value) -> Result<Envelope, WireError> {
    parse_envelope(envelope.to_string().as_bytes())
}

fn with_parameters(kind: &str, parameters: &Value) -> Value {
    json!({"command": {"type": kind}, "parameters": parameters})
}

fn target_of(kind: &str, parameters: &Value) -> (CommandType, Target) {
    let envelope = parse(&with_parameters(kind, parameters)).unwrap();
    (envelope.kind, envelope.target)
}

fn modules<const N: usize>(names: [&str; N]) -> Target {
    Target::Modules(names.map(str::to_owned).into())
}

#[test]
fn the_documented_envelope_is_read() {
    let bytes = br#"{"command":{"name":"local_agent","type":"restart-agent"},"origin":{"moduleName":"client","serverName":""},
        "parameters":{"data":"all","error":0,"extra_args":[],"status":"pending"}}"#;
    let envelope = parse_envelope(bytes).unwrap();
    let expected = Envelope {
        form: WireForm::Envelope,
        id: None,
        name: "local_agent".into(),
        kind: CommandType::RestartAgent,
        target: Target::All,
        force: false,
        reason: None,
        origin: Origin {
            module_name: "client".into(),
            server_name: String::new(),
            user: String::new(),
        },
        expires_at: None,
        received: serde_json::from_slice(bytes).unwrap(),
    };
    assert_eq!(envelope, expected);
}

#[test]
fn only_the_type_has_to_be_there() {
    for kind in ["restart-agent", "reload", "stop", "check-config"] {
        let envelope = parse(&json!({"command": {"type": kind}})).unwrap();
        assert_eq!((envelope.kind.as_str(), envelope.target), (kind, Target::All));
    }
}

#[test]
fn fields_that_nobody_knows_are_kept() {
    let sent = json!({"id": "a", "command": {"type": "stop", "x": [1]}, "trace": {"y": null}});
    assert_eq!(parse(&sent).unwrap().received, sent);
}

#[test]
fn data_is_everything_one_module_or_several() {
    let restart = |data: Value| target_of("restart-module", &json!({"data": data}));
    assert_eq!(restart(json!("all")), (CommandType::RestartModule, Target::All));
    assert_eq!(restart(json!("fim")), (CommandType::RestartModule, modules(["fim"])));
    assert_eq!(
        restart(json!(["fim", "sca", "fim"])),
        (CommandType::RestartModule, modules(["fim", "sca"]))
    );
}

#[test]
fn a_restart_of_the_agent_that_names_modules_is_a_restart_of_those() {
    let expected = (CommandType::RestartModule, modules(["fim"]));
    assert_eq!(target_of("restart-agent", &json!({"data": "fim"})), expected);
    let extra = json!(["--module", "fim"]);
    assert_eq!(target_of("restart-agent", &json!({"extra_args": extra})), expected);
    assert_eq!(target_of("restart-agent", &json!({"data": "all", "extra_args": extra})), expected);
}

#[test]
fn extra_arguments_are_merged_with_the_fields() {
    let envelope = parse(&with_parameters(
        "restart-agent",
        &json!({"data": ["fim"], "extra_args": ["--module", "sca", "--force", "--reason", "new rules"]}),
    ))
    .unwrap();
    assert_eq!(envelope.target, modules(["fim", "sca"]));
    assert!(envelope.force);
    assert_eq!(envelope.reason.as_deref(), Some("new rules"));
    let fields = json!({"force": true, "reason": "by field"});
    let envelope = parse(&with_parameters("stop", &fields)).unwrap();
    assert!(envelope.force);
    assert_eq!(envelope.reason.as_deref(), Some("by field"));
}

/// The refusal of an envelope as `path: found …, expected …`.
fn refusal(envelope: &Value) -> String {
    let refused = parse(envelope).expect_err("the envelope should be refused");
    assert!(matches!(refused, WireError::Field { .. }), "{refused:?}");
    refused.to_string()
}

#[test]
fn a_wrong_envelope_is_refused_by_path() {
    let types = "one of restart-agent, restart-module, reload, stop, check-config";
    let id = "1 to 128 visible ASCII characters without spaces";
    let cases = [
        (json!([]), "the command: found [], expected a JSON object".to_owned()),
        (json!({}), format!("command.type: found nothing, expected {types}")),
        (json!({"command": 1}), "command: found 1, expected an object".to_owned()),
        (json!({"command": {"type": 1}}), "command.type: found 1, expected a text".to_owned()),
        (
            json!({"command": {"type": "reboot"}}),
            format!("command.type: found \"reboot\", expected {types}"),
        ),
        (
            json!({"command": {"type": "stop", "name": 1}}),
            "command.name: found 1, expected a text".to_owned(),
        ),
        (
            json!({"command": {"type": "stop"}, "origin": {"serverName": 1}}),
            "origin.serverName: found 1, expected a text".to_owned(),
        ),
        (
            json!({"command": {"type": "stop"}, "parameters": null}),
            "parameters: found null, expected an object".to_owned(),
        ),
        (json!({"command": {"type": "stop"}, "id": ""}), format!("id: found \"\", expected {id}")),
        (
            json!({"command": {"type": "stop"}, "id": "a b"}),
            format!("id: found \"a b\", expected {id}"),
        ),
        (json!({"command": {"type": "stop"}, "id": 7}), "id: found 7, expected a text".to_owned()),
    ];
    for (envelope, expected) in cases {
        assert_eq!(refusal(&envelope), expected);
    }
}

#[test]
fn wrong_parameters_are_refused_by_path() {
    let data = "\"all\", the name of a module or a list of such names";
    let name = "the name of a module (which is not \"all\")";
    let extra = "--module NAME, --force or --reason TEXT";
    let cases = [
        (json!({"data": 5}), format!("data: found 5, expected {data}")),
        (json!({"data": ""}), format!("data: found \"\", expected {data}")),
        (json!({"data": []}), format!("data: found [], expected {data}")),
        (json!({}), format!("data: found nothing, expected {data}")),
        (json!({"data": ["a", 5]}), format!("data[1]: found 5, expected {name}")),
        (json!({"data": ["all"]}), format!("data[0]: found \"all\", expected {name}")),
        (json!({"force": 1}), "force: found 1, expected true or false".to_owned()),
        (json!({"reason": 1}), "reason: found 1, expected a text".to_owned()),
        (json!({"status": 1}), "status: found 1, expected a text".to_owned()),
        (json!({"error": "x"}), "error: found \"x\", expected a whole number".to_owned()),
        (json!({"extra_args": "x"}), "extra_args: found \"x\", expected a list".to_owned()),
        (json!({"extra_args": ["-v"]}), format!("extra_args[0]: found \"-v\", expected {extra}")),
        (json!({"extra_args": [1]}), format!("extra_args[0]: found 1, expected {extra}")),
        (
            json!({"extra_args": ["--force", "--module"]}),
            format!("extra_args[2]: found nothing, expected {name}"),
        ),
        (
            json!({"extra_args": ["--module", "all"]}),
            format!("extra_args[1]: found \"all\", expected {name}"),
        ),
        (
            json!({"extra_args": ["--reason"]}),
            "extra_args[1]: found nothing, expected the text of the reason".to_owned(),
        ),
        (
            json!({"extra_args": ["--reason", "a", "--reason", "b"]}),
            "extra_args[2]: found \"--reason\", expected only one reason".to_owned(),
        ),
    ];
    for (mut parameters, expected) in cases {
        // Something to aim at, so that the refusal is the one that is meant.
        if !expected.starts_with("data") {
            parameters["data"] = json!("fim");
        }
        let refused = refusal(&with_parameters("restart-module", &parameters));
        assert_eq!(refused, format!("parameters.{expected}"));
    }
}

#[test]
fn a_reason_is_given_once_and_is_short() {
    let twice = json!({"reason": "a", "extra_args": ["--reason", "b"]});
    assert_eq!(
        refusal(&with_parameters("stop", &twice)),
        "parameters.extra_args[1]: found \"b\", expected no second reason, because parameters.reason is given"
    );
    let longest = "x".repeat(MAX_REASON);
    assert!(parse(&with_parameters("stop", &json!({"reason": longest}))).is_ok());
    let long = format!("{longest}x");
    for parameters in [json!({"reason": long}), json!({"extra_args": ["--reason", long]})] {
        let refused = refusal(&with_parameters("stop", &parameters));
        assert!(refused.ends_with("expected at most 1024 bytes"), "{refused}");
        assert!(refused.len() < 200, "the wrong text is shortened: {refused}");
    }
}

#[test]
fn a_whole_number_may_be_written_with_a_point_and_be_large() {
    for error in [json!(1.0), json!(-7), json!(u64::MAX), json!(1e300)] {
        assert!(parse(&with_parameters("stop", &json!({"error": error}))).is_ok(), "{error}");
    }
    assert_eq!(
        refusal(&with_parameters("stop", &json!({"error": 0.5}))),
        "parameters.error: found 0.5, expected a whole number"
    );
}

#[test]
fn as_many_modules_as_fit_into_a_command_are_read_without_comparing_each_with_each() {
    let names: Vec<_> = (0..100_000).map(|number| number.to_string()).collect();
    let (_, target) = target_of("restart-module", &json!({"data": names}));
    assert_eq!(target, Target::Modules(names));
}

#[test]
fn what_concerns_the_whole_agent_takes_no_modules() {
    for kind in ["reload", "stop", "check-config"] {
        assert_eq!(
            refusal(&with_parameters(kind, &json!({"data": ["fim"]}))),
            format!(
                "parameters.data: found [\"fim\"], expected \"all\", because {kind} concerns the whole agent"
            )
        );
        let extra = json!({"data": "all", "extra_args": ["--force", "--module", "fim"]});
        assert_eq!(
            refusal(&with_parameters(kind, &extra)),
            format!(
                "parameters.extra_args[2]: found \"fim\", expected no module, because {kind} concerns the whole agent"
            )
        );
    }
}

#[test]
fn bytes_that_are_no_good_json_are_refused_before_anything_is_read() {
    let large = vec![b'{'; MAX_BODY + 1];
    assert_eq!(parse_envelope(&large), Err(WireError::TooLarge { found: MAX_BODY + 1 }));
    assert_eq!(parse_envelope(b"\xff{}"), Err(WireError::NotUtf8 { offset: 0 }));
    let malformed = parse_envelope(b"{\"command\":\n}").unwrap_err();
    assert_eq!(malformed.to_string(), "the command is not JSON: expected value at line 2 column 1");
    let twice = parse_envelope(br#"{"command":{"type":"stop","type":"reload"}}"#).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "command.type: found the key twice, expected it once (line 1, column 32)"
    );
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(64), "]".repeat(64));
    assert!(matches!(parse_envelope(deep.as_bytes()), Err(WireError::TooDeep { .. })));
}

fn envelopes() -> impl Strategy<Value = (Value, CommandType, Target, bool, Option<String>)> {
    let names = prop::collection::btree_set("[a-z]{1,2}[0-9]", 1..4);
    let kinds = prop::sample::select(vec!["restart-agent", "restart-module"]);
    let id = prop::option::of("[!-~]{1,128}");
    let reason = prop::option::of(".{0,40}");
    (id, kinds, prop::option::of(names), any::<bool>(), reason).prop_map(
        |(id, kind, names, force, reason)| {
            let data = names.as_ref().map_or_else(|| json!("all"), |names| json!(names));
            let mut sent =
                json!({"command": {"type": kind}, "parameters": {"data": data, "force": force}});
            if let Some(id) = id {
                sent["id"] = json!(id);
            }
            if let Some(reason) = &reason {
                sent["parameters"]["reason"] = json!(reason);
            }
            let whole_agent = names.is_none() && kind == "restart-agent";
            let kind =
                if whole_agent { CommandType::RestartAgent } else { CommandType::RestartModule };
            let target =
                names.map_or(Target::All, |names| Target::Modules(names.into_iter().collect()));
            (sent, kind, target, force, reason)
        },
    )
}

proptest! {
    #[test]
    fn what_is_well_formed_is_read_as_it_was_meant((sent, kind, target, force, reason) in envelopes()) {
        let envelope = parse(&sent).unwrap();
        let id = sent.get("id").map(|id| CommandId::new(id.as_str().unwrap()).unwrap());
        prop_assert_eq!((envelope.id.clone(), envelope.kind, envelope.force), (id, kind, force));
        prop_assert_eq!((&envelope.target, &envelope.reason), (&target, &reason));
        prop_assert_eq!(&envelope.received, &sent);
        prop_assert_eq!(parse(&envelope.received), Ok(envelope));
    }
}
