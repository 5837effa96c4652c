//! What people see, as whole texts.

use serde_json::{Value, json};

use crate::cli::paint::Paint;
use crate::cli::record::Record;
use crate::cli::{outcome_text, status_text};

const PLAIN: Paint = Paint { on: false };

fn modules() -> Value {
    json!([
        { "name": "logcollector", "state": "running", "enabled": true, "run": 1, "failures": 0,
          "since": "2026-03-01T10:00:00.25Z", "last_error": null },
        { "name": "fim", "state": "failed", "enabled": true, "run": 4, "failures": 12,
          "since": "2026-03-01T10:05:00Z", "last_error": "no permission to read /etc/shadow" },
        { "name": "sca", "state": "stopped", "enabled": false, "since": "2026-03-01T10:00:00Z" },
    ])
}

#[test]
fn the_status_of_an_agent() {
    let status = json!({
        "version": "0.1.0", "pid": 4711, "generation": 3, "method": "systemd",
        "unit": "wazuh-agent.service", "started_at": "2026-03-01T10:00:00.123Z", "uptime_s": 3725,
        "state": "running", "config": "/etc/wazuh-agent/wazuh-agent.yml",
        "state_dir": "/var/lib/wazuh-agent", "modules": modules(),
        "last_restart": { "outcome": "restarted_forced", "method": "helper", "downtime_ms": 30012.5 },
        "restarts": { "count": 12, "downtime_ms": { "count": 11, "p50": 31, "p95": 45, "max": 30012 } },
        "spool": { "stored": 12, "delivered": 9, "last_seq": 40 },
    });
    let expected = "\
wazuh-agent 0.1.0: running
  pid           4711
  generation    3
  started       2026-03-01 10:00:00Z (up 1h 2m)
  restarts by   systemd, wazuh-agent.service
  config        /etc/wazuh-agent/wazuh-agent.yml
  state         /var/lib/wazuh-agent
  events        9 delivered, 12 stored
  last restart  restarted forced by helper, down for 30012.5 ms
  restarts      12, down for 31 ms (p50), 45 ms (p95), 30012 ms (max)

MODULE        STATE     SINCE                 FAILURES  LAST ERROR
logcollector  running   2026-03-01 10:00:00Z         0
fim           failed    2026-03-01 10:05:00Z        12  no permission to read /etc/shadow
sca           disabled  2026-03-01 10:00:00Z         0
";
    assert_eq!(status_text::status(&status, PLAIN), expected);
}

#[test]
fn modules_that_are_quarantined_or_left_threads_behind() {
    let modules = json!({ "modules": [
        { "name": "fim", "state": "quarantined", "enabled": true, "run": 11, "failures": 11,
          "since": "2026-03-01T10:05:00Z", "last_error": "it took longer than 10s", "threads_left": 11 },
        { "name": "logcollector", "state": "running", "enabled": true, "run": 1, "failures": 0,
          "since": "2026-03-01T10:00:00Z", "last_error": null, "threads_left": 0 },
    ]});
    let expected = "\
MODULE        STATE        SINCE                 FAILURES  THREADS LEFT  LAST ERROR
fim           quarantined  2026-03-01 10:05:00Z        11            11  it took longer than 10s
logcollector  running      2026-03-01 10:00:00Z         0

fim failed too often and is not started again by itself: `wazuh-agent restart --module fim` starts it
";
    assert_eq!(status_text::modules(&modules, PLAIN), expected);
}

#[test]
fn an_answer_without_any_known_field_is_still_a_text() {
    assert_eq!(status_text::status(&json!({}), PLAIN), "wazuh-agent : \n\nno modules\n");
    let record =
        Record::new(json!({ "status": "success", "result": { "modules": 5, "timeline": [{}] } }));
    assert_eq!(outcome_text::outcome(&record.unwrap(), PLAIN), "success\n");
}

#[test]
fn a_restart_of_modules_is_made_in_process() {
    let result = json!({ "outcome": "restarted", "method": "in_process" });
    assert_eq!(outcome_text::summary(&result), "restarted in process");
}

#[test]
fn the_list_of_commands() {
    let commands = json!({ "commands": [
        { "id": "0198-b", "type": "restart-module", "target": ["fim", "sca"], "status": "in_progress",
          "accepted_at": "2026-03-01T10:00:00Z", "reason": "new rules", "result": null },
        { "id": "0198-a", "type": "restart-agent", "target": "all", "status": "success",
          "accepted_at": "2026-02-28T23:59:59.9Z", "reason": null, "result": { "outcome": "restarted" } },
    ]});
    let expected = "\
ACCEPTED              ID      TYPE            TARGET    STATUS       OUTCOME    REASON
2026-03-01 10:00:00Z  0198-b  restart-module  fim, sca  in_progress             new rules
2026-02-28 23:59:59Z  0198-a  restart-agent   all       success      restarted
";
    assert_eq!(status_text::commands(&commands, PLAIN), expected);
}
