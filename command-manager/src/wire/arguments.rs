//! What a command asks beside its type: target, force and reason, merged from fields and extra arguments.

use std::collections::HashSet;

use serde_json::Value;

use super::extra::{self, Extra};
use super::place::Place;
use super::{MAX_REASON, WireError};
use crate::{CommandType, Target};

/// Where a wire form keeps what is merged here.
pub(super) struct Places<'a> {
    /// `"all"`, the name of a module, or a list of such names.
    pub(super) modules: Place<'a>,
    /// True or false.
    pub(super) force: Place<'a>,
    /// A text.
    pub(super) reason: Place<'a>,
    /// A list of texts like those of a command line.
    pub(super) extra: Place<'a>,
    /// What an error names when a module is needed and none is named: the field for modules, or the list of arguments
    /// where there is no field.
    pub(super) blamed: Place<'a>,
}

/// What a command asks, with everything merged.
pub(super) struct Asked {
    pub(super) kind: CommandType,
    pub(super) target: Target,
    pub(super) force: bool,
    pub(super) reason: Option<String>,
}

const DATA: &str = "\"all\", the name of a module or a list of such names";
const NEEDED: &str = "--module NAME in it, because restart-module needs a module";

/// The name of one module, as an error explains it.
pub(super) const NAME: &str = "the name of a module (which is not \"all\")";

/// Reads what is at `places`, for a command whose type is given as `kind`.
pub(super) fn read(places: &Places<'_>, kind: CommandType) -> Result<Asked, WireError> {
    let extra = extra::read(&places.extra)?;
    let (kind, target) = merge_target(places, kind, &extra)?;
    Ok(Asked {
        kind,
        target,
        force: places.force.flag()?.unwrap_or(false) || extra.force,
        reason: merge_reason(places, extra.reason)?,
    })
}

/// The modules named by a field; none when it says `"all"` or nothing.
fn read_modules<'a>(place: &Place<'a>) -> Result<Vec<&'a str>, WireError> {
    let Some(value) = place.value() else { return Ok(Vec::new()) };
    if let Some(word) = value.as_str() {
        return match word {
            Target::ALL => Ok(Vec::new()),
            "" => Err(place.refuse(DATA)),
            name => Ok(vec![name]),
        };
    }
    let items = value.as_array().filter(|items| !items.is_empty());
    let count = items.ok_or_else(|| place.refuse(DATA))?.len();
    (0..count).map(|index| module_name(&place.item(index))).collect()
}

/// The name of the one module at `place`.
pub(super) fn module_name<'a>(place: &Place<'a>) -> Result<&'a str, WireError> {
    let name = place.value().and_then(Value::as_str);
    name.filter(|name| !name.is_empty() && *name != Target::ALL).ok_or_else(|| place.refuse(NAME))
}

/// Modules named anywhere narrow the command to them, and then a restart is one of modules.
fn merge_target(
    places: &Places<'_>,
    kind: CommandType,
    extra: &Extra<'_>,
) -> Result<(CommandType, Target), WireError> {
    let field = read_modules(&places.modules)?;
    match kind {
        CommandType::RestartAgent | CommandType::RestartModule => {
            let named = field.into_iter().chain(extra.modules.iter().map(|(_, name)| *name));
            let mut seen = HashSet::new();
            let modules: Vec<_> = named.filter(|name| seen.insert(*name)).collect();
            if !modules.is_empty() {
                let modules = modules.into_iter().map(str::to_owned).collect();
                return Ok((CommandType::RestartModule, Target::Modules(modules)));
            }
            if kind == CommandType::RestartModule && places.modules.value().is_none() {
                let is_list = places.blamed.value().is_some();
                return Err(places.blamed.refuse(if is_list { NEEDED } else { DATA }));
            }
        }
        CommandType::Reload | CommandType::Stop | CommandType::CheckConfig => {
            if !field.is_empty() {
                let expected = format!("\"all\", because {kind} concerns the whole agent");
                return Err(places.modules.refuse(&expected));
            }
            if let Some((place, _)) = extra.modules.first() {
                let expected = format!("no module, because {kind} concerns the whole agent");
                return Err(place.refuse(&expected));
            }
        }
    }
    Ok((kind, Target::All))
}

fn merge_reason(
    places: &Places<'_>,
    extra: Option<(Place<'_>, &str)>,
) -> Result<Option<String>, WireError> {
    let limit = format!("at most {MAX_REASON} bytes");
    let field = places.reason.text()?;
    if field.is_some_and(|text| text.len() > MAX_REASON) {
        return Err(places.reason.refuse(&limit));
    }
    let Some((place, text)) = extra else { return Ok(field.map(str::to_owned)) };
    if field.is_some() {
        let given = places.reason.path();
        return Err(place.refuse(&format!("no second reason, because {given} is given")));
    }
    if text.len() > MAX_REASON {
        return Err(place.refuse(&limit));
    }
    Ok(Some(text.to_owned()))
}
