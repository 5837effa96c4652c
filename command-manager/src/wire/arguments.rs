//! The parameters of a command: target, force and reason, from the fields and from `extra_args`.

use serde_json::Value;

use super::fields::Fields;
use super::{MAX_REASON, WireError};
use crate::{CommandType, Target};

/// What a command asks, with everything merged.
pub(super) struct Asked {
    pub(super) kind: CommandType,
    pub(super) target: Target,
    pub(super) force: bool,
    pub(super) reason: Option<String>,
}

const DATA: &str = "\"all\", the name of a module or a list of such names";
const NAME: &str = "the name of a module (which is not \"all\")";
const EXTRA: &str = "--module NAME, --force or --reason TEXT";

/// Reads `parameters` of the envelope `root`, for a command whose type is given as `kind`.
pub(super) fn read(root: &Fields<'_>, kind: CommandType) -> Result<Asked, WireError> {
    let fields = root.object("parameters")?;
    fields.text("status")?;
    fields.integer("error")?;
    let extra = read_extra(&fields)?;
    let (kind, target) = merge_target(&fields, kind, extra.modules)?;
    Ok(Asked {
        kind,
        target,
        force: fields.flag("force")?.unwrap_or(false) || extra.force,
        reason: merge_reason(&fields, extra.reason)?,
    })
}

/// `parameters.data`: nothing, everything, or modules.
enum Data {
    Missing,
    All,
    Modules(Vec<String>),
}

fn read_data(fields: &Fields<'_>) -> Result<Data, WireError> {
    let Some(value) = fields.get("data") else { return Ok(Data::Missing) };
    if let Some(word) = value.as_str() {
        return match word {
            Target::ALL => Ok(Data::All),
            "" => Err(fields.refuse("data", DATA)),
            name => Ok(Data::Modules(vec![name.to_owned()])),
        };
    }
    let items = value.as_array().filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| fields.refuse("data", DATA))?;
    let name = |(index, item): (usize, &Value)| {
        module_name(item).ok_or_else(|| fields.refuse_item("data", index, Some(item), NAME))
    };
    Ok(Data::Modules(items.iter().enumerate().map(name).collect::<Result<_, _>>()?))
}

fn module_name(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    (!name.is_empty() && name != Target::ALL).then(|| name.to_owned())
}

#[derive(Default)]
struct Extra {
    modules: Vec<String>,
    force: bool,
    reason: Option<(usize, String)>,
}

fn read_extra(fields: &Fields<'_>) -> Result<Extra, WireError> {
    let items = fields.list("extra_args")?.unwrap_or_default();
    let refuse = |index: usize, expected: &str| {
        fields.refuse_item("extra_args", index, items.get(index), expected)
    };
    let mut extra = Extra::default();
    let mut index = 0;
    while let Some(item) = items.get(index) {
        match item.as_str() {
            Some("--force") => extra.force = true,
            Some("--module") => {
                index += 1;
                let name = items.get(index).and_then(module_name);
                extra.modules.push(name.ok_or_else(|| refuse(index, NAME))?);
            }
            Some("--reason") => {
                if extra.reason.is_some() {
                    return Err(refuse(index, "only one reason"));
                }
                index += 1;
                let text = items.get(index).and_then(Value::as_str);
                let text = text.ok_or_else(|| refuse(index, "the text of the reason"))?;
                extra.reason = Some((index, text.to_owned()));
            }
            Some(_) | None => return Err(refuse(index, EXTRA)),
        }
        index += 1;
    }
    Ok(extra)
}

/// Modules named anywhere narrow the command to them, and then a restart is one of modules.
fn merge_target(
    fields: &Fields<'_>,
    kind: CommandType,
    extra: Vec<String>,
) -> Result<(CommandType, Target), WireError> {
    let data = read_data(fields)?;
    let missing = matches!(data, Data::Missing);
    let mut modules = Vec::new();
    let named = if let Data::Modules(names) = data { names } else { Vec::new() };
    for name in named.into_iter().chain(extra) {
        if !modules.contains(&name) {
            modules.push(name);
        }
    }
    let restarts = matches!(kind, CommandType::RestartAgent | CommandType::RestartModule);
    match (modules.is_empty(), restarts) {
        (true, _) if missing && kind == CommandType::RestartModule => {
            Err(fields.refuse("data", DATA))
        }
        (true, _) => Ok((kind, Target::All)),
        (false, true) => Ok((CommandType::RestartModule, Target::Modules(modules))),
        (false, false) => {
            let expected = format!("\"all\", because {kind} concerns the whole agent");
            Err(fields.refuse_merged("data", &modules.into(), &expected))
        }
    }
}

fn merge_reason(
    fields: &Fields<'_>,
    extra: Option<(usize, String)>,
) -> Result<Option<String>, WireError> {
    let limit = format!("at most {MAX_REASON} bytes");
    let field = fields.text("reason")?;
    if field.is_some_and(|text| text.len() > MAX_REASON) {
        return Err(fields.refuse("reason", &limit));
    }
    let Some((index, text)) = extra else { return Ok(field.map(str::to_owned)) };
    let found = Value::from(text.as_str());
    if field.is_some() {
        let expected = "no second reason, because parameters.reason is given";
        return Err(fields.refuse_item("extra_args", index, Some(&found), expected));
    }
    if text.len() > MAX_REASON {
        return Err(fields.refuse_item("extra_args", index, Some(&found), &limit));
    }
    Ok(Some(text))
}
