//! `commands show` as whole texts.

use serde_json::{Value, json};

use crate::cli::audit_text;
use crate::cli::paint::Paint;
use crate::cli::record::Record;

const PLAIN: Paint = Paint { on: false };

fn restarted() -> Value {
    json!({
        "id": "0198-a", "form": "document", "type": "restart-agent", "target": "all", "force": true,
        "status": "success", "error": 0, "reason": "evil\u{1b}[2J", "attempts": 2,
        "requester": { "uid": 0, "gid": 7, "pid": 42, "executable": "/usr/bin/wazuh-agent" },
        "origin": { "moduleName": "Server", "serverName": "siem-1, user root", "user": "alice\nform  x" },
        "accepted_at": "2026-03-01T10:00:00Z", "expires_at": "2026-03-01T11:00:00Z", "expiry_given": true,
        "finished_at": "2026-03-01T10:00:31.5Z",
        "history": [
            { "seq": 1, "at": "2026-03-01T10:00:00Z", "stage": "accepted", "module": null, "text": "" },
            { "seq": 2, "at": "2026-03-01T10:00:01Z", "stage": "saved", "module": "fim",
              "count": { "done": 1, "total": 2 }, "text": "in 10 s" },
            { "seq": 3, "at": "2026-03-01T10:00:31.5Z", "stage": "finished", "text": "done" },
        ],
        "result": {
            "outcome": "restarted_forced", "method": "exec", "downtime_ms": 1,
            "modules": [
                { "name": "fim", "ready_ms": 5000, "save_ms": 10000, "stop_ms": 10000,
                  "notes": ["not ready in time", "abandoned"] },
            ],
        },
    })
}

fn shown(record: Value, paint: Paint) -> String {
    audit_text::command(&Record::new(record).unwrap(), paint)
}

#[test]
fn a_finished_command_with_everything_that_is_known() {
    let expected = "\
command      0198-a
type         restart-agent
target       all
forced       yes
who          uid 0, gid 7, pid 42, /usr/bin/wazuh-agent
from module  Server
from server  siem-1, user root
from user    alice\\nform  x
form         document
reason       evil\\u{1b}[2J
accepted     2026-03-01 10:00:00Z
finished     2026-03-01 10:00:31Z
duration     31.500 s
outcome      success, error 0 (ok)
attempts     2

   +0.000 s  accepted
   +1.000 s  saved       fim [1/2]: in 10 s
  +31.500 s  finished    done

success: restarted forced by exec, down for 1 ms

MODULE    READY      SAVE      STOP  NOTES
fim     5000 ms  10000 ms  10000 ms  not ready in time; abandoned
";
    assert_eq!(shown(restarted(), PLAIN), expected);
}

#[test]
fn a_command_that_waits_says_when_it_expires() {
    let waiting = json!({
        "id": "0198-b", "form": "envelope", "type": "restart-module", "target": ["fim", "sca"], "force": false,
        "status": "pending", "error": 0, "reason": null, "attempts": 0,
        "requester": { "uid": 1000, "gid": 100, "pid": null, "executable": null },
        "origin": { "moduleName": "cli", "serverName": "" },
        "accepted_at": "2026-03-01T10:00:00Z", "expires_at": "2026-03-01T11:00:00Z", "expiry_given": false,
        "finished_at": null, "result": null,
        "history": [{ "seq": 1, "at": "2026-03-01T10:00:00Z", "stage": "accepted", "text": "" }],
    });
    let expected = "\
command      0198-b
type         restart-module
target       fim, sca
who          uid 1000, gid 100
from module  cli
form         envelope
accepted     2026-03-01 10:00:00Z
expires      2026-03-01 11:00:00Z, as is usual for its type
outcome      pending
attempts     0

   +0.000 s  accepted
";
    assert_eq!(shown(waiting.clone(), PLAIN), expected);
    let mut given = waiting;
    given["expiry_given"] = true.into();
    assert!(shown(given, PLAIN).contains("11:00:00Z, as the asker said\n"));
}

#[test]
fn of_an_old_command_the_end_is_left() {
    let remembered = json!({
        "id": "0198-c", "form": "envelope", "type": "reload", "target": "all", "status": "failure", "error": 9,
        "requester": null, "result": null, "attempts": 0,
        "accepted_at": "2026-03-01T10:00:00Z", "finished_at": "2026-03-01T10:00:01.25Z",
        "history": [{ "seq": 2, "at": "2026-03-01T10:00:01.25Z", "stage": "finished",
                      "text": "cancelled before its turn came" }],
    });
    let expected = "\
command      0198-c
type         reload
target       all
form         envelope
accepted     2026-03-01 10:00:00Z
finished     2026-03-01 10:00:01Z
duration     1.250 s
outcome      failure, error 9 (cancelled)
attempts     0

   +1.250 s  finished    cancelled before its turn came
";
    assert_eq!(shown(remembered, PLAIN), expected);
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = shown(restarted(), Paint { on: true });
    assert!(coloured.contains("\u{1b}[32msuccess\u{1b}[0m: restarted forced"), "{coloured}");
    let mut plain = coloured;
    for code in ["32", "33", "31", "2", "0"] {
        plain = plain.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(plain, shown(restarted(), PLAIN));
}
