//! What is made of each way in which another program can answer.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;
use crate::preflight::report::Grade;

fn trial(status: i32, stdout: &str, stderr: &str) -> Result<Trial, TrialError> {
    Ok(Trial { status, stdout: stdout.to_owned(), stderr: stderr.to_owned() })
}

fn version(tried: Result<Trial, TrialError>) -> Looked {
    judge_version(Path::new("/bin/agent"), tried)
}

fn configuration(tried: Result<Trial, TrialError>) -> Looked {
    judge_configuration(Path::new("/bin/agent"), Path::new("/etc/agent.yml"), tried)
}

#[test]
fn only_an_executable_file_is_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, b"abc").unwrap();
    assert_eq!(hash_executable(&plain).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert!(hash_executable(folder.path()).is_err());
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        hash_executable(&plain).unwrap(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

#[test]
fn a_copy_of_the_running_program_is_another_one_and_a_link_to_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let running = std::env::current_exe().unwrap();
    assert!(!is_another(&running));
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&running, &link).unwrap();
    assert!(!is_another(&link));
    let copy = folder.path().join("copy");
    std::fs::write(&copy, b"not the same file").unwrap();
    assert!(is_another(&copy));
    assert!(is_another(&folder.path().join("missing")));
}

#[test]
fn a_program_that_says_its_version_is_fine() {
    let looked = version(trial(0, "wazuh-agent 9.9.9\nmore", ""));
    let text = "/bin/agent is another program than the running one: wazuh-agent 9.9.9";
    assert_eq!(looked, Looked::ok(text));
}

#[test]
fn only_a_version_that_hangs_may_be_forced() {
    let hang = version(Err(TrialError::TimedOut(TRIAL_LIMIT)));
    assert!(hang.may_be_forced && hang.text.contains("did not end within 5 s"), "{hang:?}");
    let library = "agent: error while loading shared libraries:\n libx.so.1: cannot open";
    let signal = TrialError::Killed { signal: "SIGILL".to_owned(), said: String::new() };
    let format = TrialError::CannotStart { reason: "it is damaged".to_owned() };
    for (tried, text) in [
        (trial(127, "", library), "status 127: agent: error while loading shared libraries:; libx"),
        (trial(1, "", ""), "status 1: it said nothing; install it again"),
        (Err(signal), "was killed by SIGILL; install it again"),
        (Err(format), "cannot be started: it is damaged; install it again"),
    ] {
        let looked = version(tried);
        assert_eq!((looked.grade, looked.may_be_forced), (Grade::Refused, false), "{looked:?}");
        assert!(looked.text.contains(text), "{looked:?}");
    }
}

#[test]
fn a_configuration_that_the_program_does_not_accept_is_told_in_its_own_words() {
    assert_eq!(
        configuration(trial(0, r#"{"file":"/etc/agent.yml","problems":[]}"#, "")),
        Looked::ok("/bin/agent accepts /etc/agent.yml")
    );
    let problems = r#"{"problems":[{"file":"/etc/agent.yml","line":3,"column":null,"key":"fim.paths","message":"unknown key"},{"message":"and more"}]}"#;
    let looked = configuration(trial(78, problems, ""));
    assert!(looked.may_be_forced && looked.grade == Grade::Refused, "{looked:?}");
    let expected = "try again: /etc/agent.yml:3: fim.paths: unknown key; and more";
    assert!(looked.text.ends_with(expected), "{looked:?}");
}

#[test]
fn an_answer_that_is_none_does_not_count_as_consent() {
    let signal = TrialError::Killed { signal: "SIGSEGV".to_owned(), said: "oh".to_owned() };
    for tried in [
        trial(0, "", ""),
        trial(0, "fine", ""),
        trial(2, "", "unexpected argument '--json'"),
        trial(1, r#"{"problems":[]}"#, ""),
        Err(TrialError::TimedOut(TRIAL_LIMIT)),
        Err(signal),
    ] {
        let looked = configuration(tried);
        assert!(looked.may_be_forced && looked.grade == Grade::Refused, "{looked:?}");
    }
}

#[test]
fn the_program_is_asked_with_the_options_of_this_agent() {
    let mut paths = Paths {
        config: PathBuf::from("/c.yml"),
        config_is_given: true,
        state_dir: PathBuf::from("/s"),
        run_dir: PathBuf::from("/r"),
        socket: Some(PathBuf::from("/k")),
    };
    let words = |paths: &Paths| {
        let words = check_config(paths);
        words.iter().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let all = "check-config --json --config /c.yml --state-dir /s --run-dir /r --socket /k";
    assert_eq!(words(&paths), all);
    paths.config_is_given = false;
    paths.socket = None;
    assert_eq!(words(&paths), "check-config --json --state-dir /s --run-dir /r");
}
