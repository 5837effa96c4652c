//! `fim …`: what can be asked of the file integrity monitoring.

use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::EXIT_CODES;

/// `fim …`
#[derive(Debug, Subcommand)]
pub(crate) enum FimVerb {
    /// Show the baseline, the scans, the watches, and what went wrong
    Status,
    /// Scan now, and follow the scan to its end; ending this program does not end the scan
    #[command(after_help = EXIT_CODES)]
    Scan(ScanArgs),
    /// Compare a file on disk with the baseline, now
    #[command(after_help = EXIT_CODES)]
    Check {
        /// The file or folder; a symbolic link is compared itself
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
}

/// `fim scan …`
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ScanArgs {
    /// Only these files and folders; everything that is configured unless given
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Return once the scan is accepted
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Question, Verb};

    fn parse(line: &str) -> Result<FimVerb, clap::Error> {
        let verb = Args::try_parse_from(line.split_whitespace())?.verb;
        let Verb::Ask(Question::Fim(verb)) = verb else { panic!("{verb:?}") };
        Ok(verb)
    }

    #[test]
    fn a_scan_is_of_everything_unless_paths_are_given() {
        for (line, paths, no_wait) in [
            ("wazuh-agent fim scan", vec![], false),
            ("wazuh-agent fim scan --no-wait /etc usr", vec!["/etc", "usr"], true),
        ] {
            let FimVerb::Scan(args) = parse(line).unwrap() else { panic!("{line}") };
            assert_eq!(args.paths, paths.into_iter().map(PathBuf::from).collect::<Vec<_>>());
            assert_eq!(args.no_wait, no_wait, "{line}");
        }
    }

    #[test]
    fn one_path_is_checked() {
        let FimVerb::Check { path } = parse("wazuh-agent fim check ./a").unwrap() else { panic!() };
        assert_eq!(path, PathBuf::from("./a"));
        for line in ["wazuh-agent fim check", "wazuh-agent fim check a b", "wazuh-agent fim"] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
