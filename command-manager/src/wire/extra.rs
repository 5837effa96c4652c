//! Extra arguments: a list of texts like those of a command line, `--module NAME`, `--force` and `--reason TEXT`.

use serde_json::Value;

use super::WireError;
use super::arguments::module_name;
use super::place::Place;

/// What a list says.
#[derive(Default)]
pub(super) struct Extra<'a> {
    /// The modules in the order in which they are named, with the places of their names.
    pub(super) modules: Vec<(Place<'a>, &'a str)>,
    pub(super) force: bool,
    /// The reason, with the place of its text.
    pub(super) reason: Option<(Place<'a>, &'a str)>,
}

const SWITCH: &str = "--module NAME, --force or --reason TEXT";

/// Reads the list at `place`; a missing one says nothing.
pub(super) fn read<'a>(place: &Place<'a>) -> Result<Extra<'a>, WireError> {
    let count = place.list()?.map_or(0, <[Value]>::len);
    let mut extra = Extra::default();
    let mut index = 0;
    while index < count {
        let item = place.item(index);
        match item.value().and_then(Value::as_str) {
            Some("--force") => extra.force = true,
            Some("--module") => {
                index += 1;
                let named = place.item(index);
                let name = module_name(&named)?;
                extra.modules.push((named, name));
            }
            Some("--reason") => {
                if extra.reason.is_some() {
                    return Err(item.refuse("only one reason"));
                }
                index += 1;
                let given = place.item(index);
                let text = given.value().and_then(Value::as_str);
                let text = text.ok_or_else(|| given.refuse("the text of the reason"))?;
                extra.reason = Some((given, text));
            }
            Some(_) | None => return Err(item.refuse(SWITCH)),
        }
        index += 1;
    }
    Ok(extra)
}
