//! Accepting: one id, one command.

use std::collections::HashSet;
use std::sync::Arc;

use command_manager::{
    AcceptError, Acceptance, CommandId, CommandType, Judgement, Peer, Status, Target,
    parse_envelope,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::scene::{Act, Scene, Scripted, envelope, id, succeed};

#[tokio::test]
async fn an_accepted_command_is_shown_as_it_was_asked() {
    let scene = Scene::new();
    let sent = json!({"id": "a/1", "command": {"name": "x", "type": "restart-agent"}, "new": [1.5, null],
        "origin": {"moduleName": "m", "serverName": "s"},
        "parameters": {"data": ["fim"], "extra_args": ["--force", "--reason", "r"]}});
    let peer = Peer { uid: 1, gid: 2, pid: Some(3), executable: Some("/bin/x".into()) };
    let sent_envelope = parse_envelope(sent.to_string().as_bytes()).unwrap();
    let Acceptance::New(record) =
        scene.manager.accept(sent_envelope, Some(peer.clone())).await.unwrap()
    else {
        panic!("it was not known");
    };
    assert_eq!((record.id.as_str(), record.kind), ("a/1", CommandType::RestartModule));
    assert_eq!(record.target, Target::Modules(vec!["fim".into()]));
    assert_eq!((record.force, record.reason.as_deref()), (true, Some("r")));
    assert_eq!((record.status, record.error, record.attempts), (Status::Pending, 0, 0));
    assert_eq!(record.requester, Some(peer));
    assert_eq!((record.history.len(), record.last_seq()), (1, 1));
    assert_eq!(record.received, sent);
    let scene = scene.reopen();
    assert_eq!(scene.show("a/1").await, record, "it reads back from disk as it was");
}

#[tokio::test]
async fn a_command_without_an_id_gets_one() {
    let scene = Scene::new();
    let unnamed = parse_envelope(br#"{"command":{"type":"reload"}}"#).unwrap();
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let accepted = scene.manager.accept(unnamed.clone(), None).await.unwrap();
        let Acceptance::New(record) = accepted else { panic!("each is a new command") };
        assert_eq!(record.to_answer()["id"], json!(record.id));
        ids.insert(record.id);
    }
    assert_eq!(ids.len(), 2);
}

#[tokio::test]
async fn the_same_command_again_is_answered_with_the_state_of_the_first() {
    let scene = Scene::new();
    scene.accept("a").await;
    let run = scene.run(&Scripted::executing(|_| succeed()));
    let first = scene.finished("a").await;
    assert_eq!(first.status, Status::Success);
    let again = scene.manager.accept(envelope("a"), None).await.unwrap();
    assert_eq!(again, Acceptance::Known(first));
    run.stop().await;
}

#[tokio::test]
async fn a_command_that_comes_again_at_any_time_is_answered_with_the_status_it_has_then() {
    let scene = Scene::new();
    let known = async |scene: &Scene| match scene.manager.accept(envelope("a"), None).await {
        Ok(Acceptance::Known(record)) => (record.status, record.attempts),
        other => panic!("{other:?}"),
    };
    scene.accept("a").await;
    assert_eq!(known(&scene).await, (Status::Pending, 0), "before it is begun");
    let executor = Scripted::executing(|_| Act::Hang);
    let run = scene.run(&executor);
    executor.until_noted(1).await;
    assert_eq!(known(&scene).await, (Status::InProgress, 1), "while it runs");
    run.task.abort();
    drop(run.task.await);
    let scene = scene.reopen();
    assert_eq!(known(&scene).await, (Status::InProgress, 1), "in the next process, not judged yet");
    let executor = Scripted::new(|_| succeed(), |_| Judgement::Again);
    let run = scene.run(&executor);
    scene.finished("a").await;
    assert_eq!(known(&scene).await, (Status::Success, 2), "after it has ended");
    run.stop().await;
    let scene = scene.reopen();
    assert_eq!(known(&scene).await, (Status::Success, 2), "and in the process after that");
    assert_eq!(executor.notes(), ["judge a", "execute a #2"]);
}

#[tokio::test]
async fn fields_that_change_nothing_make_no_other_command() {
    let scene = Scene::new();
    let first = scene.accept("a").await;
    let mut again = envelope("a");
    again.received["parameters"]["status"] = json!("sent");
    assert_eq!(scene.manager.accept(again, None).await, Ok(Acceptance::Known(first)));
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused_and_changes_nothing() {
    let scene = Scene::new();
    let first = scene.accept("a").await;
    let mut others = vec![envelope("a"); 5];
    others[0].kind = CommandType::Reload;
    others[1].target = Target::Modules(vec!["fim".into()]);
    others[2].force = true;
    others[3].reason = None;
    others[4].origin.server_name = "other".into();
    for other in others {
        let refused = scene.manager.accept(other, None).await;
        assert_eq!(refused, Err(AcceptError::Conflict { id: id("a") }));
    }
    assert_eq!(scene.manager.list(10).await.unwrap(), [first]);
}

#[tokio::test]
async fn commands_are_listed_newest_first_up_to_the_limit() {
    let scene = Scene::new();
    for text in ["a", "b", "c"] {
        scene.accept(text).await;
    }
    let listed = |limit| async move {
        let (scene, records) = (&scene, scene.manager.list(limit).await.unwrap());
        let ids: Vec<_> = records.iter().map(|record| record.id.to_string()).collect();
        assert!(scene.manager.show(&id("z")).await.unwrap().is_none());
        (scene.folder.path().exists(), ids)
    };
    assert_eq!(listed(2).await.1, ["c", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_askers_at_once_exactly_one_is_the_first_of_its_id() {
    let scene = Scene::new();
    let mut tasks = JoinSet::new();
    for number in 0..400 {
        let manager = Arc::clone(&scene.manager);
        let mut asked = envelope(&format!("c-{}", number % 20));
        // Of each id, a quarter of the askers wants something else.
        asked.force = number / 20 % 4 == 3;
        tasks.spawn(async move { (asked.force, manager.accept(asked, None).await) });
    }
    let mut new = HashSet::new();
    let mut known: Vec<(CommandId, bool)> = Vec::new();
    let mut refused: Vec<(CommandId, bool)> = Vec::new();
    for (force, answer) in tasks.join_all().await {
        match answer {
            Ok(Acceptance::New(record)) => assert!(new.insert(record.id), "two are the first"),
            Ok(Acceptance::Known(record)) => known.push((record.id, force)),
            Err(AcceptError::Conflict { id }) => refused.push((id, force)),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((new.len(), known.len() + refused.len()), (20, 380));
    for (id, force) in known {
        assert_eq!(scene.show(id.as_str()).await.force, force);
    }
    for (id, force) in refused {
        assert_ne!(scene.show(id.as_str()).await.force, force);
    }
}
