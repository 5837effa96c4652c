//! Gets the text of the configuration file, or says why not.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::MAX_FILE_SIZE;
use super::problem::Problem;

/// The text of the file at `path`; a missing file is a problem.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    read_bytes(path).map_err(|error| cannot_be_read(path, &error)).and_then(|b| decode(path, b))
}

/// The text of the file at `path`, or `None` when there is no such file.
pub(super) fn read_if_present(path: &Path) -> Result<Option<String>, Problem> {
    match read_bytes(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_be_read(path, &error)),
        Ok(bytes) => decode(path, bytes).map(Some),
    }
}

/// Refuses a text that is longer than [`MAX_FILE_SIZE`].
pub(super) fn check_size(path: &Path, bytes: usize) -> Result<(), Problem> {
    if u64::try_from(bytes).is_ok_and(|bytes| bytes <= MAX_FILE_SIZE) {
        return Ok(());
    }
    Err(Problem::of_file(path, format!("is longer than {MAX_FILE_SIZE} bytes")))
}

/// At most one byte more than allowed: enough to see that the file is too long.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before opening, because opening a pipe waits for somebody who writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn cannot_be_read(path: &Path, error: &io::Error) -> Problem {
    Problem::of_file(path, format!("cannot be read: {error}"))
}

fn decode(path: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    // Before the decoding: a text cut at the limit may end within a character.
    check_size(path, bytes.len())?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        let line = u64::try_from(lines).ok().map(|lines| lines + 1);
        Problem { line, ..Problem::of_file(path, "is not UTF-8 text: save the file as UTF-8") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problem of a file with `content`, with the folder's name cut off.
    fn problem_of(content: &[u8]) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yml");
        std::fs::write(&path, content).unwrap();
        let start = format!("{}/", folder.path().display());
        read(&path).map_err(|problem| problem.to_string().replace(&start, ""))
    }

    #[test]
    fn a_missing_file_is_a_problem_only_if_it_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.yml");
        assert_eq!(
            read(&path).unwrap_err().to_string(),
            format!("{}: cannot be read: No such file or directory (os error 2)", path.display())
        );
        assert_eq!(read_if_present(&path), Ok(None));
    }

    #[test]
    fn what_is_not_a_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [folder.path(), &pipe] {
            assert_eq!(
                read(path).unwrap_err().to_string(),
                format!("{}: cannot be read: not a regular file", path.display())
            );
        }
    }

    #[test]
    fn a_file_that_is_not_utf8_is_refused_with_the_line() {
        assert_eq!(
            problem_of(b"a: 1\nb: \xe9t\xe9\n"),
            Err("a.yml:2: is not UTF-8 text: save the file as UTF-8".to_owned())
        );
    }

    #[test]
    fn a_file_of_one_megabyte_is_read_and_a_longer_one_is_not() {
        let mut content = vec![b'#'; 1_000_000];
        assert_eq!(problem_of(&content).map(|text| text.len()), Ok(1_000_000));
        content.push(b'#');
        assert_eq!(problem_of(&content), Err("a.yml: is longer than 1000000 bytes".to_owned()));
    }
}
