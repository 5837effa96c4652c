//! A watcher that is always right: it looks at everything after each operation, and writes what an agent has to.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::attributes::Attributes;
use crate::snapshot::{Tree, snapshot, with_all_below};

/// What it knows, and what it has written.
#[derive(Debug)]
pub(crate) struct Fake {
    root: PathBuf,
    known: Tree,
    pub(crate) lines: Vec<Value>,
}

impl Fake {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), known: snapshot(root), lines: Vec::new() }
    }

    /// Looks again.
    pub(crate) fn look(&mut self) {
        let now = snapshot(&self.root);
        self.find_moved(&now);
        let gone = self.known.keys().filter(|path| !now.contains_key(*path));
        for path in gone.cloned().collect::<Vec<_>>().into_iter().rev() {
            self.delete(&path);
        }
        for (path, is) in &now {
            match self.known.get(path).cloned() {
                None => self.write("created", path, is, None, &Value::Null),
                Some(was) => {
                    let changed = was.differences(is);
                    if !changed.is_empty() {
                        self.write("modified", path, is, None, &changes(&was, &changed));
                    }
                }
            }
        }
        self.known = now;
    }

    /// A file that nobody could see any more.
    pub(crate) fn short_lived(&mut self, path: &Path) {
        self.write("created", path, &Attributes::default(), None, &json!({ "short_lived": true }));
        self.write("deleted", path, &Attributes::default(), None, &json!({ "short_lived": true }));
    }

    /// What has another path now and was at no other one before.
    fn find_moved(&mut self, now: &Tree) {
        let same = |one: &Attributes, other: &Attributes| {
            ["type", "inode"].iter().all(|name| one.get(name) == other.get(name))
        };
        let before = self.known.clone();
        for (from, was) in &before {
            let stays = now.get(from).is_some_and(|is| same(was, is));
            let still_there = self.known.get(from).is_some_and(|known| same(was, known));
            if stays || !still_there {
                continue;
            }
            let free = |(path, is): &(&PathBuf, &Attributes)| {
                same(was, is)
                    && !self.known.get(*path).is_some_and(|known| same(known, is))
                    && path.parent().is_some_and(|folder| self.known.contains_key(folder))
                    && !path.starts_with(from)
                    && !from.starts_with(path)
            };
            if let Some((to, is)) = now.iter().find(free) {
                self.move_to(from, to, was, is);
            }
        }
    }

    fn move_to(&mut self, from: &Path, to: &Path, was: &Attributes, is: &Attributes) {
        for path in with_all_below(&self.known, to).into_iter().rev() {
            self.delete(&path);
        }
        let changed = was.differences(is);
        self.write("moved", to, is, Some(from), &changes(was, &changed));
        for path in with_all_below(&self.known, from) {
            let rest = path.strip_prefix(from).unwrap();
            let to = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            let attributes = self.known.remove(&path).unwrap();
            self.known.insert(to, attributes);
        }
        self.known.insert(to.to_owned(), is.clone());
    }

    fn delete(&mut self, path: &Path) {
        self.known.remove(path);
        self.write("deleted", path, &Attributes::default(), None, &Value::Null);
    }

    fn write(
        &mut self,
        action: &str,
        path: &Path,
        is: &Attributes,
        from: Option<&Path>,
        fim: &Value,
    ) {
        let kind = match action {
            "created" => "creation",
            "deleted" => "deletion",
            _ => "change",
        };
        let mut file = fields(is);
        set_path(&mut file, "path", path);
        let mut fim = if fim.is_null() { json!({}) } else { fim.clone() };
        fim["detected"] = "realtime".into();
        if let Some(from) = from {
            set_path(&mut fim, "previous_path", from);
        }
        self.lines.push(json!({
            "id": format!("id-{}", self.lines.len()),
            "module": "fim",
            "event": { "kind": "event", "category": ["file"], "type": [kind], "action": action },
            "file": file,
            "fim": fim,
        }));
    }
}

fn changes(was: &Attributes, changed: &[&str]) -> Value {
    let names: BTreeSet<&str> = changed.iter().copied().collect();
    json!({ "changed": names, "old": fields(was) })
}

fn set_path(object: &mut Value, key: &str, path: &Path) {
    object[key] = path.to_string_lossy().into_owned().into();
    if path.to_str().is_none() {
        object[format!("{key}_base64")] = STANDARD.encode(path.as_os_str().as_bytes()).into();
    }
}

/// Attributes as an event has them.
fn fields(is: &Attributes) -> Value {
    let mut file = json!({});
    for (name, key) in [
        ("type", "type"),
        ("mode", "mode"),
        ("owner", "uid"),
        ("group", "gid"),
        ("inode", "inode"),
        ("device", "device"),
    ] {
        if let Some(value) = is.get(name) {
            file[key] = value.into();
        }
    }
    if let Some(target) = is.get("target") {
        match target.strip_prefix("base64:") {
            Some(encoded) => file["target_path_base64"] = encoded.into(),
            None => file["target_path"] = target.into(),
        }
    }
    if let Some(size) = is.get("size") {
        file["size"] = size.parse::<u64>().unwrap().into();
    }
    if let Some(mtime) = is.get("mtime") {
        let time = jiff::Timestamp::from_nanosecond(mtime.parse().unwrap()).unwrap();
        file["mtime"] = time.to_string().into();
    }
    if let Some(hash) = is.get("hash") {
        file["hash"] = json!({ "sha256": hash });
    }
    file
}
