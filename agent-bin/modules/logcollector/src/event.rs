//! The events that the module publishes: lines, and warnings about what it could not read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_api::{Event, EventId};
use serde_json::{Map, Value, json};

use crate::lines::{End, Piece};
use crate::position::{FileId, Place, Position};

/// The event for `text`, a line of the file of `position` or a part of one.
pub(crate) fn line(position: &Position, place: Place, text: &[u8], end: End) -> Event {
    let mut event = Map::new();
    match std::str::from_utf8(text) {
        Ok(text) => event.insert("original".to_owned(), text.into()),
        Err(_) => {
            event.insert("original_base64".to_owned(), STANDARD.encode(text).into());
            event.insert("original".to_owned(), String::from_utf8_lossy(text).into())
        }
    };
    let mut log = Map::new();
    // A string, as ECS has it: an inode may be larger than the numbers that JSON readers keep exactly.
    let inode = position.key.inode.to_string();
    log.insert("file".to_owned(), json!({ "path": position.path, "inode": inode }));
    log.insert("offset".to_owned(), place.line_start.into());
    if let Some(part) = place.part {
        log.insert("part".to_owned(), json!({ "index": part.index, "last": part.last }));
    }
    if end == End::Nothing {
        log.insert("unterminated".to_owned(), true.into());
    }
    Event {
        id: EventId(format!("{}:{}", position.file_id, place.offset)),
        fields: [
            ("event".to_owned(), Value::Object(event)),
            ("log".to_owned(), Value::Object(log)),
        ]
        .into_iter()
        .collect(),
    }
}

/// The events for `pieces` of `bytes`, which begin at byte `base` of the file. Moves `position` behind them.
pub(crate) fn lines(
    position: &mut Position,
    base: u64,
    bytes: &[u8],
    pieces: impl Iterator<Item = Piece>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in pieces {
        let place = position.advance(base, bytes, &piece);
        let text = bytes.get(piece.text.clone()).unwrap_or_default();
        events.push(line(position, place, text, piece.end));
    }
    events
}

/// The warning that lines of the file of `position` may be missing. `what` says what happened and what is unknown.
pub(crate) fn gap(position: &Position, what: &str) -> Event {
    let message = format!("{}: {what}", position.path);
    let log = json!({ "file": { "path": position.path }, "offset": position.offset });
    // The same gap found again after a kill has the same id.
    warning(format!("{}:gap:{}", position.file_id, position.offset), message, Some(log))
}

/// The warning that the file or folder at `path` cannot be read.
pub(crate) fn unreadable(path: &str, reason: &str) -> Event {
    let message = format!("{path} cannot be read and is tried again: {reason}");
    warning(fresh_id("unreadable"), message, Some(json!({ "file": { "path": path } })))
}

/// The warning that what an earlier instance left cannot be used.
pub(crate) fn lost_state(reason: String) -> Event {
    warning(fresh_id("state"), reason, None)
}

fn fresh_id(about: &str) -> String {
    format!("{about}:{}", FileId::fresh())
}

fn warning(id: String, message: String, log: Option<Value>) -> Event {
    let mut fields = Map::new();
    fields.insert("event".to_owned(), json!({ "kind": "warning" }));
    fields.insert("message".to_owned(), message.into());
    if let Some(log) = log {
        fields.insert("log".to_owned(), log);
    }
    Event { id: EventId(id), fields }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Pieces;
    use crate::position::FileKey;

    fn events(bytes: &[u8], longest: usize) -> (Position, Vec<Event>) {
        let mut position =
            Position::at_start(FileKey { dev: 1, inode: 7 }, None, "/var/log/x".to_owned());
        let events = lines(&mut position, 0, bytes, Pieces::of(bytes, longest, true));
        (position, events)
    }

    #[test]
    fn a_line_says_where_it_stands() {
        let (position, events) = events("a\né\r\n".as_bytes(), 100);
        assert_eq!(events[1].id.0, format!("{}:2", position.file_id));
        assert_eq!(
            Value::Object(events[1].fields.clone()),
            json!({
                "event": { "original": "é\r" },
                "log": { "file": { "path": "/var/log/x", "inode": "7" }, "offset": 2 },
            })
        );
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_beside_what_can_be_shown() {
        let (_, events) = events(b"\xff!\n", 100);
        let event = &events[0].fields["event"];
        assert_eq!(event["original"], "\u{fffd}!");
        assert_eq!(STANDARD.decode(event["original_base64"].as_str().unwrap()).unwrap(), b"\xff!");
    }

    #[test]
    fn parts_of_one_line_share_its_offset_and_have_their_own_ids() {
        let (position, events) = events(b"0123456789", 6);
        let logs: Vec<_> = events.iter().map(|event| &event.fields["log"]).collect();
        assert_eq!((&logs[0]["offset"], &logs[1]["offset"]), (&json!(0), &json!(0)));
        assert_eq!(logs[0]["part"], json!({ "index": 0, "last": false }));
        assert_eq!(logs[1]["part"], json!({ "index": 1, "last": true }));
        assert_eq!((logs[0].get("unterminated"), &logs[1]["unterminated"]), (None, &json!(true)));
        assert_eq!(events[1].id.0, format!("{}:6", position.file_id));
    }

    #[test]
    fn a_gap_found_twice_has_one_id_and_names_file_and_offset() {
        let (position, _) = events(b"a\n", 100);
        let event = gap(&position, "gone");
        assert_eq!(event.id, gap(&position, "gone").id);
        assert_eq!(event.fields["event"]["kind"], "warning");
        assert_eq!(event.fields["message"], "/var/log/x: gone");
        assert_eq!(event.fields["log"]["offset"], 2);
    }
}
