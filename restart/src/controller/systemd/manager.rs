//! Finds the service manager and the unit that this process is the main process of.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use zbus::connection::Builder;
use zbus::{Connection, OwnedObjectPath, OwnedVariant};

use super::private::PrivateSocket;
use crate::StartEnvironment;

pub(super) const DESTINATION: &str = "org.freedesktop.systemd1";
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
pub(super) const SERVICE: &str = "org.freedesktop.systemd1.Service";

const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
const SYSTEM_PRIVATE: &str = "/run/systemd/private";
/// A manager answers in milliseconds; one that reloads its units may take a second or two.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// systemd could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// No way leads to a manager that knows this process.
    #[error("no unit of this process was found: {0}")]
    Unreachable(String),
    /// A call failed.
    #[error("systemd refused {call}: {source}")]
    Call {
        /// The method or property.
        call: String,
        /// What it said.
        source: zbus::Error,
    },
}

/// The unit of this process and the connection over which it was found.
#[derive(Debug)]
pub(super) struct OwnUnit {
    pub(super) connection: Connection,
    /// Whether it is a unit of the user's own manager.
    pub(super) of_user: bool,
    pub(super) path: OwnedObjectPath,
    pub(super) id: String,
}

/// One way to a manager.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    of_user: bool,
    socket: Socket,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    /// A message bus.
    Bus(PathBuf),
    /// A message bus by its address.
    BusAddress(String),
    /// The manager's own socket, without a bus in between; root or the user only.
    Private(PathBuf),
}

/// Asks the system's manager and then the user's, each over the bus and then directly, which unit this process belongs
/// to, and takes the one whose main process it is. To belong is not enough: for the system's manager every process of a
/// user belongs to the unit that runs the user's manager.
pub(super) async fn find_own_unit(environment: &StartEnvironment) -> Result<OwnUnit, SystemdError> {
    let mut reasons = Vec::new();
    for way in ways(environment, rustix::process::getuid().as_raw()) {
        match ask(&way, environment.pid).await {
            Ok(unit) => return Ok(unit),
            Err(reason) => reasons.push(format!("{:?}: {reason}", way.socket)),
        }
    }
    Err(SystemdError::Unreachable(reasons.join("; ")))
}

fn ways(environment: &StartEnvironment, uid: u32) -> Vec<Way> {
    let runtime_dir = environment
        .runtime_dir
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("/run/user/{uid}")));
    let session = match &environment.session_bus {
        Some(address) => Socket::BusAddress(address.clone()),
        None => Socket::Bus(runtime_dir.join("bus")),
    };
    vec![
        Way { of_user: false, socket: Socket::Bus(SYSTEM_BUS.into()) },
        Way { of_user: false, socket: Socket::Private(SYSTEM_PRIVATE.into()) },
        Way { of_user: true, socket: session },
        Way { of_user: true, socket: Socket::Private(runtime_dir.join("systemd/private")) },
    ]
}

async fn ask(way: &Way, pid: i32) -> Result<OwnUnit, String> {
    let connection = tokio::time::timeout(CALL_TIMEOUT, connect(&way.socket))
        .await
        .map_err(|_| format!("no answer in {CALL_TIMEOUT:?}"))?
        .map_err(|error| error.to_string())?;
    let pid = u32::try_from(pid).map_err(|error| error.to_string())?;
    let path: OwnedObjectPath = connection
        .call_method(Some(DESTINATION), MANAGER_PATH, Some(MANAGER), "GetUnitByPID", &pid)
        .await
        .and_then(|reply| reply.body().deserialize())
        .map_err(|error| error.to_string())?;
    let mut unit = OwnUnit { connection, of_user: way.of_user, path, id: String::new() };
    unit.id = unit.property(UNIT, "Id").await.map_err(|error| error.to_string())?;
    let main_pid: u32 = unit
        .property(SERVICE, "MainPID")
        .await
        .map_err(|error| format!("{} is not a service: {error}", unit.id))?;
    if main_pid == pid {
        Ok(unit)
    } else {
        Err(format!("the main process of {} is {main_pid}, not this one", unit.id))
    }
}

async fn connect(socket: &Socket) -> zbus::Result<Connection> {
    let builder = match socket {
        Socket::Bus(path) => Builder::unix_stream(UnixStream::connect(path).await?.into_std()?),
        Socket::BusAddress(address) => Builder::address(address.as_str()),
        Socket::Private(path) => {
            Builder::socket(PrivateSocket(UnixStream::connect(path).await?)).p2p()
        }
    };
    builder.method_timeout(CALL_TIMEOUT).build().await
}

impl OwnUnit {
    /// A property of the unit.
    pub(super) async fn property<T>(&self, interface: &str, name: &str) -> Result<T, SystemdError>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        self.property_of(self.path.as_str(), interface, name).await
    }

    /// A property of any object of the manager.
    pub(super) async fn property_of<T>(
        &self,
        path: &str,
        interface: &str,
        name: &str,
    ) -> Result<T, SystemdError>
    where
        T: TryFrom<OwnedVariant>,
        T::Error: Into<zbus::Error>,
    {
        const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
        let failed = |source| SystemdError::Call { call: name.to_owned(), source };
        let reply = self
            .connection
            .call_method(Some(DESTINATION), path, Some(PROPERTIES), "Get", &(interface, name))
            .await
            .map_err(failed)?;
        let value: OwnedVariant = reply.body().deserialize().map_err(failed)?;
        T::try_from(value).map_err(|error| failed(error.into()))
    }

    /// A method of the manager.
    pub(super) async fn call<B>(
        &self,
        method: &str,
        body: &B,
    ) -> Result<zbus::Message, SystemdError>
    where
        B: serde::Serialize + zbus::DynamicType + Sync,
    {
        self.connection
            .call_method(Some(DESTINATION), MANAGER_PATH, Some(MANAGER), method, body)
            .await
            .map_err(|source| SystemdError::Call { call: method.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_manager_is_asked_before_the_users_and_the_bus_before_the_private_socket() {
        let sockets = |environment: &StartEnvironment| {
            ways(environment, 1000).into_iter().map(|way| way.socket).collect::<Vec<_>>()
        };
        let private = Socket::Private("/run/user/1000/systemd/private".into());
        assert_eq!(
            sockets(&StartEnvironment::default()),
            [
                Socket::Bus(SYSTEM_BUS.into()),
                Socket::Private(SYSTEM_PRIVATE.into()),
                Socket::Bus("/run/user/1000/bus".into()),
                private.clone(),
            ]
        );
        let session_bus = Some("unix:path=/tmp/bus".to_owned());
        let with_session =
            sockets(&StartEnvironment { session_bus, ..StartEnvironment::default() });
        assert_eq!(
            with_session[2..],
            [Socket::BusAddress("unix:path=/tmp/bus".to_owned()), private]
        );
    }
}
