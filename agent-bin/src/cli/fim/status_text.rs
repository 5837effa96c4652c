//! The status of the file integrity monitoring, as text for people.

use serde_json::Value;

use crate::cli::outcome_text::when;
use crate::cli::paint::{Paint, Tone, harmless};
use crate::cli::quantity::{bytes, counted, grouped, lasting};
use crate::cli::record::list;
use crate::cli::table::{Cell, table};

/// The answer of `status`.
pub(super) fn status(body: &Value, paint: Paint) -> String {
    let state = body["state"].as_str().unwrap_or("?");
    let tone = if state == "idle" { Tone::Good } else { Tone::Warning };
    let mut shown = format!("fim: {}\n", paint.text(tone, &harmless(state)));
    for (name, value) in [
        ("baseline", baseline(&body["baseline"])),
        ("scan", under_way(&body["scan"])),
        ("last scan", last(&body["last_scan"])),
        ("next scan", when(&body["next_scan_at"])),
        ("watches", watches(&body["watches"])),
        ("events", events(&body["events"])),
        ("not hashed", body["unhashed"].as_u64().map(|n| counted(n, "file")).unwrap_or_default()),
    ] {
        if !value.is_empty() {
            let name = paint.text(Tone::Faint, &format!("{name:<10}"));
            shown.push_str(&format!("  {name}  {}\n", harmless(&value)));
        }
    }
    for part in [
        rows(&body["watches"]["filesystems"], &["MOUNT POINT", "WATCHED BY", "NOTE"], paint, watch),
        rows(&body["gaps"], &["BLIND FROM", "TO", "FOUND", "REASON"], paint, gap),
        problems(list(&body["problems"]), paint),
    ] {
        if !part.is_empty() {
            shown.push('\n');
            shown.push_str(&part);
        }
    }
    shown
}

/// `#7 (request): 134,000 files in 4.9 s, 27,346 files/s, 1.3 GB/s, 3 changes`
pub(super) fn finished(scan: &Value) -> String {
    let number = |name: &str| scan[name].as_u64();
    let mut parts = vec![number("files").map(|files| counted(files, "file")).unwrap_or_default()];
    if let (Some(first), Some(time)) = (parts.first_mut(), number("duration_ms")) {
        first.push_str(&format!(" in {}", lasting(time)));
    }
    parts.extend(rate(&scan["files_per_second"]).map(|rate| format!("{} files/s", grouped(rate))));
    parts.extend(rate(&scan["bytes_per_second"]).map(|rate| format!("{}/s", bytes(rate))));
    parts.extend(number("changes").map(|changes| counted(changes, "change")));
    parts.extend(resumed(scan));
    format!("{}: {}", heading(scan), parts.join(", "))
}

/// `#7 (request)`
fn heading(scan: &Value) -> String {
    let number = scan["number"].as_u64().map_or_else(|| "#?".to_owned(), |n| format!("#{n}"));
    match scan["reason"].as_str() {
        Some(reason) => format!("{number} ({})", harmless(reason)),
        None => number,
    }
}

fn resumed(scan: &Value) -> Option<String> {
    let times = scan["resumed"].as_u64().filter(|times| *times > 0)?;
    Some(format!("resumed {}", counted(times, "time")))
}

/// A rate may have a fraction, which nobody needs.
fn rate(value: &Value) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let rounded = |rate: f64| rate.round() as u64;
    value.as_u64().or_else(|| value.as_f64().map(rounded))
}

fn baseline(baseline: &Value) -> String {
    let number = |name: &str| baseline[name].as_u64().unwrap_or(0);
    if !baseline.is_object() || baseline["created_at"].is_null() {
        return "none yet".to_owned();
    }
    format!(
        "{}, {}, {}, {}, since {}",
        counted(number("files"), "file"),
        counted(number("folders"), "folder"),
        counted(number("others"), "other"),
        bytes(number("bytes")),
        when(&baseline["created_at"])
    )
}

fn under_way(scan: &Value) -> String {
    if !scan.is_object() {
        return String::new();
    }
    let number = |name: &str| scan[name].as_u64().unwrap_or(0);
    let of = scan["files_expected"].as_u64().map(|n| format!(" of {}", grouped(n)));
    let resumed = resumed(scan).map(|text| format!(", {text}"));
    format!(
        "{} since {}: {}{} files, {}, {}{}",
        heading(scan),
        when(&scan["started_at"]),
        grouped(number("files_done")),
        of.unwrap_or_default(),
        counted(number("folders_done"), "folder"),
        bytes(number("bytes_done")),
        resumed.unwrap_or_default()
    )
}

fn last(scan: &Value) -> String {
    if !scan.is_object() {
        return "none yet".to_owned();
    }
    format!("{}, ended {}", finished(scan), when(&scan["finished_at"]))
}

fn watches(watches: &Value) -> String {
    let Some(kind) = watches["kind"].as_str() else { return String::new() };
    let mut parts = vec![kind.to_owned()];
    parts.extend(watches["folders"].as_u64().map(|folders| counted(folders, "folder")));
    let limit = watches["queue_limit"].as_u64().map(grouped);
    if let Some(queued) = watches["queued_events"].as_u64() {
        let of = limit.map_or_else(String::new, |limit| format!(" of {limit}"));
        parts.push(format!("{}{of} events queued", grouped(queued)));
    } else if let Some(queued) = watches["queued_bytes"].as_u64() {
        // Inotify says bytes, and its limit is one of events.
        let of = limit.map_or_else(String::new, |limit| format!(" (at most {limit} events)"));
        parts.push(format!("{} queued{of}", bytes(queued)));
    }
    parts.join(", ")
}

fn events(events: &Value) -> String {
    let one = |name: &str| Some(format!("{} {name}", grouped(events[name].as_u64()?)));
    let all = ["created", "modified", "deleted", "moved"].into_iter().filter_map(one);
    all.collect::<Vec<_>>().join(", ")
}

fn rows(
    items: &Value,
    headings: &[&str],
    paint: Paint,
    row: impl Fn(&Value) -> Vec<Cell>,
) -> String {
    let rows: Vec<Vec<Cell>> = list(items).iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(headings, &rows, paint) }
}

fn watch(filesystem: &Value) -> Vec<Cell> {
    let text = |name: &str| filesystem[name].as_str().unwrap_or("");
    let tone = if text("kind") == "none" { Tone::Bad } else { Tone::Plain };
    vec![
        Cell::text(text("mount_point")),
        Cell::text(text("kind")).tone(tone),
        Cell::text(text("note")),
    ]
}

fn gap(gap: &Value) -> Vec<Cell> {
    let from = if gap["from"].is_null() { "not known".to_owned() } else { when(&gap["from"]) };
    let found = gap["found"].as_u64().map_or_else(|| "not yet".to_owned(), grouped);
    vec![
        Cell::text(&from).tone(Tone::Warning),
        Cell::text(&when(&gap["to"])),
        Cell::number(&found),
        Cell::text(gap["reason"].as_str().unwrap_or("")),
    ]
}

fn problems(problems: &[Value], paint: Paint) -> String {
    let line = |problem: &Value| {
        let text = harmless(problem.as_str().unwrap_or("?"));
        format!("{} {text}\n", paint.text(Tone::Bad, "problem:"))
    };
    problems.iter().map(line).collect()
}
