//! The exit codes of the program, in one place.

use std::process::ExitCode;

use agent_core::control::{ApiAnswer, ClientError};

/// How the program ends. The numbers are part of its interface: none is ever given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Exit {
    /// 0: done as asked.
    Success = 0,
    /// 1: tried and failed.
    Failed = 1,
    /// 2: the command line is wrong.
    Usage = 2,
    /// 3: done, but not every wanted module runs.
    Degraded = 3,
    /// 4: refused before anything was changed, or this user may not ask.
    Refused = 4,
    /// 5: no agent answers on the control socket.
    NotRunning = 5,
    /// 6: not finished within its time, or within `--timeout`.
    TimedOut = 6,
    /// 7: a file is not as in the baseline (`fim check`).
    Differs = 7,
    /// 78: the configuration is wrong (`EX_CONFIG` of sysexits).
    Config = 78,
}

/// What `--help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  success
   1  failed
   2  usage: the command line is wrong
   3  degraded: done, but not every wanted module runs
   4  refused before anything was changed, or not permitted
   5  no agent is running
   6  timed out: not finished in time, the outcome may not be known yet
   7  differs: the file is not as in the baseline, or not in it (fim check)
  78  the configuration is wrong";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&ClientError> for Exit {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::NotRunning { .. } => Self::NotRunning,
            ClientError::PermissionDenied { .. } => Self::Refused,
            ClientError::TimedOut => Self::TimedOut,
            ClientError::Interrupted { .. } | ClientError::BadAnswer { .. } => Self::Failed,
        }
    }
}

/// For help and version, too, which clap hands over as errors.
impl From<&clap::Error> for Exit {
    fn from(error: &clap::Error) -> Self {
        if error.use_stderr() { Self::Usage } else { Self::Success }
    }
}

/// For answers with an error status, too.
impl From<&ApiAnswer> for Exit {
    fn from(answer: &ApiAnswer) -> Self {
        match answer.status {
            200..=299 => Self::Success,
            504 => Self::TimedOut,
            400 | 403 | 409 | 413 | 429 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_help_names_every_code() {
        let every = [
            Exit::Success,
            Exit::Failed,
            Exit::Usage,
            Exit::Degraded,
            Exit::Refused,
            Exit::NotRunning,
            Exit::TimedOut,
            Exit::Differs,
            Exit::Config,
        ];
        let named: Vec<u8> = EXIT_CODES
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        assert_eq!(named, every.map(|exit| exit as u8));
    }

    #[test]
    fn a_wrong_command_line_is_usage_and_help_is_success() {
        let exit =
            |line: [&str; 2]| Exit::from(&crate::args::Args::try_parse_from(line).unwrap_err());
        assert_eq!(exit(["wazuh-agent", "retsart"]), Exit::Usage);
        assert_eq!(exit(["wazuh-agent", "--help"]), Exit::Success);
        assert_eq!(exit(["wazuh-agent", "--version"]), Exit::Success);
    }

    #[test]
    fn an_answer_is_success_refusal_or_failure() {
        let exit = |status| Exit::from(&ApiAnswer { status, body: Value::Null });
        assert_eq!(exit(202), Exit::Success);
        assert_eq!([400, 403, 409, 429].map(exit), [Exit::Refused; 4]);
        assert_eq!(exit(504), Exit::TimedOut);
        assert_eq!([404, 500, 503].map(exit), [Exit::Failed; 3]);
    }
}
