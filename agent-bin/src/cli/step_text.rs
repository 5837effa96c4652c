//! A step of a command as a line for people: while one command is followed, and while all of them are watched.

use jiff::Timestamp;
use serde_json::Value;

use super::paint::{Paint, Tone, harmless, tone_of};
use super::record::timestamp;

/// A line for one entry of a history: how long after the acceptance, which stage, and [`what`] was done.
pub(super) fn live_line(entry: &Value, accepted_at: Option<Timestamp>, paint: Paint) -> String {
    let at = timestamp(&entry["at"]);
    let since = accepted_at.zip(at).map(|(from, to)| to.duration_since(from).as_secs_f64());
    let since = since.map_or_else(String::new, |seconds| format!("{seconds:+.3} s"));
    let since = paint.text(Tone::Faint, &format!("{since:>11}"));
    let stage = text(entry, "stage");
    format!("{since}  {stage:<10}  {}", what(entry)).trim_end().to_owned()
}

/// A line for one change of any command: when, which command, of which type, its status, its stage, and [`what`] was
/// done.
pub(super) fn change_line(change: &Value, paint: Paint) -> String {
    let at = match timestamp(&change["at"]) {
        Some(at) => at.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string(),
        None => text(change, "at"),
    };
    let at = paint.text(Tone::Faint, &at);
    let [id, kind, status, stage] =
        ["id", "type", "status", "stage"].map(|name| text(change, name));
    let status = paint.text(tone_of(&status), &format!("{status:<11}"));
    format!("{at}  {id}  {kind:<14}  {status}  {stage:<10}  {}", what(change)).trim_end().to_owned()
}

/// `fim [1/4]: stopped in 3 ms`, without what is not there.
fn what(entry: &Value) -> String {
    let count = &entry["count"];
    let count = count["done"].as_u64().zip(count["total"].as_u64());
    let count = count.map(|(done, total)| format!("[{done}/{total}]"));
    match (text(entry, "module").as_str(), count, text(entry, "text")) {
        ("", None, text) => text,
        ("", Some(count), text) => format!("{count} {text}"),
        (module, None, text) => format!("{module}: {text}"),
        (module, Some(count), text) => format!("{module} {count}: {text}"),
    }
}

fn text(entry: &Value, field: &str) -> String {
    harmless(entry[field].as_str().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Paint = Paint { on: false };

    fn change() -> Value {
        json!({
            "change": 17, "id": "c-1", "type": "restart-agent", "error": 0, "seq": 3,
            "at": "2026-03-01T10:00:00.02Z", "status": "in_progress", "stage": "stopped",
            "module": "fim", "count": { "done": 1, "total": 4 }, "text": "in 3 ms\u{1b}[2J",
        })
    }

    #[test]
    fn a_change_is_one_line_from_which_nothing_escapes() {
        let expected = "2026-03-01 10:00:00.020Z  c-1  restart-agent   in_progress  stopped     fim [1/4]: in 3 ms\\u{1b}[2J";
        assert_eq!(change_line(&change(), PLAIN), expected);
        let coloured = change_line(&change(), Paint { on: true });
        assert!(coloured.contains("\x1b[33min_progress\x1b[0m"), "{coloured}");
    }

    #[test]
    fn what_is_not_there_leaves_no_trace() {
        let shown = |module: Value, count: Value| {
            let entry =
                json!({ "stage": "stopped", "module": module, "count": count, "text": "x" });
            live_line(&entry, None, PLAIN).trim_start().to_owned()
        };
        let count = json!({ "done": 2, "total": 5 });
        assert_eq!(shown(json!("fim"), count.clone()), "stopped     fim [2/5]: x");
        assert_eq!(shown(Value::Null, count), "stopped     [2/5] x");
        assert_eq!(shown(json!("fim"), Value::Null), "stopped     fim: x");
        assert_eq!(shown(Value::Null, json!({ "done": 2 })), "stopped     x");
        assert_eq!(change_line(&json!({ "text": "x" }), PLAIN).trim_start(), "x");
    }
}
