//! Status, modules and the list of commands, as text for people.

use serde_json::Value;

use super::outcome_text::{millis, summary, target, when};
use super::paint::{Paint, Tone, harmless, tone_of};
use super::record::list;
use super::table::{Cell, table};

/// The answer of `GET /v1/status`.
pub(super) fn status(body: &Value, paint: Paint) -> String {
    let text = |field: &str| body[field].as_str().unwrap_or("").to_owned();
    let number = |field: &str| body[field].as_u64().map_or_else(String::new, |n| n.to_string());
    let up = body["uptime_s"].as_u64().map_or_else(String::new, |s| format!(" (up {})", uptime(s)));
    let restarts = [text("method"), text("unit")].map(|part| harmless(&part));
    let restarts: Vec<String> = restarts.into_iter().filter(|part| !part.is_empty()).collect();
    let state = text("state");
    let mut shown = format!(
        "wazuh-agent {}: {}\n",
        harmless(&text("version")),
        paint.text(tone_of(&state), &harmless(&state))
    );
    for (name, value) in [
        ("pid", number("pid")),
        ("generation", number("generation")),
        ("started", format!("{}{up}", when(&body["started_at"]))),
        ("restarts by", restarts.join(", ")),
        ("config", text("config")),
        ("state", text("state_dir")),
        ("events", counts(&body["spool"])),
        ("last restart", summary(&body["last_restart"])),
        ("restarts", restarts_so_far(&body["restarts"])),
    ] {
        if !value.is_empty() {
            let name = paint.text(Tone::Faint, &format!("{name:<12}"));
            shown.push_str(&format!("  {name}  {}\n", harmless(&value)));
        }
    }
    shown.push('\n');
    shown.push_str(&modules(body, paint));
    shown
}

/// The `modules` of `GET /v1/modules` and `GET /v1/status`, and what to do about those that are quarantined.
pub(super) fn modules(body: &Value, paint: Paint) -> String {
    let modules = list(&body["modules"]);
    if modules.is_empty() {
        return "no modules\n".to_owned();
    }
    let threads = |module: &Value| module["threads_left"].as_u64().unwrap_or(0);
    // What hangs is rare and ends with the process, so there is a column for it only when there is something in it.
    let hangs = modules.iter().any(|module| threads(module) > 0);
    let row = |module: &Value| {
        let mut row = module_row(module);
        let threads = threads(module);
        let shown = if threads > 0 { threads.to_string() } else { String::new() };
        if hangs {
            row.insert(row.len() - 1, Cell::number(&shown).tone(Tone::Bad));
        }
        row
    };
    let rows: Vec<Vec<Cell>> = modules.iter().map(row).collect();
    let mut headings = vec!["MODULE", "STATE", "SINCE", "FAILURES", "LAST ERROR"];
    if hangs {
        headings.insert(headings.len() - 1, "THREADS LEFT");
    }
    let mut shown = table(&headings, &rows, paint);
    for module in modules.iter().filter(|module| module["state"] == "quarantined") {
        let name = harmless(module["name"].as_str().unwrap_or("?"));
        shown.push_str(&format!(
            "\n{name} failed too often and is not started again by itself: `wazuh-agent restart --module {name}` starts it\n"
        ));
    }
    shown
}

fn module_row(module: &Value) -> Vec<Cell> {
    let state = module["state"].as_str().unwrap_or("");
    let enabled = module["enabled"].as_bool().unwrap_or(true);
    // A module that is switched off is stopped by intent.
    let state = if enabled { state.to_owned() } else { "disabled".to_owned() };
    let tone = if enabled { tone_of(&state) } else { Tone::Faint };
    let failures = module["failures"].as_u64().unwrap_or(0);
    vec![
        Cell::text(module["name"].as_str().unwrap_or("?")),
        Cell::text(&state).tone(tone),
        Cell::text(&when(&module["since"])),
        Cell::number(&failures.to_string()),
        Cell::text(module["last_error"].as_str().unwrap_or("")).tone(Tone::Bad),
    ]
}

/// The answer of `GET /v1/commands`.
pub(super) fn commands(body: &Value, paint: Paint) -> String {
    let row = |record: &Value| {
        let text = |field: &str| record[field].as_str().unwrap_or("").to_owned();
        let status = text("status");
        vec![
            Cell::text(&when(&record["accepted_at"])),
            Cell::text(&text("id")),
            Cell::text(&text("type")),
            Cell::text(&target(&record["target"])),
            Cell::text(&status).tone(tone_of(&status)),
            Cell::text(record["result"]["outcome"].as_str().unwrap_or("")),
            Cell::text(&text("reason")),
        ]
    };
    let rows: Vec<Vec<Cell>> = list(&body["commands"]).iter().map(row).collect();
    if rows.is_empty() {
        return "no commands\n".to_owned();
    }
    let headings = ["ACCEPTED", "ID", "TYPE", "TARGET", "STATUS", "OUTCOME", "REASON"];
    table(&headings, &rows, paint)
}

/// `12, down for 31 ms (p50), 45 ms (p95), 60 ms (max)`: the restarts in the history; empty if there are none.
fn restarts_so_far(restarts: &Value) -> String {
    let Some(count) = restarts["count"].as_u64().filter(|count| *count > 0) else {
        return String::new();
    };
    let time =
        |name: &str| millis(&restarts["downtime_ms"][name]).map(|time| format!("{time} ({name})"));
    let times: Vec<String> = ["p50", "p95", "max"].into_iter().filter_map(time).collect();
    if times.is_empty() {
        return count.to_string();
    }
    format!("{count}, down for {}", times.join(", "))
}

/// `9 delivered, 12 stored`: every number of an object with its name, but for positions.
fn counts(value: &Value) -> String {
    let fields =
        value.as_object().into_iter().flatten().filter(|(name, _)| !name.ends_with("_seq"));
    let count = |(name, value): (&String, &Value)| {
        value.as_u64().map(|number| format!("{number} {}", name.replace('_', " ")))
    };
    fields.filter_map(count).collect::<Vec<_>>().join(", ")
}

/// The two largest units: `5s`, `3m 5s`, `2h 3m`, `1d 2h`.
fn uptime(seconds: u64) -> String {
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m")];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(units.len());
    let all = units.into_iter().chain([(seconds % 60, "s")]);
    let shown = all.skip(first).take(2).map(|(count, unit)| format!("{count}{unit}"));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_has_its_two_largest_units() {
        let shown = [0, 59, 185, 3600, 93_784].map(uptime);
        assert_eq!(shown, ["0s", "59s", "3m 5s", "1h 0m", "1d 2h"]);
    }
}
