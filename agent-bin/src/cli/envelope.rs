//! The envelope of a command that a person gives.

use serde_json::{Value, json};

/// The envelope of a command: `kind` asked of `target` (`"all"` or a list of names).
///
/// The id makes it safe to send it again when the answer was lost.
pub(super) fn envelope(
    id: &str,
    kind: &str,
    target: Value,
    reason: Option<&str>,
    force: bool,
) -> Value {
    let mut parameters = json!({
        "data": target,
        "error": 0,
        "extra_args": [],
        "status": "pending",
        "force": force,
    });
    if let Some(reason) = reason {
        parameters["reason"] = reason.into();
    }
    json!({
        "id": id,
        "command": { "name": "local_agent", "type": kind },
        "origin": { "moduleName": "cli", "serverName": "" },
        "parameters": parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_understands_the_envelope() {
        let sent = envelope("id-1", "restart-agent", json!(["fim"]), Some("new rules"), true);
        let read = command_manager::parse_envelope(sent.to_string().as_bytes()).unwrap();
        assert_eq!(read.id.unwrap().to_string(), "id-1");
        assert_eq!(read.kind, command_manager::CommandType::RestartModule);
        assert_eq!(read.target, command_manager::Target::Modules(vec!["fim".to_owned()]));
        assert_eq!((read.reason.as_deref(), read.force), (Some("new rules"), true));
        assert_eq!(read.origin.module_name, "cli");
    }

    #[test]
    fn without_modules_and_reason_it_is_about_the_whole_agent() {
        for kind in ["restart-agent", "reload", "stop"] {
            let sent = envelope("id-1", kind, json!("all"), None, false);
            let read = command_manager::parse_envelope(sent.to_string().as_bytes()).unwrap();
            assert_eq!(read.kind.as_str(), kind);
            assert_eq!((read.target, read.reason), (command_manager::Target::All, None));
        }
    }
}
