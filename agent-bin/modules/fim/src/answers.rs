//! The questions that the module answers: `status`, `scan` and `check`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use module_api::{AskError, Question};
use serde_json::{Map, Value, json};

use crate::engine::{Ask, Shared};
use crate::path_bytes::PathBytes;

const VERBS: [&str; 3] = ["status", "scan", "check"];

/// The answer to `question`.
pub(crate) async fn answer(shared: &Shared, question: Question) -> Result<Value, AskError> {
    let Question { verb, arguments } = question;
    let gone = || AskError::Failed("the module is being stopped".to_owned());
    match verb.as_str() {
        "status" => {
            only(&arguments, &[])?;
            shared.ask(Ask::Status).await.ok_or_else(gone)
        }
        "scan" => {
            only(&arguments, &["paths", "paths_base64"])?;
            let paths = paths(&arguments)?;
            match shared.ask(|reply| Ask::Scan(paths, reply)).await.ok_or_else(gone)? {
                Ok(number) => Ok(json!({ "scan": number, "started": true })),
                Err(reason) => Ok(json!({ "started": false, "reason": reason })),
            }
        }
        "check" => {
            only(&arguments, &["path", "path_base64"])?;
            let path = path(&arguments)?;
            let checked = shared.ask(|reply| Ask::Check(path, reply)).await.ok_or_else(gone)?;
            checked.map_err(AskError::Failed)
        }
        _ => Err(AskError::UnknownVerb { verb, known: VERBS.to_vec() }),
    }
}

fn only(arguments: &Map<String, Value>, known: &[&str]) -> Result<(), AskError> {
    match arguments.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(AskError::Invalid(format!(
            "unknown argument {key:?}; expected {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        ))),
        None => Ok(()),
    }
}

fn paths(arguments: &Map<String, Value>) -> Result<Vec<PathBytes>, AskError> {
    let wrong = || AskError::Invalid("paths: expected a list of absolute paths".to_owned());
    let mut all = Vec::new();
    for (key, encoded) in [("paths", false), ("paths_base64", true)] {
        let Some(paths) = arguments.get(key) else { continue };
        for path in paths.as_array().ok_or_else(wrong)? {
            let text = path.as_str().ok_or_else(wrong)?;
            let bytes = if encoded { STANDARD.decode(text).ok() } else { Some(text.into()) };
            all.push(bytes.as_deref().and_then(absolute).ok_or_else(wrong)?);
        }
    }
    Ok(all)
}

fn path(arguments: &Map<String, Value>) -> Result<PathBytes, AskError> {
    let wrong = || AskError::Invalid("path: expected an absolute path".to_owned());
    let text = |key: &str| arguments.get(key).and_then(Value::as_str);
    match text("path_base64") {
        Some(encoded) => {
            let bytes = STANDARD
                .decode(encoded)
                .map_err(|error| AskError::Invalid(format!("path_base64: not base64: {error}")))?;
            absolute(&bytes).ok_or_else(wrong)
        }
        None => text("path").map(str::as_bytes).and_then(absolute).ok_or_else(wrong),
    }
}

/// The path without slashes at its end; `None` when it is not absolute or goes back.
fn absolute(bytes: &[u8]) -> Option<PathBytes> {
    let parts: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && part != b".").collect();
    if !bytes.starts_with(b"/") || bytes.contains(&0) || parts.contains(&b"..".as_slice()) {
        return None;
    }
    Some(PathBytes::new([b"/".as_slice(), &parts.join(&b'/')].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_absolute_and_does_not_go_back() {
        assert_eq!(absolute(b"/a//./b/"), Some(PathBytes::new("/a/b")));
        assert_eq!(absolute(b"/"), Some(PathBytes::new("/")));
        for wrong in ["", "a", "/a/../b", "/a\0"] {
            assert_eq!(absolute(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
