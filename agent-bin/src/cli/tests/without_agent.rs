//! What the program says when there is nobody to ask, or nothing to show.

use serde_json::{Value, json};

use super::fake_agent::{FakeAgent, Place, Run};
use crate::exit::Exit;

const NOT_RUNNING: &str = "no agent is running: nobody answers on SOCKET (No such file or directory (os error 2)); start it with `systemctl start wazuh-agent` or `wazuh-agent run`";

#[tokio::test]
async fn every_verb_says_that_no_agent_runs_and_how_to_start_one() {
    let place = Place::new();
    for line in [
        "restart",
        "reload",
        "stop",
        "status",
        "modules",
        "commands list",
        "commands show x",
        "commands cancel x",
        "commands watch",
        "commands watch --after 0",
    ] {
        let people = place.run(line).await;
        let expected = Run {
            exit: Exit::NotRunning,
            out: String::new(),
            err: format!("error: {NOT_RUNNING}\n"),
        };
        assert_eq!(people, expected, "{line}");
        let programs = place.run(&format!("{line} --json")).await;
        let error: Value = serde_json::from_str(&programs.out).unwrap();
        assert_eq!(error, json!({ "error": { "code": "not_running", "message": NOT_RUNNING } }));
        assert_eq!((programs.exit, programs.err.as_str()), (Exit::NotRunning, ""), "{line}");
    }
}

#[tokio::test]
async fn a_socket_that_nobody_listens_on_is_no_agent_either() {
    let place = Place::new();
    drop(place.listen());
    let run = place.run("status").await;
    assert_eq!(run.exit, Exit::NotRunning);
    assert!(run.err.contains("Connection refused"), "{}", run.err);
}

#[tokio::test]
async fn an_unknown_command_is_a_failure_in_the_agents_words() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    let _server = place.serve(&agent);
    let run = place.run("commands show a/b?c").await;
    assert_eq!((run.exit, run.err.as_str()), (Exit::Failed, "error: there is no command a/b?c\n"));
}

#[tokio::test]
async fn an_empty_list_says_so() {
    let (place, agent) = (Place::new(), FakeAgent::new());
    let _server = place.serve(&agent);
    assert_eq!(place.run("commands list").await.out, "no commands\n");
    assert_eq!(place.run("modules").await.out, "no modules\n");
    let run = place.run("commands list --limit 7 --json").await;
    assert_eq!(run.out, "{\"commands\":[],\"limit\":7}\n");
}
