//! The events that the module publishes, under their ECS names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use module_api::{Event, EventId};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::change::{Change, Detected, What, differences};
use crate::config::Attribute;
use crate::entry::{Entry, Kind, Unhashed};
use crate::path_bytes::PathBytes;
use crate::watch::Process;

/// The events of `change`, of which `watched` are the attributes that count: two for what was short-lived, none for a
/// modification of nothing that counts, else one. `before` is how many changes of this path the same window had before.
pub(crate) fn of(change: &Change, watched: &[Attribute], before: u32) -> Vec<Event> {
    let event = |change, action, kind, file, fim| event(change, before, action, kind, file, fim);
    match &change.what {
        What::Created(entry) => {
            vec![event(change, "created", "creation", attributes(&change.path, entry), Map::new())]
        }
        What::Deleted(entry) => {
            vec![event(change, "deleted", "deletion", attributes(&change.path, entry), Map::new())]
        }
        What::Modified { old, new, diff } => {
            let changed = differences(old, new, watched);
            if changed.is_empty() {
                return Vec::new();
            }
            let mut fim = Map::new();
            fim.insert("changed".to_owned(), changed.iter().map(|one| word(*one)).collect());
            fim.insert("old".to_owned(), Value::Object(some_of(old, &changed)));
            if let Some(diff) = diff {
                fim.insert("diff".to_owned(), diff.as_str().into());
            }
            vec![event(change, "modified", "change", attributes(&change.path, new), fim)]
        }
        What::Moved { from, entry, .. } => {
            let mut fim = Map::new();
            put_path(&mut fim, "previous_path", from.as_bytes());
            vec![event(change, "moved", "change", attributes(&change.path, entry), fim)]
        }
        What::ShortLived { folder, .. } => {
            let kind = if *folder { Kind::Folder } else { Kind::File };
            let mut file = Map::new();
            put_path(&mut file, "path", change.path.as_bytes());
            file.insert("type".to_owned(), kind_word(kind).into());
            let fim = Map::from_iter([("short_lived".to_owned(), Value::Bool(true))]);
            vec![
                event(change, "created", "creation", file.clone(), fim.clone()),
                event(change, "deleted", "deletion", file, fim),
            ]
        }
    }
}

/// An event about the module itself: `action` in the past tense, `message` for people, `fim` for programs. The same
/// `mark` gives the same id.
pub(crate) fn state(action: &str, mark: &str, message: String, fim: Value) -> Event {
    let mut fields = Map::new();
    fields.insert("event".to_owned(), json!({ "kind": "state", "action": action }));
    fields.insert("message".to_owned(), message.into());
    fields.insert("fim".to_owned(), fim);
    Event { id: id(&[action.as_bytes(), mark.as_bytes()]), fields }
}

/// The attributes of `entry` as events and answers show them.
pub(crate) fn attributes(path: &PathBytes, entry: &Entry) -> Map<String, Value> {
    let mut file = Map::new();
    put_path(&mut file, "path", path.as_bytes());
    file.insert("type".to_owned(), kind_word(entry.kind).into());
    file.extend(some_of(entry, &Attribute::ALL));
    file
}

/// The word of an attribute, as in the configuration.
pub(crate) fn word(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::Size => "size",
        Attribute::Mode => "mode",
        Attribute::Owner => "owner",
        Attribute::Group => "group",
        Attribute::Mtime => "mtime",
        Attribute::Inode => "inode",
        Attribute::Device => "device",
        Attribute::Target => "target",
        Attribute::Hash => "hash",
    }
}

/// Nanoseconds since 1970 as RFC 3339; what no calendar has stays a number.
pub(crate) fn time(nanos: i64) -> Value {
    match Timestamp::from_nanosecond(i128::from(nanos)) {
        Ok(time) => time.to_string().into(),
        Err(_) => nanos.into(),
    }
}

fn some_of(entry: &Entry, wanted: &[Attribute]) -> Map<String, Value> {
    let mut file = Map::new();
    for attribute in wanted {
        match attribute {
            Attribute::Size => drop(file.insert("size".to_owned(), entry.size.into())),
            Attribute::Mode => {
                drop(file.insert("mode".to_owned(), format!("{:04o}", entry.mode).into()))
            }
            Attribute::Owner => {
                put_owner(&mut file, ["uid", "owner"], entry.uid, entry.user.as_deref())
            }
            Attribute::Group => {
                put_owner(&mut file, ["gid", "group"], entry.gid, entry.group.as_deref())
            }
            Attribute::Mtime => drop(file.insert("mtime".to_owned(), time(entry.mtime))),
            // A string, as ECS has it: an inode may be larger than the numbers that JSON readers keep exactly.
            Attribute::Inode => {
                drop(file.insert("inode".to_owned(), entry.inode.to_string().into()))
            }
            Attribute::Device => {
                drop(file.insert("device".to_owned(), device(entry.device).into()))
            }
            Attribute::Target => {
                if let Some(target) = &entry.target {
                    put_path(&mut file, "target_path", target);
                }
            }
            Attribute::Hash => put_hash(&mut file, entry),
        }
    }
    file
}

