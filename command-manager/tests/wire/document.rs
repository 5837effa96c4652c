//! The document: what is read, how it maps to our own commands, and every way to be refused.

use command_manager::wire::{MAX_BODY, MAX_REASON};
use command_manager::{
    CommandId, CommandType, Envelope, Origin, Target, WireError, WireForm, parse_document,
};
use serde_json::{Value, json};

fn parse(document: &Value) -> Result<Envelope, WireError> {
    parse_document(document.to_string().as_bytes())
}

fn with_action(action: &Value) -> Value {
    json!({"document_id": "d-1", "action": action})
}

fn with_args(name: &str, args: &Value) -> Value {
    with_action(&json!({"name": name, "args": args}))
}

fn modules<const N: usize>(names: [&str; N]) -> Target {
    Target::Modules(names.map(str::to_owned).into())
}

/// The refusal of a document as `path: found …, expected …`.
fn refusal(document: &Value) -> String {
    let refused = parse(document).expect_err("the document should be refused");
    assert!(matches!(refused, WireError::Field { .. }), "{refused:?}");
    refused.to_string()
}

#[test]
fn the_documented_document_is_read() {
    let bytes = br#"{"document_id":"c-17","action":{"name":"restart-agent","version":"1.0","args":{"reason":"new rules"}},
        "source":"engine","user":"ana","target":{"type":"agent","id":"001"},"expires_at":"2026-01-31T08:30:00Z"}"#;
    let expected = Envelope {
        form: WireForm::Document,
        id: Some(CommandId::new("c-17").unwrap()),
        name: String::new(),
        kind: CommandType::RestartAgent,
        target: Target::All,
        force: false,
        reason: Some("new rules".into()),
        origin: Origin {
            module_name: "engine".into(),
            server_name: String::new(),
            user: "ana".into(),
        },
        expires_at: Some("2026-01-31T08:30:00Z".parse().unwrap()),
        received: serde_json::from_slice(bytes).unwrap(),
    };
    assert_eq!(parse_document(bytes), Ok(expected));
}

#[test]
fn only_id_and_name_have_to_be_there() {
    for (name, kind) in [
        ("restart-agent", CommandType::RestartAgent),
        ("reload", CommandType::Reload),
        ("stop", CommandType::Stop),
        ("check-config", CommandType::CheckConfig),
    ] {
        let read = parse(&with_action(&json!({"name": name}))).unwrap();
        assert_eq!((read.kind, read.target, read.force), (kind, Target::All, false));
        assert_eq!((read.reason, read.origin, read.expires_at), (None, Origin::default(), None));
    }
}

#[test]
fn the_names_that_servers_use_are_understood() {
    for (name, kind) in [
        ("restart", CommandType::RestartAgent),
        ("agent_restart", CommandType::RestartAgent),
        ("agent_reload", CommandType::Reload),
    ] {
        assert_eq!(parse(&with_args(name, &json!({}))).unwrap().kind, kind);
    }
}

#[test]
fn what_a_server_says_besides_is_kept_whatever_it_is() {
    let sent = json!({
        "document_id": "d", "action": {"name": "reload", "args": {"x": [1]}, "y": null},
        "target": {"type": "agent", "id": "001", "z": 1},
        "status": 7, "order_id": null, "request_id": ["r"], "timeout": "10m", "trace": {"span": 7},
    });
    assert_eq!(parse(&sent).unwrap().received, sent);
}

#[test]
fn a_restart_that_names_modules_is_a_restart_of_those() {
    for (name, args, named) in [
        ("restart", json!({"modules": "fim"}), modules(["fim"])),
        ("restart-agent", json!({"modules": ["fim", "sca", "fim"]}), modules(["fim", "sca"])),
        ("restart-module", json!({"modules": ["fim"]}), modules(["fim"])),
        ("restart-module", json!({"modules": "all"}), Target::All),
        ("agent_restart", json!(["--module", "sca"]), modules(["sca"])),
    ] {
        let read = parse(&with_args(name, &args)).unwrap();
        assert_eq!((read.kind, read.target), (CommandType::RestartModule, named), "{name} {args}");
    }
}

#[test]
fn arguments_are_an_object_or_a_list_and_mean_the_same() {
    let object = json!({"modules": ["fim"], "force": true, "reason": "new rules"});
    let list = json!(["--force", "--module", "fim", "--reason", "new rules"]);
    let [object, list] = [object, list].map(|args| parse(&with_args("restart", &args)).unwrap());
    assert!(object.force);
    assert_eq!(object.reason.as_deref(), Some("new rules"));
    assert_eq!(Envelope { received: object.received.clone(), ..list }, object);
}

