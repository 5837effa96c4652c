//! The descriptors that outlive the process: what is taken over from the one before, and what is kept for the next.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use module_api::SensorFd;
use restart::{DescriptorStore, Notifier, StartEnvironment, adopt, is_listening_unix_socket};

use super::RunError;
use super::core::{Core, Paths};
use crate::config::LoadedConfig;
use crate::control;
use crate::supervisor::sensors;

/// The name under which the control listener is handed over.
const CONTROL: &str = "control";

/// Takes over what the process before has left. What is not wanted, or is not what its name says, is closed and removed from
/// systemd's store, with a warning for each.
pub(super) fn take_over(
    environment: &StartEnvironment,
    notifier: &Notifier,
    paths: &Paths,
    config: &LoadedConfig,
) -> DescriptorStore {
    let socket = paths.socket(config);
    let adopted = adopt(environment, |name, fd| recognise(name, fd, &socket, config));
    let store = DescriptorStore::new(notifier.clone());
    store.take_over(adopted);
    store
}

fn recognise(name: &str, fd: &OwnedFd, socket: &Path, config: &LoadedConfig) -> Result<(), String> {
    if name == CONTROL {
        return recognise_listener(fd, socket);
    }
    let Some((module, sensor)) = sensors::parse(name) else {
        return Err("nothing of this name is handed over by this version".to_owned());
    };
    if !config.modules.iter().any(|section| section.enabled && section.name == module) {
        return Err(format!("there is no module {module}, or it is disabled"));
    }
    let copy = fd.try_clone().map_err(|error| error.to_string())?;
    SensorFd::new(sensor, copy).map(drop).map_err(|error| error.to_string())
}

fn recognise_listener(fd: &OwnedFd, socket: &Path) -> Result<(), String> {
    if !is_listening_unix_socket(fd, socket) {
        return Err(format!("it does not listen at {}", socket.display()));
    }
    // A socket whose file somebody has removed is bound anew: nobody could connect to it.
    let is_there = std::fs::symlink_metadata(socket).is_ok_and(|file| file.file_type().is_socket());
    is_there.then_some(()).ok_or_else(|| format!("{} does not lead to it", socket.display()))
}

/// The listener that was taken over, or a new one, which is kept from now on, so that not even SIGKILL closes it.
///
/// # Errors
/// [`RunError::Control`] when there is none and none can be made.
pub(super) fn listener(
    store: &DescriptorStore,
    paths: &Paths,
    config: &LoadedConfig,
) -> Result<UnixListener, RunError> {
    let socket = paths.socket(config);
    let taken_over = store.get(CONTROL).map_err(RunError::Serve)?;
    if let Some(listener) = taken_over {
        tracing::info!(socket = %socket.display(), "control socket adopted");
        return Ok(UnixListener::from(listener));
    }
    let listener = control::bind(&socket, config.config.control.mode)?;
    if let Err(error) = store.keep(CONTROL, listener.as_fd()) {
        tracing::warn!(%error, "the control socket is not kept; it is closed for a moment when the agent is killed");
    }
    Ok(listener)
}

/// Has the service manager prove that it keeps everything, and warns if it does not.
pub(super) async fn settle(core: &Core) {
    if let Err(reason) = core.controller.settle_descriptors().await {
        core.warn("descriptors_not_kept", &reason).await;
    }
}
