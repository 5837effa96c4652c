//! The second wire form: the document, as servers send it.

use serde_json::Value;

use super::arguments::{self, Places};
use super::place::Place;
use super::{Envelope, WireError, WireForm};
use crate::{CommandType, Origin};

/// Names that servers use for what has another name here.
const ALIASES: [(&str, CommandType); 3] = [
    ("restart", CommandType::RestartAgent),
    ("agent_restart", CommandType::RestartAgent),
    ("agent_reload", CommandType::Reload),
];

/// Reads the document `received`.
pub(super) fn read(received: Value) -> Result<Envelope, WireError> {
    let root = Place::root(&received)?;
    let id = root.field("document_id").required_command_id()?;
    let action = root.field("action").object()?;
    let kind = read_name(&action.field("name"))?;
    // Nothing depends on it: an action that changes its meaning would get another name.
    action.field("version").text()?;
    let asked = arguments::read(&read_arguments(&action.field("args"))?, kind)?;
    check_target(&root.field("target").object()?)?;
    Ok(Envelope {
        form: WireForm::Document,
        id: Some(id),
        name: String::new(),
        kind: asked.kind,
        target: asked.target,
        force: asked.force,
        reason: asked.reason,
        origin: Origin {
            module_name: root.field("source").owned_text()?,
            server_name: String::new(),
            user: root.field("user").owned_text()?,
        },
        expires_at: root.field("expires_at").moment()?,
        received,
    })
}

fn read_name(place: &Place<'_>) -> Result<CommandType, WireError> {
    let name = place.text()?;
    let own = name.and_then(CommandType::from_name);
    let alias =
        || ALIASES.into_iter().find(|(alias, _)| Some(*alias) == name).map(|(_, kind)| kind);
    own.or_else(alias).ok_or_else(|| place.refuse(&known_names()))
}

fn known_names() -> String {
    let own = CommandType::ALL.map(CommandType::as_str);
    let aliases = ALIASES.map(|(alias, _)| alias);
    format!("one of {}, {}", own.join(", "), aliases.join(", "))
}

/// Where the arguments are: in the fields of an object, or all in a list.
fn read_arguments<'a>(args: &Place<'a>) -> Result<Places<'a>, WireError> {
    let (fields, extra, blamed) = match args.value() {
        Some(Value::Array(_)) => (args.missing(), args.clone(), args.clone()),
        Some(Value::Object(_)) | None => (args.clone(), args.missing(), args.field("modules")),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            return Err(args.refuse("an object or a list of texts"));
        }
    };
    Ok(Places {
        modules: fields.field("modules"),
        force: fields.field("force"),
        reason: fields.field("reason"),
        extra,
        blamed,
    })
}

/// Which agent it is for was decided by whoever brought it here; that it is for an agent at all is checked.
fn check_target(target: &Place<'_>) -> Result<(), WireError> {
    let kind = target.field("type");
    if kind.text()?.is_some_and(|kind| kind != "agent") {
        return Err(kind.refuse("\"agent\""));
    }
    target.field("id").text().map(drop)
}
