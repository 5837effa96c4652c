//! Paths as the module knows them: absolute, and any bytes.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::cli::error::CliError;

/// `path` from the root on. Symbolic links stay, also the last one; a folder above a `..` alone has to be looked up,
/// because what is above it depends on where it is.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    let wrong = |source| CliError::Path { path: path.to_owned(), source };
    let whole = std::path::absolute(path).map_err(wrong)?;
    // Collected, so that there is no `/` at the end.
    let parts: Vec<Component<'_>> = whole.components().collect();
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else {
        return Ok(parts.iter().collect());
    };
    let (above, below) = parts.split_at(last + 1);
    let above = above.iter().collect::<PathBuf>().canonicalize().map_err(wrong)?;
    Ok(below.iter().fold(above, |path, part| path.join(part)))
}

/// `path` as an argument: as text, or its bytes if it is not UTF-8.
pub(super) fn argument(path: &Path) -> Map<String, Value> {
    let (name, value) = match path.to_str() {
        Some(text) => ("path", text.to_owned()),
        None => ("path_base64", STANDARD.encode(path.as_os_str().as_bytes())),
    };
    Map::from_iter([(name.to_owned(), value.into())])
}

/// Paths as arguments: those that are UTF-8 in `paths`, others, if there are any, in `paths_base64`.
pub(super) fn arguments(paths: &[PathBuf]) -> Map<String, Value> {
    let mut lists = Map::from_iter([("paths".to_owned(), Value::Array(Vec::new()))]);
    for (name, value) in paths.iter().flat_map(|path| argument(path)) {
        let list = if name == "path" { "paths" } else { "paths_base64" };
        let list = lists.entry(list).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_made_absolute_and_its_links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("deep/er")).unwrap();
        symlink("deep/er", root.join("link")).unwrap();
        for (path, expected) in [
            ("link", "link"),
            ("./link/", "link"),
            ("link/x", "link/x"),
            // `link/..` is where the kernel goes.
            ("link/../x", "deep/x"),
            ("deep/../link", "link"),
        ] {
            assert_eq!(absolute(&root.join(path)).unwrap(), root.join(expected), "{path}");
        }
        let here = std::path::absolute("x").unwrap();
        assert_eq!(absolute(Path::new("./x")).unwrap(), here);
        let error = absolute(&root.join("missing/../x")).unwrap_err().to_string();
        assert!(error.contains("missing/../x") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_is_not_utf_8_goes_as_its_bytes() {
        let odd = Path::new(OsStr::from_bytes(b"/a\xff"));
        assert_eq!(argument(odd), *json!({ "path_base64": "L2H/" }).as_object().unwrap());
        let paths = [PathBuf::from("/etc"), odd.to_owned(), PathBuf::from("/usr")];
        let expected = json!({ "paths": ["/etc", "/usr"], "paths_base64": ["L2H/"] });
        assert_eq!(Value::Object(arguments(&paths)), expected);
        assert_eq!(Value::Object(arguments(&[])), json!({ "paths": [] }));
    }
}
