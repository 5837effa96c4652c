//! Where the agent's files are unless the command line says otherwise, and the one place that reads the environment for it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::args::GlobalOptions;

/// The name of the socket in the run folder.
const SOCKET_NAME: &str = "control.sock";

/// What the program takes from its environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Whether the program runs as root, whose files are in the system's folders.
    pub(crate) is_root: bool,
    /// `$HOME`, else the home folder of the user database.
    pub(crate) home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<PathBuf>,
    /// `$XDG_STATE_HOME`.
    pub(crate) state_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// Whether `$NO_COLOR` is set to anything.
    pub(crate) no_color: bool,
}

impl Surroundings {
    /// Reads environment and user id. An XDG folder that is empty or relative does not count, as the XDG specification says.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment for paths"
    )]
    pub(crate) fn read() -> Self {
        let folder = |name: &str| absolute(std::env::var_os(name));
        let uid = nix::unistd::geteuid();
        Self {
            is_root: uid.is_root(),
            home: folder("HOME").or_else(|| {
                let user = nix::unistd::User::from_uid(uid).ok().flatten();
                user.map(|user| user.dir)
            }),
            config_home: folder("XDG_CONFIG_HOME"),
            state_home: folder("XDG_STATE_HOME"),
            runtime_dir: folder("XDG_RUNTIME_DIR"),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where this agent's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// Whether the command line named it. Only the default may be missing.
    pub(crate) config_is_given: bool,
    /// The state folder.
    pub(crate) state_dir: PathBuf,
    /// The run folder.
    pub(crate) run_dir: PathBuf,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// Whether the command line named it; it wins over the configuration.
    pub(crate) socket_is_given: bool,
}

impl Places {
    /// What `options` say, and for the rest the defaults that fit `around`.
    ///
    /// A state folder that is named takes the run folder along (`STATE/run`) unless that is named, too, so that a second
    /// agent with a state folder of its own does not take the socket of the first.
    pub(crate) fn find(options: &GlobalOptions, around: &Surroundings) -> Self {
        let named_state = options.state_dir.clone();
        let run_in_state = named_state.as_ref().map(|state| state.join("run"));
        let state_dir = named_state.unwrap_or_else(|| default_state(around));
        let run_dir = (options.run_dir.clone())
            .or(run_in_state)
            .unwrap_or_else(|| default_run(around, &state_dir));
        Self {
            config: options.config.clone().unwrap_or_else(|| default_config(around)),
            config_is_given: options.config.is_some(),
            socket: options.socket.clone().unwrap_or_else(|| run_dir.join(SOCKET_NAME)),
            socket_is_given: options.socket.is_some(),
            state_dir,
            run_dir,
        }
    }
}

fn default_config(around: &Surroundings) -> PathBuf {
    if around.is_root {
        return PathBuf::from("/etc/wazuh-agent/wazuh-agent.yml");
    }
    around
        .config_home
        .clone()
        .unwrap_or_else(|| home(around).join(".config"))
        .join("wazuh-agent/wazuh-agent.yml")
}

fn default_state(around: &Surroundings) -> PathBuf {
    if around.is_root {
        return PathBuf::from("/var/lib/wazuh-agent");
    }
    around
        .state_home
        .clone()
        .unwrap_or_else(|| home(around).join(".local/state"))
        .join("wazuh-agent")
}

fn default_run(around: &Surroundings, state_dir: &Path) -> PathBuf {
    if around.is_root {
        return PathBuf::from("/run/wazuh-agent");
    }
    // Without a folder that is the user's alone, a place below the state folder is safer than one in /tmp.
    around.runtime_dir.as_ref().map_or_else(|| state_dir.join("run"), |dir| dir.join("wazuh-agent"))
}

fn home(around: &Surroundings) -> PathBuf {
    around.home.clone().unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(options: &GlobalOptions, around: &Surroundings) -> [String; 4] {
        let found = Places::find(options, around);
        [found.config, found.state_dir, found.run_dir, found.socket]
            .map(|path| path.to_str().unwrap().to_owned())
    }

    fn user() -> Surroundings {
        Surroundings { home: Some("/users/u".into()), ..Surroundings::default() }
    }

    #[test]
    fn roots_files_are_in_the_folders_of_the_system() {
        let around = Surroundings { is_root: true, ..user() };
        assert_eq!(
            places(&GlobalOptions::default(), &around),
            [
                "/etc/wazuh-agent/wazuh-agent.yml",
                "/var/lib/wazuh-agent",
                "/run/wazuh-agent",
                "/run/wazuh-agent/control.sock"
            ]
        );
    }

    #[test]
    fn a_users_files_are_in_the_xdg_folders() {
        let around = Surroundings {
            config_home: Some("/c".into()),
            state_home: Some("/s".into()),
            runtime_dir: Some("/run/user/1".into()),
            ..user()
        };
        assert_eq!(
            places(&GlobalOptions::default(), &around),
            [
                "/c/wazuh-agent/wazuh-agent.yml",
                "/s/wazuh-agent",
                "/run/user/1/wazuh-agent",
                "/run/user/1/wazuh-agent/control.sock"
            ]
        );
    }

    #[test]
    fn without_xdg_folders_everything_is_below_the_home() {
        assert_eq!(
            places(&GlobalOptions::default(), &user()),
            [
                "/users/u/.config/wazuh-agent/wazuh-agent.yml",
                "/users/u/.local/state/wazuh-agent",
                "/users/u/.local/state/wazuh-agent/run",
                "/users/u/.local/state/wazuh-agent/run/control.sock"
            ]
        );
    }

    #[test]
    fn a_named_state_folder_takes_the_run_folder_along() {
        let around = Surroundings { is_root: true, ..user() };
        let named = GlobalOptions { state_dir: Some("/x".into()), ..GlobalOptions::default() };
        assert_eq!(places(&named, &around)[1..], ["/x", "/x/run", "/x/run/control.sock"]);
        let both = GlobalOptions { run_dir: Some("/y".into()), ..named };
        assert_eq!(places(&both, &around)[1..], ["/x", "/y", "/y/control.sock"]);
        let socket = GlobalOptions { socket: Some("/z.sock".into()), ..both };
        assert_eq!(places(&socket, &around)[1..], ["/x", "/y", "/z.sock"]);
    }

    #[test]
    fn relative_and_empty_folders_of_the_environment_do_not_count() {
        assert_eq!(absolute(Some("relative".into())), None);
        assert_eq!(absolute(Some("".into())), None);
        assert_eq!(absolute(Some("/abs".into())), Some("/abs".into()));
    }
}