#[test]
fn a_wrong_document_is_refused_by_path() {
    let names = "one of restart-agent, restart-module, reload, stop, check-config, restart, agent_restart, agent_reload";
    let id = "1 to 128 visible ASCII characters without spaces";
    let long = format!("\"{}…", "x".repeat(59));
    let action = json!({"name": "stop"});
    let cases = [
        (json!("x"), "the command: found \"x\", expected a JSON object".to_owned()),
        (json!({"action": action}), format!("document_id: found nothing, expected {id}")),
        (
            json!({"document_id": 7, "action": action}),
            "document_id: found 7, expected a text".to_owned(),
        ),
        (
            json!({"document_id": "", "action": action}),
            format!("document_id: found \"\", expected {id}"),
        ),
        (
            json!({"document_id": "x".repeat(129), "action": action}),
            format!("document_id: found {long}, expected {id}"),
        ),
        (json!({"document_id": "d"}), format!("action.name: found nothing, expected {names}")),
        (
            json!({"document_id": "d", "action": []}),
            "action: found [], expected an object".to_owned(),
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(refusal(&document), expected);
    }
    for (action, expected) in [
        (json!({"name": "reboot"}), format!("action.name: found \"reboot\", expected {names}")),
        (json!({"name": null}), "action.name: found null, expected a text".to_owned()),
        (
            json!({"name": "stop", "version": 1}),
            "action.version: found 1, expected a text".to_owned(),
        ),
    ] {
        assert_eq!(refusal(&with_action(&action)), expected);
    }
}

#[test]
fn a_wrong_field_beside_the_action_is_refused_by_path() {
    for (field, value, expected) in [
        ("source", json!(1), "source: found 1, expected a text"),
        ("user", json!(null), "user: found null, expected a text"),
        ("target", json!("001"), "target: found \"001\", expected an object"),
        ("target", json!({"type": "server"}), "target.type: found \"server\", expected \"agent\""),
        ("target", json!({"type": 1}), "target.type: found 1, expected a text"),
        ("target", json!({"id": 1}), "target.id: found 1, expected a text"),
        ("expires_at", json!(1_767_225_600), "expires_at: found 1767225600, expected a text"),
    ] {
        let mut document = with_action(&json!({"name": "stop"}));
        document[field] = value;
        assert_eq!(refusal(&document), expected);
    }
}

#[test]
fn wrong_arguments_are_refused_by_path() {
    let data = "\"all\", the name of a module or a list of such names";
    let name = "the name of a module (which is not \"all\")";
    let long = "x".repeat(MAX_REASON + 1);
    let shown = format!("\"{}…", "x".repeat(59));
    for (args, expected) in [
        (json!(null), ": found null, expected an object or a list of texts".to_owned()),
        (json!("fim"), ": found \"fim\", expected an object or a list of texts".to_owned()),
        (json!({}), format!(".modules: found nothing, expected {data}")),
        (json!({"modules": []}), format!(".modules: found [], expected {data}")),
        (json!({"modules": ["fim", 5]}), format!(".modules[1]: found 5, expected {name}")),
        (
            json!({"modules": "fim", "force": "yes"}),
            ".force: found \"yes\", expected true or false".to_owned(),
        ),
        (
            json!({"modules": "fim", "reason": long}),
            format!(".reason: found {shown}, expected at most 1024 bytes"),
        ),
        (
            json!(["--force"]),
            ": found [\"--force\"], expected --module NAME in it, because restart-module needs a module"
                .to_owned(),
        ),
        (json!(["--module"]), format!("[1]: found nothing, expected {name}")),
        (
            json!(["--module", "fim", "--verbose"]),
            "[2]: found \"--verbose\", expected --module NAME, --force or --reason TEXT".to_owned(),
        ),
        (
            json!(["--module", "fim", "--reason", long]),
            format!("[3]: found {shown}, expected at most 1024 bytes"),
        ),
    ] {
        assert_eq!(
            refusal(&with_args("restart-module", &args)),
            format!("action.args{expected}")
        );
    }
}

#[test]
fn what_concerns_the_whole_agent_takes_no_modules() {
    for (name, kind) in
        [("agent_reload", "reload"), ("stop", "stop"), ("check-config", "check-config")]
    {
        assert!(parse(&with_args(name, &json!({"modules": "all"}))).is_ok());
        assert_eq!(
            refusal(&with_args(name, &json!({"modules": "fim"}))),
            format!(
                "action.args.modules: found \"fim\", expected \"all\", because {kind} concerns the whole agent"
            )
        );
        assert_eq!(
            refusal(&with_args(name, &json!(["--module", "fim"]))),
            format!(
                "action.args[1]: found \"fim\", expected no module, because {kind} concerns the whole agent"
            )
        );
    }
}

#[test]
fn bytes_that_are_no_good_json_are_refused_before_anything_is_read() {
    let large = vec![b'{'; MAX_BODY + 1];
    assert_eq!(parse_document(&large), Err(WireError::TooLarge { found: MAX_BODY + 1 }));
    assert_eq!(parse_document(b"{\"\xff"), Err(WireError::NotUtf8 { offset: 2 }));
    assert!(matches!(parse_document(b"{"), Err(WireError::Malformed { line: 1, column: 1, .. })));
    let twice =
        parse_document(br#"{"action":{"name":"stop"},"document_id":"a","document_id":"b"}"#);
    assert_eq!(
        twice.unwrap_err().to_string(),
        "document_id: found the key twice, expected it once (line 1, column 57)"
    );
    let deep = format!(
        r#"{{"document_id":"a","action":{{"name":"stop","args":{}{}}}}}"#,
        "[".repeat(63),
        "]".repeat(63)
    );
    assert!(matches!(parse_document(deep.as_bytes()), Err(WireError::TooDeep { .. })));
}
