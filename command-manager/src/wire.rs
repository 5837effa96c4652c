//! The wire forms of a command: two shapes of JSON, checked in one step into the same parsed types.
//!
//! The envelope is what local clients send:
//! ```json
//! {"id": "optional", "command": {"name": "local_agent", "type": "restart-agent"},
//!  "origin": {"moduleName": "client", "serverName": ""}, "expires_at": "2026-01-31T08:30:00Z",
//!  "parameters": {"data": "all", "error": 0, "extra_args": [], "status": "pending", "reason": "…", "force": false}}
//! ```
//! Only `command.type` has to be there. `parameters.status` and `parameters.error` belong to answers; in a request only
//! their JSON type is checked.
//!
//! The document is what servers send:
//! ```json
//! {"document_id": "c-17", "action": {"name": "restart-agent", "version": "1.0", "args": {"reason": "…"}},
//!  "source": "engine", "user": "ana", "target": {"type": "agent", "id": "001"}, "expires_at": "2026-01-31T08:30:00Z"}
//! ```
//! Only `document_id` and `action.name` have to be there. `action.args` holds `modules` (like `parameters.data`),
//! `force` and `reason`, or is a list like `parameters.extra_args`. The names `restart`, `agent_restart` and
//! `agent_reload`, which servers use, are understood too.
//!
//! In both forms `null` is a value like any other and not the same as a missing field. Fields that are not known here
//! are kept and sent back. A command is answered in the form in which it came. For other programs the folder `schema`
//! has a JSON Schema of each form.

mod answer;
mod arguments;
mod document;
mod envelope;
mod error;
mod extra;
mod form;
mod moment;
mod place;
mod strict_json;

use jiff::Timestamp;
use serde_json::Value;

use crate::{CommandId, CommandType, Origin, Target};
pub use answer::{Answer, answer};
pub use error::WireError;
pub use form::WireForm;
use place::Place;

/// The largest command, in bytes: far more than any command needs, and small enough to be held in memory.
pub const MAX_BODY: usize = 1024 * 1024;

/// How deep arrays and objects may lie in each other; the command itself is level 1.
pub const MAX_NESTING: usize = 64;

/// The longest reason, in bytes: it goes into every audit record.
pub const MAX_REASON: usize = 1024;

/// A command as it was asked, with every part checked, whichever form it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// The form it came in, and in which it is answered.
    pub form: WireForm,
    /// The id the asker chose, if it chose one; a document always has one.
    pub id: Option<CommandId>,
    /// `command.name`; empty when not given, and in a document. It decides nothing.
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
    /// When it is no longer wanted, if the asker set an end. May lie in the past.
    pub expires_at: Option<Timestamp>,
    /// The whole command as it came in. Numbers beyond 64 bits are kept as the nearest floating point number.
    pub received: Value,
}

/// Reads a command in whichever form it is: a `document_id` or an `action` at the top makes it a document, everything
/// else is an envelope. Pure: the same bytes always give the same answer. Never panics.
///
/// # Errors
/// [`WireError`] says what was found where, and what is allowed there. A document that has a `command` too is refused,
/// because its sender may have meant either.
pub fn parse_command(bytes: &[u8]) -> Result<Envelope, WireError> {
    let received = strict_json::read(bytes)?;
    let root = Place::root(&received)?;
    let mark = ["document_id", "action"].into_iter().find(|key| root.field(key).value().is_some());
    let Some(mark) = mark else { return envelope::read(received) };
    let command = root.field("command");
    if command.value().is_some() {
        return Err(command.refuse(&format!("no command beside {mark}, to tell the form by")));
    }
    document::read(received)
}

/// Reads a command that is an envelope. Pure, and never panics.
///
/// `parameters.extra_args` is merged in: `--module NAME` names a module and narrows `"data": "all"` to the modules
/// named, `--force` and `--reason TEXT` do what the fields of that name do.
///
/// # Errors
/// [`WireError`] says what was found where, and what is allowed there.
pub fn parse_envelope(bytes: &[u8]) -> Result<Envelope, WireError> {
    envelope::read(strict_json::read(bytes)?)
}

/// Reads a command that is a document. Pure, and never panics.
///
/// `action.args` as a list means the same as `parameters.extra_args` of an envelope. `document_id` becomes the id of
/// the command, `source` and `user` its origin. `target.id` is not compared with anything: the document has come to
/// the agent that it is for.
///
/// # Errors
/// [`WireError`] says what was found where, and what is allowed there.
pub fn parse_document(bytes: &[u8]) -> Result<Envelope, WireError> {
    document::read(strict_json::read(bytes)?)
}

/// At most `limit` characters of `text`, and a sign where something was left out.
fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
