//! Commands around the edges of what the parsers accept: good ones, and those with one or two fields changed.

use command_manager::WireForm;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A field: its path, values that are good there, and values that are only nearly good.
struct Field {
    path: Path,
    good: Vec<Value>,
    near: Vec<Value>,
}

type Path = &'static [&'static str];

/// Commands in the form `form`.
pub(crate) fn commands(form: WireForm) -> impl Strategy<Value = Value> {
    let fields = fields(form);
    let near = fields.iter().flat_map(|field| field.near.iter().map(|value| (field.path, value)));
    let near: Vec<_> = near.map(|(path, value)| (path, Some(value.clone()))).collect();
    let mut paths: Vec<_> = fields.iter().map(|field| field.path).collect();
    paths.extend(containers(form));
    let anything = (select(paths), prop::option::weighted(0.8, edge()));
    let changes = prop::collection::vec(prop_oneof![select(near), anything], 0..3);
    let good: Vec<_> = fields.into_iter().map(one_of_the_good).collect();
    (good, changes).prop_map(|(good, changes)| {
        let mut command = json!({});
        let good = good.into_iter().flatten();
        for (path, value) in good.map(|(path, value)| (path, Some(value))).chain(changes) {
            put(&mut command, path, value);
        }
        command
    })
}

/// One of the good values, or nothing; the fields that have to be there mostly are.
fn one_of_the_good(field: Field) -> impl Strategy<Value = Option<(Path, Value)>> {
    let path = field.path;
    let required =
        [["command", "type"].as_slice(), &["document_id"], &["action", "name"]].contains(&path);
    prop::option::weighted(if required { 0.99 } else { 0.4 }, select(field.good))
        .prop_map(move |value| value.map(|value| (path, value)))
}

/// Puts `value` at `path`, or takes away what is there; leaves the command as it is where a part of the path is no
/// object.
fn put(command: &mut Value, path: &[&str], value: Option<Value>) {
    let Some((key, parents)) = path.split_last() else {
        *command = value.unwrap_or_default();
        return;
    };
    let mut here = command;
    for parent in parents {
        let Value::Object(fields) = here else { return };
        here = fields.entry(*parent).or_insert_with(|| Map::new().into());
    }
    match (here, value) {
        (Value::Object(fields), Some(value)) => drop(fields.insert((*key).to_owned(), value)),
        (Value::Object(fields), None) => drop(fields.remove(*key)),
        (_, _) => (),
    }
}

fn field(path: Path, good: Value, near: Value) -> Field {
    let items = |list: Value| list.as_array().cloned().unwrap_or_default();
    Field { path, good: items(good), near: items(near) }
}

fn text(path: Path) -> Field {
    field(path, json!(["", "x"]), json!([null, 7, ["x"], {}]))
}

fn fields(form: WireForm) -> Vec<Field> {
    match form {
        WireForm::Envelope => vec![
            id(&["id"]),
            moment(&["expires_at"]),
            kind(&["command", "type"], &[]),
            text(&["command", "name"]),
            text(&["origin", "moduleName"]),
            text(&["origin", "serverName"]),
            text(&["origin", "user"]),
            text(&["parameters", "status"]),
            field(
                &["parameters", "error"],
                json!([0, -1, 1.0, 1e300]),
                json!([0.5, -1e-300, "0", null]),
            ),
            modules(&["parameters", "data"]),
            flag(&["parameters", "force"]),
            reason(&["parameters", "reason"]),
            extra_arguments(&["parameters", "extra_args"]),
        ],
        WireForm::Document => vec![
            id(&["document_id"]),
            moment(&["expires_at"]),
            kind(&["action", "name"], &["restart", "agent_restart", "agent_reload"]),
            text(&["action", "version"]),
            // A list of arguments leaves no room for the fields that follow.
            extra_arguments(&["action", "args"]),
            modules(&["action", "args", "modules"]),
            flag(&["action", "args", "force"]),
            reason(&["action", "args", "reason"]),
            text(&["source"]),
            text(&["user"]),
            field(&["target", "type"], json!(["agent"]), json!(["Agent", "", null])),
            text(&["target", "id"]),
        ],
    }
}

