//! The text of an event as it is stored and delivered: a JSON object in one line.

use jiff::Timestamp;
use module_api::{Event, EventId, ModuleName};
use serde_json::Value;

/// An event whose text is made except for the time of its acceptance, so that the spool's thread has little to do.
#[derive(Debug)]
pub(super) struct PreparedEvent {
    pub(super) id: EventId,
    /// The JSON object without its opening brace; never empty, because it holds `id` and `module`.
    rest: String,
}

impl PreparedEvent {
    /// The agent's own keys win over keys of the same name that the module must not set.
    pub(super) fn new(module: &ModuleName, event: Event) -> Self {
        let Event { id, mut fields } = event;
        fields.remove(TIMESTAMP);
        fields.insert("id".to_owned(), Value::String(id.0.clone()));
        fields.insert("module".to_owned(), Value::String(module.as_str().to_owned()));
        let mut rest = Value::Object(fields).to_string();
        rest.remove(0);
        Self { id, rest }
    }

    /// The whole text of an event that is accepted at `at`.
    pub(super) fn body(&self, at: Timestamp) -> String {
        format!("{{\"{TIMESTAMP}\":\"{at:.6}\",{}", self.rest)
    }
}

const TIMESTAMP: &str = "@timestamp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_one_line_of_json_with_id_module_and_time_of_acceptance() {
        let fields = serde_json::json!({
            "message": "two\nlines", "id": "forged", "module": "forged", "@timestamp": "forged",
        });
        let Value::Object(fields) = fields else { panic!("an object") };
        let event = Event { id: EventId("e-1".to_owned()), fields };
        let prepared = PreparedEvent::new(&ModuleName::new("fim").unwrap(), event);
        let body = prepared.body("2024-05-06T07:08:09.5Z".parse().unwrap());
        assert!(!body.contains('\n'));
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap(),
            serde_json::json!({
                "@timestamp": "2024-05-06T07:08:09.500000Z",
                "id": "e-1", "module": "fim", "message": "two\nlines",
            })
        );
        assert_eq!(body.matches("@timestamp").count(), 1);
    }
}
