//! `commands show` as whole texts.

use serde_json::json;

use crate::cli::audit_text;
use crate::cli::paint::Paint;
use crate::cli::record::Record;

const PLAIN: Paint = Paint { on: false };

fn command() -> Record {
    let record = json!({
        "id": "0198-a", "type": "restart-agent", "target": "all", "force": true, "status": "success",
        "error": 0, "reason": "evil\u{1b}[2J", "attempts": 2,
        "requester": { "uid": 0, "gid": 0, "pid": 42, "executable": "/usr/bin/wazuh-agent" },
        "origin": { "moduleName": "cli", "serverName": "" },
        "accepted_at": "2026-03-01T10:00:00Z", "finished_at": "2026-03-01T10:00:31.5Z",
        "history": [
            { "seq": 1, "at": "2026-03-01T10:00:00Z", "stage": "accepted", "module": null, "text": "" },
            { "seq": 2, "at": "2026-03-01T10:00:31.5Z", "stage": "finished", "text": "done" },
        ],
        "result": {
            "outcome": "restarted_forced", "method": "exec", "downtime_ms": 1,
            "modules": [
                { "name": "fim", "ready_ms": 5000, "save_ms": 10000, "stop_ms": 10000,
                  "notes": ["not ready in time", "abandoned"] },
            ],
        },
    });
    Record::new(record).unwrap()
}

#[test]
fn a_command_with_its_history() {
    let expected = "\
command     0198-a
type        restart-agent
target      all
reason      evil\\u{1b}[2J
requester   uid 0, pid 42, /usr/bin/wazuh-agent
origin      cli
accepted    2026-03-01 10:00:00Z
finished    2026-03-01 10:00:31Z
forced      yes
attempts    2

   +0.000 s  accepted
  +31.500 s  finished    done

success: restarted forced by exec, down for 1 ms

MODULE    READY      SAVE      STOP  NOTES
fim     5000 ms  10000 ms  10000 ms  not ready in time; abandoned
";
    assert_eq!(audit_text::command(&command(), PLAIN), expected);
}

#[test]
fn colours_change_nothing_but_colours() {
    let coloured = audit_text::command(&command(), Paint { on: true });
    assert!(coloured.contains("\u{1b}[32msuccess\u{1b}[0m: restarted forced"), "{coloured}");
    let mut plain = coloured;
    for code in ["32", "33", "31", "2", "0"] {
        plain = plain.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(plain, audit_text::command(&command(), PLAIN));
}
