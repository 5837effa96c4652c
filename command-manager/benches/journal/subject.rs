//! What is measured: the calls of the crate that the bench makes, in one place.

use std::path::Path;
use std::sync::Arc;

use command_manager::{
    Acceptance, Change, CommandId, CommandManager, Envelope, Finish, Peer, Settings,
    SystemWallClock, parse_envelope,
};
use serde_json::json;

/// How many finished commands a full journal keeps.
pub(crate) const KEPT: u32 = 100_000;

/// Opens the journal at `path`, or makes it.
pub(crate) fn open(path: &Path) -> Result<Arc<CommandManager>, String> {
    // As the agent has them: one that gets every result, and one for whoever asks.
    let (reporters, reporters_on_demand) = (vec!["events".to_owned()], vec!["control".to_owned()]);
    let settings = Settings {
        keep_finished: KEPT,
        max_restarts_per_hour: 0,
        reporters,
        reporters_on_demand,
        ..Settings::default()
    };
    let opened = CommandManager::open(path, Arc::new(SystemWallClock), settings);
    let (manager, set_aside) = opened.map_err(|error| error.to_string())?;
    match set_aside {
        None => Ok(Arc::new(manager)),
        Some(aside) => Err(format!("the journal was found damaged: {}", aside.reason)),
    }
}

/// A command as a person on this machine sends it.
pub(crate) fn envelope() -> Result<Envelope, String> {
    let sent = json!({
        "command": { "name": "local_agent", "type": "restart-module" },
        "origin": { "moduleName": "client", "serverName": "" },
        "parameters": { "data": ["logcollector"], "error": 0, "extra_args": [], "status": "pending",
                        "reason": "the configuration of the module was changed" },
    });
    parse_envelope(sent.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// Makes a command durable, which must be new.
pub(crate) async fn accept(
    manager: &CommandManager,
    envelope: Envelope,
) -> Result<CommandId, String> {
    let peer = Peer {
        uid: 0,
        gid: 0,
        pid: Some(4242),
        executable: Some("/usr/bin/wazuh-agent".to_owned()),
    };
    match manager.accept(envelope, Some(peer)).await {
        Ok(Acceptance::New(record)) => Ok(record.id),
        Ok(Acceptance::Known(record)) => Err(format!("{} was known before", record.id)),
        Err(error) => Err(error.to_string()),
    }
}

/// How many entries the history of the newest command has.
pub(crate) async fn newest_history(manager: &CommandManager) -> Result<usize, String> {
    let newest = manager.list(1).await.map_err(|error| error.to_string())?;
    Ok(newest.first().map_or(0, |record| record.history.len()))
}

/// Ends a command, with all that an execution writes.
pub(crate) async fn finish(manager: &CommandManager, id: &CommandId) -> Result<(), String> {
    let finish = Finish::success("logcollector was restarted")
        .with_result(json!({ "restarted": ["logcollector"], "waited_ms": 12 }));
    match manager.finish(id, finish).await {
        Ok(Change::Made(_)) => Ok(()),
        Ok(Change::AlreadyFinished(_) | Change::Unknown) => Err(format!("{id} was not open")),
        Err(error) => Err(error.to_string()),
    }
}
