//! A step of a command as a line for people.

use jiff::Timestamp;
use serde_json::Value;

use super::paint::{Paint, Tone, harmless};
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
    }
}
