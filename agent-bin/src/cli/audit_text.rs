//! A command with everything that is known about it, as text for people.

use serde_json::Value;

use super::outcome_text::{outcome, target, when};
use super::paint::{Paint, Tone, harmless};
use super::record::Record;
use super::step_text::live_line;

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

/// `uid 0, pid 42, /usr/bin/wazuh-agent`, as far as it is known.
fn requester(value: &Value) -> String {
    let number = |name: &str| value[name].as_i64().map(|number| format!("{name} {number}"));
    let executable = value["executable"].as_str().map(ToOwned::to_owned);
    let parts = [number("uid"), number("pid"), executable];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
