//! What the demonstration shows: a line per step, a line per restart, and the result.

use serde_json::{Value, json};

use super::tally::Tally;

/// Everything that came out.
#[derive(Debug)]
pub(super) struct Report {
    /// Outcome, method and downtime of each restart.
    pub(super) restarts: Vec<Value>,
    /// The count of lines.
    pub(super) tally: Tally,
}

impl Report {
    /// Whether every restart was a clean one and every line was delivered once.
    pub(super) fn is_good(&self) -> bool {
        self.restarts.iter().all(|restart| restart["outcome"] == "restarted")
            && self.tally.lost == 0
            && self.tally.duplicated == 0
    }

    #[expect(clippy::print_stdout, reason = "the result goes to standard output")]
    pub(super) fn print(&self, as_json: bool) {
        let Tally { written, delivered, lost, duplicated } = self.tally;
        if as_json {
            let events = json!({"written": written, "delivered": delivered, "lost": lost, "duplicated": duplicated});
            println!("{}", json!({"restarts": self.restarts, "events": events}));
            return;
        }
        let good = self.restarts.iter().filter(|restart| restart["outcome"] == "restarted").count();
        println!("{good} of {} restarted", self.restarts.len());
        println!(
            "lines: {written} written, {delivered} delivered, {lost} lost, {duplicated} twice"
        );
    }
}

/// One restart as it goes into the result.
pub(super) fn restart_json(record: &Value) -> Value {
    let result = &record["result"];
    json!({
        "outcome": result["outcome"],
        "method": result["method"],
        "downtime_ms": result["downtime_ms"],
        "total_ms": result["total_ms"],
    })
}

/// One restart as a line for people.
pub(super) fn restart_line(number: u32, of: u32, record: &Value, delivered: u64) -> String {
    let result = &record["result"];
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let millis =
        |value: &Value| value.as_f64().map_or_else(|| "?".to_owned(), |ms| format!("{ms} ms"));
    format!(
        "restart {number}/{of}: {} ({}), pid {} -> {}, downtime {}, {} from order to confirmation, {delivered} lines delivered so far",
        text(&result["outcome"]),
        text(&result["method"]),
        result["old"]["pid"],
        result["new"]["pid"],
        millis(&result["downtime_ms"]),
        millis(&result["total_ms"]),
    )
}

/// One step of a restart.
pub(super) fn step_line(number: u32, of: u32, entry: &Value) -> String {
    let words = ["stage", "module", "text"].map(|key| entry[key].as_str().unwrap_or_default());
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("restart {number}/{of}: {}", words.join(" "))
}

/// Whether a command has its final status.
pub(super) fn is_finished(record: &Value) -> bool {
    matches!(record["status"].as_str(), Some("success" | "failure" | "timeout"))
}
