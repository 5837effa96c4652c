//! What a name is, as texts under the names that the events use: read from the disk, or from an event.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Attributes by the words of `fim.changed`; an owner is its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes(BTreeMap<&'static str, String>);

const FILE: &[&str] =
    &["type", "size", "mode", "owner", "group", "mtime", "inode", "device", "hash"];
const LINK: &[&str] = &["type", "owner", "group", "mtime", "inode", "device", "target"];
const OTHER: &[&str] = &["type", "mode", "owner", "group", "mtime", "inode", "device"];
/// Size and time of a folder follow from what is in it.
const FOLDER: &[&str] = &["type", "mode", "owner", "group"];

impl Attributes {
    /// What is at `path`, which is not followed when it is a link.
    pub(crate) fn of_disk(path: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(path)?;
        let mut all = BTreeMap::from([
            ("type", kind(&meta).to_owned()),
            ("size", meta.size().to_string()),
            ("mode", format!("{:04o}", meta.mode() & 0o7777)),
            ("owner", meta.uid().to_string()),
            ("group", meta.gid().to_string()),
            ("mtime", nanoseconds(&meta).to_string()),
            ("inode", meta.ino().to_string()),
            ("device", device(&meta)),
        ]);
        if meta.is_file() {
            all.insert("hash", hex(&Sha256::digest(fs::read(path)?)));
        }
        if meta.is_symlink() {
            let target = fs::read_link(path)?;
            all.insert("target", exact(&target));
        }
        Ok(Self(all))
    }

    /// What an event says under `file` or `fim.old`: only what it says.
    pub(crate) fn of_event(file: &Value) -> Result<Self, String> {
        let text = |key: &str| file[key].as_str().map(str::to_owned);
        let mut all = BTreeMap::new();
        for (name, key) in [
            ("type", "type"),
            ("mode", "mode"),
            ("owner", "uid"),
            ("group", "gid"),
            ("inode", "inode"),
            ("device", "device"),
        ] {
            all.extend(text(key).map(|value| (name, value)));
        }
        all.extend(file["size"].as_u64().map(|size| ("size", size.to_string())));
        if let Some(mtime) = text("mtime") {
            let time: jiff::Timestamp =
                mtime.parse().map_err(|error| format!("mtime {mtime:?}: {error}"))?;
            all.insert("mtime", time.as_nanosecond().to_string());
        }
        if let Some(target) = path(file, "target_path")? {
            all.insert("target", exact(&target));
        }
        all.extend(file["hash"]["sha256"].as_str().map(|hash| ("hash", hash.to_owned())));
        Ok(Self(all))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.get("type") == Some("dir")
    }

    /// What counts for such a thing.
    pub(crate) fn that_count(&self) -> &'static [&'static str] {
        match self.get("type") {
            Some("file") => FILE,
            Some("dir") => FOLDER,
            Some("symlink") => LINK,
            _ => OTHER,
        }
    }

    /// The names of what counts and is not the same in `other`.
    pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
        if self.get("type") != other.get("type") {
            return vec!["type"];
        }
        let differs = |name: &&&str| self.get(name) != other.get(name);
        self.that_count().iter().filter(differs).copied().collect()
    }

    /// Changes one attribute, to doctor what is right.
    #[cfg(test)]
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.0.insert(name, value.to_owned());
    }
}

/// A path of an event: `key`, unless `key` is not exact and `key_base64` is.
pub(crate) fn path(object: &Value, key: &str) -> Result<Option<PathBuf>, String> {
    if let Some(exact) = object[format!("{key}_base64")].as_str() {
        let bytes = STANDARD.decode(exact).map_err(|error| format!("{key}_base64: {error}"))?;
        return Ok(Some(PathBuf::from(OsString::from_vec(bytes))));
    }
    Ok(object[key].as_str().map(PathBuf::from))
}

/// A path as text, and as base64 where it is none.
fn exact(path: &Path) -> String {
    let encoded = || format!("base64:{}", STANDARD.encode(path.as_os_str().as_bytes()));
    path.to_str().map_or_else(encoded, str::to_owned)
}

fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "symlink",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () if kind.is_char_device() => "char_device",
        () => "block_device",
    }
}

fn nanoseconds(meta: &Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

fn device(meta: &Metadata) -> String {
    let device = meta.dev();
    format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