fn put_owner(
    file: &mut Map<String, Value>,
    [id, name]: [&str; 2],
    number: u32,
    text: Option<&str>,
) {
    file.insert(id.to_owned(), number.to_string().into());
    if let Some(text) = text {
        file.insert(name.to_owned(), text.into());
    }
}

fn put_hash(file: &mut Map<String, Value>, entry: &Entry) {
    let mut hash = Map::new();
    let digests = &entry.digests;
    let mut put = |name: &str, bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            hash.insert(name.to_owned(), hex(bytes).into());
        }
    };
    put("sha256", digests.sha256.as_ref().map(<[u8; 32]>::as_slice));
    put("sha1", digests.sha1.as_ref().map(<[u8; 20]>::as_slice));
    put("md5", digests.md5.as_ref().map(<[u8; 16]>::as_slice));
    if !hash.is_empty() {
        file.insert("hash".to_owned(), Value::Object(hash));
    }
    if let Some(unhashed) = &entry.unhashed {
        let why = match unhashed {
            Unhashed::TooLarge => "larger than max_hash_size".to_owned(),
            Unhashed::Unreadable(reason) => format!("cannot be read: {reason}"),
            Unhashed::KeptChanging => "it changed again and again while it was read".to_owned(),
            Unhashed::OwnFile => "a file of the agent itself, which must not be opened".to_owned(),
        };
        file.insert("unhashed".to_owned(), why.into());
    }
}

fn put_path(file: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    file.insert(key.to_owned(), String::from_utf8_lossy(bytes).into());
    if std::str::from_utf8(bytes).is_err() {
        file.insert(format!("{key}_base64"), STANDARD.encode(bytes).into());
    }
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "dir",
        Kind::Link => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "char_device",
        Kind::BlockDevice => "block_device",
    }
}

fn device(number: u64) -> String {
    format!("{}:{}", rustix::fs::major(number), rustix::fs::minor(number))
}

fn event(
    change: &Change,
    before: u32,
    action: &str,
    kind: &str,
    file: Map<String, Value>,
    mut fim: Map<String, Value>,
) -> Event {
    // It is the same change if it was noticed by the same, leads from the same to the same, and is the same one in its window: a
    // file may come back under its name, and go again. The times of the last change count as well: they are not shown.
    let life = match &change.what {
        What::ShortLived { .. } => String::new(),
        What::Moved { .. } => before.to_string(),
        What::Created(entry) | What::Deleted(entry) => format!("{} {before}", entry.ctime),
        What::Modified { old, new, .. } => format!("{} {} {before}", old.ctime, new.ctime),
    };
    let looks = json!([&fim, &file]).to_string();
    let parts = [action, &looks, &life, &change.mark].map(str::as_bytes);
    let id = id(&[parts.as_slice(), &[change.path.as_bytes()]].concat());
    fim.insert("detected".to_owned(), change.detected.as_str().into());
    if let (Detected::Realtime, None) = (change.detected, &change.by) {
        fim.insert("process_unknown".to_owned(), true.into());
    }
    let mut fields = Map::new();
    let about = json!({ "kind": "event", "category": ["file"], "type": [kind], "action": action });
    fields.insert("event".to_owned(), about);
    fields.insert("file".to_owned(), Value::Object(file));
    fields.insert("fim".to_owned(), Value::Object(fim));
    if let Some(process) = &change.by {
        fields.insert("process".to_owned(), who(process));
    }
    Event { id, fields }
}

fn who(process: &Process) -> Value {
    let mut who = Map::new();
    who.insert("pid".to_owned(), process.pid.into());
    if let Some(executable) = &process.executable {
        who.insert("executable".to_owned(), executable.as_str().into());
    }
    if let Some(name) = &process.name {
        who.insert("name".to_owned(), name.as_str().into());
    }
    if let Some(parent) = process.parent {
        who.insert("parent".to_owned(), json!({ "pid": parent }));
    }
    let id = |id: u32| json!({ "id": id.to_string() });
    who.extend(process.uid.map(|uid| ("user".to_owned(), id(uid))));
    who.extend(process.gid.map(|gid| ("group".to_owned(), id(gid))));
    who.extend(process.login_uid.map(|uid| ("attested_user".to_owned(), id(uid))));
    if process.ended {
        // It was gone when it was asked: nothing but its number is known.
        who.insert("ended".to_owned(), true.into());
    }
    Value::Object(who)
}

fn id(parts: &[&[u8]]) -> EventId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    EventId(hex(hash.finalize().get(..16).unwrap_or_default()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
        text
    })
}
