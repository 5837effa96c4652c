//! What became of a command, as text for people: live lines, the outcome, the timeline, the whole record.

use jiff::Timestamp;
use serde_json::Value;

use super::paint::{Paint, Tone, harmless, tone_of};
use super::record::{Record, list, timestamp};
use super::table::{Cell, table};

/// A line for one entry of a history: how long after the acceptance, which stage, which module, and what was said.
pub(super) fn live_line(entry: &Value, accepted_at: Option<Timestamp>, paint: Paint) -> String {
    let at = timestamp(&entry["at"]);
    let since = accepted_at.zip(at).map(|(from, to)| to.duration_since(from).as_secs_f64());
    let since = since.map_or_else(String::new, |seconds| format!("{seconds:+.3} s"));
    let field = |name: &str| harmless(entry[name].as_str().unwrap_or(""));
    let (stage, module, text) = (field("stage"), field("module"), field("text"));
    let subject = if module.is_empty() { text } else { format!("{module}: {text}") };
    let since = paint.text(Tone::Faint, &format!("{since:>11}"));
    format!("{since}  {stage:<10}  {subject}").trim_end().to_owned()
}

/// The end of a command: one line that says it all, then what is known about modules and times.
pub(super) fn outcome(record: &Record, paint: Paint) -> String {
    let mut text = format!("{}\n", headline(record, paint));
    let result = record.result();
    for (name, reason) in list(&result["not_running"]).iter().map(not_running) {
        let line = if reason.is_empty() { name } else { format!("{name}: {reason}") };
        text.push_str(&format!("{} {line}\n", paint.text(Tone::Bad, "not running:")));
    }
    for part in [modules(result, paint), timeline(result, paint)].into_iter().flatten() {
        text.push('\n');
        text.push_str(&part);
    }
    text
}

/// A record with everything that is known about it.
pub(super) fn command(record: &Record, paint: Paint) -> String {
    let value = record.value();
    let mut fields = vec![
        ("command", record.text("id").to_owned()),
        ("type", record.text("type").to_owned()),
        ("target", target(&value["target"])),
        ("reason", record.text("reason").to_owned()),
        ("requester", requester(&value["requester"])),
        ("origin", record.value()["origin"]["moduleName"].as_str().unwrap_or("").to_owned()),
        ("accepted", when(&value["accepted_at"])),
        ("finished", when(&value["finished_at"])),
    ];
    if value["force"] == true {
        fields.push(("forced", "yes".to_owned()));
    }
    if let Some(attempts) = value["attempts"].as_u64().filter(|attempts| *attempts > 1) {
        fields.push(("attempts", attempts.to_string()));
    }
    let mut text = String::new();
    for (name, shown) in fields.iter().filter(|(_, shown)| !shown.is_empty()) {
        let name = paint.text(Tone::Faint, &format!("{name:<10}"));
        text.push_str(&format!("{name}  {}\n", harmless(shown)));
    }
    text.push('\n');
    for entry in record.history() {
        text.push_str(&format!("{}\n", live_line(entry, record.accepted_at(), paint)));
    }
    text.push_str(&format!("\n{}", outcome(record, paint)));
    text
}

/// `success: restarted by helper, down for 12.3 ms, 456.0 ms in all, pid 100 -> 200, generation 1 -> 2`.
pub(super) fn headline(record: &Record, paint: Paint) -> String {
    let status = record.text("status");
    let mut parts = Vec::new();
    let how = summary(record.result());
    if !how.is_empty() {
        parts.push(how);
    }
    for name in ["pid", "generation"] {
        let (old, new) = (&record.result()["old"][name], &record.result()["new"][name]);
        if let (Some(old), Some(new)) = (old.as_i64(), new.as_i64()) {
            parts.push(format!("{name} {old} -> {new}"));
        }
    }
    let last = record.history().last().and_then(|entry| entry["text"].as_str()).unwrap_or("");
    // The text of a success says what the outcome says already.
    if !last.is_empty() && (status != "success" || parts.is_empty()) {
        parts.push(harmless(last));
    }
    let status_text = paint.text(tone_of(status), &harmless(status));
    if parts.is_empty() { status_text } else { format!("{status_text}: {}", parts.join(", ")) }
}

/// `restarted by helper, down for 12.3 ms, 456.0 ms in all`, as far as it is known.
pub(super) fn summary(result: &Value) -> String {
    let Some(outcome) = result["outcome"].as_str() else { return String::new() };
    let mut text = harmless(&outcome.replace('_', " "));
    if let Some(method) = result["method"].as_str() {
        // `in_process` says how, not by what.
        let by = if method.starts_with("in_") { "" } else { "by " };
        text.push_str(&format!(" {by}{}", harmless(&method.replace('_', " "))));
    }
    if let Some(down) = millis(&result["downtime_ms"]) {
        text.push_str(&format!(", down for {down}"));
    }
    if let Some(total) = millis(&result["total_ms"]) {
        text.push_str(&format!(", {total} in all"));
    }
    text
}

/// `all` or the names of modules.
pub(super) fn target(target: &Value) -> String {
    match target.as_str() {
        Some(word) => word.to_owned(),
        None => list(target).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// A time stamp to the second, in UTC; as it is when it is not one.
pub(super) fn when(value: &Value) -> String {
    match timestamp(value) {
        Some(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => value.as_str().unwrap_or("").to_owned(),
    }
}

/// A module that does not run, and why; by its name alone or as an object.
fn not_running(value: &Value) -> (String, String) {
    let name = value.as_str().or_else(|| value["name"].as_str()).unwrap_or("?");
    (harmless(name), harmless(value["reason"].as_str().unwrap_or("")))
}

fn modules(result: &Value, paint: Paint) -> Option<String> {
    let modules = list(&result["modules"]);
    let time = |module: &Value, field| {
        Cell::number(&millis(&module[field]).unwrap_or_else(|| "-".to_owned()))
    };
    let row = |module: &Value| {
        let notes: Vec<&str> = list(&module["notes"]).iter().filter_map(Value::as_str).collect();
        vec![
            Cell::text(module["name"].as_str().unwrap_or("?")),
            time(module, "ready_ms"),
            time(module, "save_ms"),
            time(module, "stop_ms"),
            Cell::text(&notes.join("; ")).tone(Tone::Warning),
        ]
    };
    let rows: Vec<Vec<Cell>> = modules.iter().map(row).collect();
    let headings = ["MODULE", "READY", "SAVE", "STOP", "NOTES"];
    (!rows.is_empty()).then(|| table(&headings, &rows, paint))
}

fn timeline(result: &Value, paint: Paint) -> Option<String> {
    let row = |stamp: &Value| {
        Some(vec![Cell::number(&millis(&stamp["at_ms"])?), Cell::text(stamp["phase"].as_str()?)])
    };
    let rows: Vec<Vec<Cell>> = list(&result["timeline"]).iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| table(&["AT", "PHASE"], &rows, paint))
}

/// `uid 0, pid 42, /usr/bin/wazuh-agent`, as far as it is known.
fn requester(value: &Value) -> String {
    let number = |name: &str| value[name].as_i64().map(|number| format!("{name} {number}"));
    let executable = value["executable"].as_str().map(ToOwned::to_owned);
    let parts = [number("uid"), number("pid"), executable];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A number of milliseconds: whole ones as they are, others to a tenth.
fn millis(value: &Value) -> Option<String> {
    match value.as_u64() {
        Some(whole) => Some(format!("{whole} ms")),
        None => value.as_f64().map(|millis| format!("{millis:.1} ms")),
    }
}
