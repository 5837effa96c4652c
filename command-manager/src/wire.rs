//! The wire form of a command: the JSON envelope, checked in one step into parsed types.
//!
//! ```json
//! {"id": "optional", "command": {"name": "local_agent", "type": "restart-agent"},
//!  "origin": {"moduleName": "client", "serverName": ""},
//!  "parameters": {"data": "all", "error": 0, "extra_args": [], "status": "pending", "reason": "…", "force": false}}
//! ```
//! Only `command.type` has to be there. `parameters.status` and `parameters.error` belong to answers; in a request only
//! their JSON type is checked. Fields that are not known here are kept and sent back.

mod arguments;
mod envelope;
mod error;
mod extra;
mod place;
mod strict_json;

use serde_json::Value;

use crate::{CommandId, CommandType, Origin, Target};
pub use error::WireError;

/// The largest envelope, in bytes: far more than any command needs, and small enough to be held in memory.
pub const MAX_BODY: usize = 1024 * 1024;

/// How deep arrays and objects may lie in each other; the envelope itself is level 1.
pub const MAX_NESTING: usize = 64;

/// The longest reason, in bytes: it goes into every audit record.
pub const MAX_REASON: usize = 1024;

/// A command as it was asked, with every part checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The id the asker chose, if it chose one.
    pub id: Option<CommandId>,
    /// `command.name`; empty when not given. It decides nothing.
    pub name: String,
    /// What is asked. A `restart-agent` that names modules is [`CommandType::RestartModule`].
    pub kind: CommandType,
    /// Of whom.
    pub target: Target,
    /// Whether it may skip what would make it wait.
    pub force: bool,
    /// Why, in the asker's words.
    pub reason: Option<String>,
    /// Where it comes from, as the asker says.
    pub origin: Origin,
    /// The whole envelope as it came in. Numbers beyond 64 bits are kept as the nearest floating point number.
    pub received: Value,
}

/// Reads a command from its wire form. Pure: the same bytes always give the same answer. Never panics.
///
/// `parameters.extra_args` is merged in: `--module NAME` names a module and narrows `"data": "all"` to the modules
/// named, `--force` and `--reason TEXT` do what the fields of that name do.
///
/// # Errors
/// [`WireError`] says what was found where, and what is allowed there.
pub fn parse_envelope(bytes: &[u8]) -> Result<Envelope, WireError> {
    envelope::read(strict_json::read(bytes)?)
}

/// At most `limit` characters of `text`, and a sign where something was left out.
fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
