//! A step of a command as a line for people.

use jiff::Timestamp;
use serde_json::Value;

use super::paint::{Paint, Tone, harmless};
use super::record::timestamp;

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
