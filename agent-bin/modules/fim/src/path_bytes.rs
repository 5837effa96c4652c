//! Paths as bytes: absolute, without a slash at the end, not always UTF-8; base64 where they become JSON.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An absolute path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PathBytes(Vec<u8>);

impl PathBytes {
    /// The path of these bytes.
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// The path of `name` in this folder.
    pub(crate) fn join(&self, name: &[u8]) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.len());
        path.extend_from_slice(&self.0);
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Self(path)
    }

    /// The folder it is in, and its name there; `None` for `/`.
    pub(crate) fn split(&self) -> Option<(Self, &[u8])> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        let name = self.name()?;
        let folder = self.0.get(..slash.max(1))?;
        Some((Self(folder.to_vec()), name))
    }

    /// Its name in the folder it is in; `None` for `/`.
    pub(crate) fn name(&self) -> Option<&[u8]> {
        let slash = self.0.iter().rposition(|byte| *byte == b'/')?;
        self.0.get(slash + 1..).filter(|name| !name.is_empty())
    }

    /// What follows `folder` in this path: `Some(b"")` for the folder itself, `None` for what is not in it.
    pub(crate) fn below(&self, folder: &Self) -> Option<&[u8]> {
        let rest = self.0.strip_prefix(folder.0.as_slice())?;
        match rest {
            [] => Some(rest),
            [b'/', rest @ ..] => Some(rest),
            _ if folder.0 == b"/" => Some(rest),
            _ => None,
        }
    }
}

impl fmt::Display for PathBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().display().fmt(f)
    }
}

impl fmt::Debug for PathBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().fmt(f)
    }
}

impl Serialize for PathBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for PathBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_put_together_and_taken_apart() {
        let root = PathBytes::new("/");
        let etc = root.join(b"etc");
        let file = etc.join(b"\xff\n");
        assert_eq!(file.as_bytes(), b"/etc/\xff\n");
        assert_eq!(file.split(), Some((etc.clone(), b"\xff\n".as_slice())));
        assert_eq!(etc.split(), Some((root.clone(), b"etc".as_slice())));
        assert_eq!(root.split(), None);
    }

    #[test]
    fn below_means_in_a_folder_and_not_only_beginning_like_it() {
        let path = PathBytes::new("/a/bc");
        let below = |folder: &str| path.below(&PathBytes::new(folder)).map(<[u8]>::to_vec);
        assert_eq!(below("/"), Some(b"a/bc".to_vec()));
        assert_eq!(below("/a"), Some(b"bc".to_vec()));
        assert_eq!(below("/a/bc"), Some(Vec::new()));
        assert_eq!(below("/a/b"), None);
    }
}
