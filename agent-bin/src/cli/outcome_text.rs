//! What became of a command, as text for people: the outcome, the modules, the timeline.

use serde_json::Value;

use super::paint::{Paint, Tone, harmless, tone_of};
use super::record::{Record, list, timestamp};
use super::table::{Cell, table};

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
    let gap = |module: &Value| &result["events"][module["name"].as_str().unwrap_or("?")];
    // The first events may come long after the restart, so mostly there is nothing to show yet.
    let gaps = modules.iter().any(|module| gap(module)["gap_ms"].is_u64());
    let row = |module: &Value| {
        let notes: Vec<&str> = list(&module["notes"]).iter().filter_map(Value::as_str).collect();
        let mut row = vec![
            Cell::text(module["name"].as_str().unwrap_or("?")),
            time(module, "ready_ms"),
            time(module, "save_ms"),
            time(module, "stop_ms"),
            Cell::text(&notes.join("; ")).tone(Tone::Warning),
        ];
        if gaps {
            row.insert(row.len() - 1, time(gap(module), "gap_ms"));
        }
        row
    };
    let rows: Vec<Vec<Cell>> = modules.iter().map(row).collect();
    let mut headings = vec!["MODULE", "READY", "SAVE", "STOP", "NOTES"];
    if gaps {
        headings.insert(headings.len() - 1, "EVENT GAP");
    }
    (!rows.is_empty()).then(|| table(&headings, &rows, paint))
}

fn timeline(result: &Value, paint: Paint) -> Option<String> {
    let row = |stamp: &Value| {
        Some(vec![Cell::number(&millis(&stamp["at_ms"])?), Cell::text(stamp["phase"].as_str()?)])
    };
    let rows: Vec<Vec<Cell>> = list(&result["timeline"]).iter().filter_map(row).collect();
    (!rows.is_empty()).then(|| table(&["AT", "PHASE"], &rows, paint))
}

/// A number of milliseconds: whole ones as they are, others to a tenth.
pub(super) fn millis(value: &Value) -> Option<String> {
    match value.as_u64() {
        Some(whole) => Some(format!("{whole} ms")),
        None => value.as_f64().map(|millis| format!("{millis:.1} ms")),
    }
}
