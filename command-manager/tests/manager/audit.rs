//! The audit trail: one record for each command accepted, refused and finished.

use std::fmt;
use std::sync::{Mutex, OnceLock};

use command_manager::{Finish, Peer, audit_refused, parse_envelope};
use jiff::Timestamp;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

use crate::scene::{Scene, envelope, id};

/// Keeps the audit records of all tests of this binary, because the journal writes on a thread of its own.
struct Trail(Mutex<Vec<String>>);

struct Handle(&'static Trail);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Handle {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "audit"
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn trail() -> &'static Trail {
    static TRAIL: Trail = Trail(Mutex::new(Vec::new()));
    static SET: OnceLock<()> = OnceLock::new();
    SET.get_or_init(|| tracing::subscriber::set_global_default(Handle(&TRAIL)).unwrap());
    &TRAIL
}

impl Trail {
    fn about(&self, part: &str) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(part)).cloned().collect()
    }
}

#[tokio::test]
async fn accepted_refused_and_finished_commands_leave_one_record_each() {
    let trail = trail();
    let scene = Scene::new();
    let peer = Peer { uid: 0, gid: 5, pid: Some(7), executable: Some("/bin/x y".into()) };
    let mut asked = envelope("audited");
    asked.reason = Some("line\nbreak".into());
    asked.origin.module_name = "client".into();
    drop(scene.manager.accept(asked.clone(), Some(peer)).await.unwrap());
    drop(scene.manager.accept(asked.clone(), None).await.unwrap());
    asked.force = true;
    scene.manager.accept(asked, None).await.unwrap_err();
    for _ in 0..2 {
        drop(scene.manager.finish(&id("audited"), Finish::timeout("too\nlate")).await.unwrap());
    }
    // The clock ticks once for each of the three requests, the refusal and the first finish.
    let from = r#"from=module="client" server="" reason="line\nbreak""#;
    let expected = [
        format!(
            r#"INFO message=command accepted at=2027-01-15T08:00:01Z id="audited" type="stop" who=uid=0 gid=5 pid=7 executable="/bin/x y" {from} outcome="pending" duration_ms=0 "#
        ),
        format!(
            r#"INFO message=command refused at=2027-01-15T08:00:04Z id="audited" type="stop" who=- {from} outcome="the id audited belongs to another command: use a new id" duration_ms=0 "#
        ),
        format!(
            r#"INFO message=command finished at=2027-01-15T08:00:05Z id="audited" type="stop" who=uid=0 gid=5 pid=7 executable="/bin/x y" {from} outcome=timeout (error 5): "too\nlate" duration_ms=4000 "#
        ),
    ];
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    assert_eq!(sorted(trail.about("audited")), sorted(expected.into()));
}

#[test]
fn a_refusal_before_the_journal_is_recorded_by_who_refused() {
    let trail = trail();
    let peer = Peer { uid: 1000, gid: 4242, pid: None, executable: None };
    let sent = json!({"command": {"type": "reload"}, "parameters": {"reason": "r"}});
    let envelope = parse_envelope(sent.to_string().as_bytes()).unwrap();
    audit_refused(Some(&envelope), Some(&peer), "not allowed", Timestamp::UNIX_EPOCH);
    audit_refused(None, Some(&peer), "no command", Timestamp::UNIX_EPOCH);
    let records = trail.about("gid=4242");
    assert_eq!(records.len(), 2);
    assert!(records[0].contains(r#"type="reload""#) && records[0].contains("not allowed"));
    assert!(records[1].contains(r#"type="-""#) && records[1].contains("no command"));
}