/// The objects that hold fields; the first one is the command itself.
fn containers(form: WireForm) -> Vec<&'static [&'static str]> {
    match form {
        WireForm::Envelope => vec![&[], &["command"], &["origin"], &["parameters"]],
        WireForm::Document => vec![&[], &["action"], &["action", "args"], &["target"]],
    }
}

fn id(path: Path) -> Field {
    let good = json!(["!", "c-1", "~".repeat(128)]);
    field(path, good, json!(["", " ", "a b", "\u{7f}", "\u{e9}", "a\n", "x".repeat(129), 7]))
}

fn kind(path: Path, more: &[&str]) -> Field {
    let own = ["restart-agent", "restart-module", "reload", "stop", "check-config"];
    let near = json!(["Stop", "stop ", "", "reboot", "restart_agent", null, ["stop"]]);
    field(path, json!([&own, more].concat()), near)
}

fn modules(path: Path) -> Field {
    let good = json!(["all", "all", "fim", ["fim", "sca", "fim"]]);
    field(path, good, json!(["", [], ["all"], [""], ["fim", 7], ["fim", "all"], {}, null]))
}

fn flag(path: Path) -> Field {
    field(path, json!([true, false]), json!([0, "true", null]))
}

fn reason(path: Path) -> Field {
    let good = json!(["", "new rules", "x".repeat(1024), "\u{e9}".repeat(512)]);
    field(path, good, json!(["x".repeat(1025), "\u{e9}".repeat(513), 7, null]))
}

fn extra_arguments(path: Path) -> Field {
    let good = json!([
        [],
        ["--force"],
        ["--module", "fim"],
        ["--reason", "--force", "--force"],
        ["--module", "--reason", "--reason", ""],
    ]);
    let near = json!([
        ["--verbose"],
        ["fim"],
        [7],
        ["--force", 7],
        ["--module"],
        ["--module", 7],
        ["--module", ""],
        ["--reason", "--module"],
        ["--reason", "a", "--reason", "b"],
        "--force",
        null,
    ]);
    field(path, good, near)
}

fn moment(path: Path) -> Field {
    let good = json!([
        "2026-01-31T08:30:00Z",
        "2024-02-29t23:59:59.123456789z",
        "0000-01-01T00:00:00-23:59",
        "9999-12-31T23:59:59.9+00:00",
    ]);
    let near = json!([
        "2026-02-29T08:30:00Z",
        "2026-01-31T24:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-01-31T08:30:00.1234567890Z",
        "2026-01-31T08:30:00.Z",
        "2026-01-31T08:30:00+24:00",
        "2026-01-31T08:30:00",
        "2026-01-31 08:30:00Z",
        "2026-01-31",
        "",
        1_767_225_600,
        null,
    ]);
    field(path, good, near)
}

/// Any value, mostly one that is good or nearly good somewhere.
fn edge() -> impl Strategy<Value = Value> {
    let texts = select(vec![
        "",
        "all",
        "ALL",
        "fim",
        "a b",
        "\u{7f}",
        "\u{e9}",
        "agent",
        "Agent",
        "restart",
        "Reload",
        "restart-module",
        "agent_reload",
        "stop",
        "stop ",
        "null",
        "--force",
        "1",
    ]);
    let lists = prop::collection::vec(
        select(vec![
            json!("--module"),
            json!("--force"),
            json!("--reason"),
            json!("fim"),
            json!("all"),
            json!(""),
            json!("--verbose"),
            json!(1),
            json!(null),
            json!("x".repeat(1025)),
        ]),
        0..5,
    );
    let moment = "(0000|2023|2024|2100|9999)-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?([Zz]|[+-][0-2][0-9]:?[0-6][0-9]|)";
    prop_oneof![
        texts.prop_map(Value::from),
        lists.prop_map(Value::from),
        moment.prop_map(Value::from),
        "[ -~\u{e9}]{0,3}".prop_map(Value::from),
        "[!-~]{127,130}".prop_map(Value::from),
        ("[x\u{e9}\u{1f600}]", select(vec![255usize, 256, 257, 512, 513, 1023, 1024, 1025]))
            .prop_map(|(letter, count)| letter.repeat(count).into()),
        select(vec![
            json!(null),
            json!(true),
            json!({}),
            json!({"x": 1}),
            json!([{}]),
            json!([[]])
        ]),
        select(vec![json!(0), json!(-0.0), json!(0.5), json!(1.0), json!(1e300), json!(u64::MAX)]),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ]
}
