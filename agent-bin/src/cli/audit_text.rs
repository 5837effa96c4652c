//! A command with everything that is known about it, as text for people: who asked for what, and what became of it.

use serde_json::Value;

use super::outcome_text::{outcome, target, when};
use super::paint::{Paint, Tone, harmless};
use super::record::{Record, timestamp};
use super::step_text::live_line;

/// The names of the numbers in `error`, from 0 on, as people say them.
const ERROR_NAMES: [&str; 10] = [
    "ok",
    "failed",
    "refused",
    "gave up",
    "interrupted",
    "timed out",
    "degraded",
    "overtaken by a stop",
    "expired",
    "cancelled",
];

/// A record with everything that is known about it. Each thing that an asker says of itself has a line of its own, so that
/// none can be made to look like another.
pub(super) fn command(record: &Record, paint: Paint) -> String {
    let value = record.value();
    let mut text = String::new();
    for (name, shown) in fields(record).iter().filter(|(_, shown)| !shown.is_empty()) {
        let name = paint.text(Tone::Faint, &format!("{name:<11}"));
        text.push_str(&format!("{name}  {}\n", harmless(shown)));
    }
    text.push('\n');
    for entry in record.history() {
        text.push_str(&format!("{}\n", live_line(entry, record.accepted_at(), paint)));
    }
    // Without a result the line above has said it all.
    if record.is_finished() && !value["result"].is_null() {
        text.push_str(&format!("\n{}", outcome(record, paint)));
    }
    text
}

/// What there is to say, by name; empty where it is not known.
fn fields(record: &Record) -> [(&'static str, String); 16] {
    let value = record.value();
    let text = |field: &str| record.text(field).to_owned();
    let origin = |field: &str| value["origin"][field].as_str().unwrap_or("").to_owned();
    let forced = if value["force"] == true { "yes" } else { "" };
    let attempts = value["attempts"].as_u64();
    [
        ("command", text("id")),
        ("type", text("type")),
        ("target", target(&value["target"])),
        ("forced", forced.to_owned()),
        ("who", requester(&value["requester"])),
        ("from module", origin("moduleName")),
        ("from server", origin("serverName")),
        ("from user", origin("user")),
        ("form", text("form")),
        ("reason", text("reason")),
        ("accepted", when(&value["accepted_at"])),
        ("expires", expiry(record)),
        ("finished", when(&value["finished_at"])),
        ("duration", duration(record)),
        ("outcome", ending(record)),
        ("attempts", attempts.map_or_else(String::new, |number| number.to_string())),
    ]
}

/// `uid 0, gid 0, pid 42, /usr/bin/wazuh-agent`, as far as it is known.
fn requester(value: &Value) -> String {
    let number = |name: &str| value[name].as_i64().map(|number| format!("{name} {number}"));
    let executable = value["executable"].as_str().map(ToOwned::to_owned);
    let parts = [number("uid"), number("gid"), number("pid"), executable];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// When it expires and who says so; empty once it is finished, because then it does not matter any more.
fn expiry(record: &Record) -> String {
    let at = when(&record.value()["expires_at"]);
    if at.is_empty() || record.is_finished() {
        return String::new();
    }
    let given = record.value()["expiry_given"] == true;
    format!("{at}, {}", if given { "as the asker said" } else { "as is usual for its type" })
}

/// From the acceptance to the end, by the wall clock; 0 if that was set back meanwhile.
fn duration(record: &Record) -> String {
    let finished_at = timestamp(&record.value()["finished_at"]);
    let (Some(from), Some(to)) = (record.accepted_at(), finished_at) else { return String::new() };
    format!("{:.3} s", to.duration_since(from).as_secs_f64().max(0.0))
}

/// `failure, error 2 (refused)`; only the status while nothing is decided.
fn ending(record: &Record) -> String {
    let status = record.text("status");
    let number = record.value()["error"].as_i64().filter(|_| record.is_finished());
    let Some(number) = number else { return status.to_owned() };
    match usize::try_from(number).ok().and_then(|number| ERROR_NAMES.get(number)) {
        Some(name) => format!("{status}, error {number} ({name})"),
        None => format!("{status}, error {number}"),
    }
}

#[cfg(test)]
mod tests {
    use command_manager::ErrorCode;
    use serde_json::json;

    use super::*;

    fn ended_with(error: i64) -> String {
        ending(&Record::new(json!({ "status": "failure", "error": error })).unwrap())
    }

    #[test]
    fn every_error_number_has_a_name() {
        assert_eq!(ended_with(2), "failure, error 2 (refused)");
        assert_eq!(ended_with(9), "failure, error 9 (cancelled)");
        assert_eq!([ended_with(10), ended_with(-1)], ["failure, error 10", "failure, error -1"]);
        for code in ErrorCode::ALL {
            assert!(ended_with(code.code().into()).ends_with(')'), "{code:?} has no name");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_negative_duration() {
        let record = json!({
            "status": "success", "accepted_at": "2026-03-01T10:00:00Z", "finished_at": "2026-03-01T09:00:00Z",
        });
        assert_eq!(duration(&Record::new(record).unwrap()), "0.000 s");
    }
}
