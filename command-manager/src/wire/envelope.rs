//! The first wire form: the envelope.

use serde_json::Value;

use super::arguments::{self, Places};
use super::place::Place;
use super::{Envelope, WireError, WireForm};
use crate::{CommandType, Origin};

/// Reads the envelope `received`.
pub(super) fn read(received: Value) -> Result<Envelope, WireError> {
    let root = Place::root(&received)?;
    let command = root.field("command").object()?;
    let kind = read_type(&command.field("type"))?;
    let asked = arguments::read(&read_parameters(&root)?, kind)?;
    Ok(Envelope {
        form: WireForm::Envelope,
        id: root.field("id").command_id()?,
        name: command.field("name").owned_text()?,
        kind: asked.kind,
        target: asked.target,
        force: asked.force,
        reason: asked.reason,
        origin: read_origin(&root.field("origin").object()?)?,
        expires_at: root.field("expires_at").moment()?,
        received,
    })
}

fn read_type(place: &Place<'_>) -> Result<CommandType, WireError> {
    let kind = place.text()?.and_then(CommandType::from_name);
    let known = || format!("one of {}", CommandType::ALL.map(CommandType::as_str).join(", "));
    kind.ok_or_else(|| place.refuse(&known()))
}

fn read_parameters<'a>(root: &Place<'a>) -> Result<Places<'a>, WireError> {
    let parameters = root.field("parameters").object()?;
    // They belong to answers; only their type is checked.
    parameters.field("status").text()?;
    parameters.field("error").check_whole_number()?;
    Ok(Places {
        blamed: parameters.field("data"),
        modules: parameters.field("data"),
        force: parameters.field("force"),
        reason: parameters.field("reason"),
        extra: parameters.field("extra_args"),
    })
}

fn read_origin(origin: &Place<'_>) -> Result<Origin, WireError> {
    Ok(Origin {
        module_name: origin.field("moduleName").owned_text()?,
        server_name: origin.field("serverName").owned_text()?,
        user: origin.field("user").owned_text()?,
    })
}
