//! Evaluates the patterns: which files are there, which are new, and which paths lead to another file now.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::position::{FileId, FileKey, Position};
use crate::read::{self, OpenError, Opened};
use crate::resume::{Folders, Resumed, resume};

/// What a survey needs to know.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// The patterns to evaluate.
    pub(crate) patterns: Vec<String>,
    /// The files that are open.
    pub(crate) open: Vec<Known>,
    /// Positions whose files are not open.
    pub(crate) waiting: Vec<Position>,
    /// Where unknown files are begun.
    pub(crate) starts: Starts,
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its id.
    pub(crate) id: FileId,
    /// What the file system calls it.
    pub(crate) key: FileKey,
    /// Under which path it was matched last.
    pub(crate) path: String,
}

/// Where unknown files are begun.
#[derive(Debug, Default)]
pub(crate) enum Starts {
    /// At their first byte.
    #[default]
    AtBeginning,
    /// After their last complete line, except files that must have appeared while nobody watched.
    AtEnd {
        /// Patterns that were watched before.
        watched: BTreeSet<String>,
        /// Paths that were read before.
        read: BTreeSet<String>,
        /// Bytes; a last line longer than this is not followed back to its start.
        longest_line: u64,
    },
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// What became of each waiting position.
    pub(crate) resumed: Vec<(FileId, Resumed)>,
    /// Under which paths the patterns match each file.
    pub(crate) matched: HashMap<FileKey, Vec<String>>,
    /// Unknown files, the one that was written to least recently first.
    pub(crate) fresh: Vec<Fresh>,
    /// Open files that no pattern matches and whose path leads elsewhere or nowhere.
    pub(crate) gone: HashSet<FileId>,
    /// What could not be read, by path, and why.
    pub(crate) troubles: BTreeMap<String, String>,
}

/// An unknown file, opened.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// Where it is begun.
    pub(crate) position: Position,
    /// For reading.
    pub(crate) file: File,
    modified: Option<SystemTime>,
}

/// Evaluates the patterns. Blocking: as long as it takes to list the folders concerned.
pub(crate) fn survey(request: &Request) -> Survey {
    let mut survey = Survey::default();
    let mut known: HashSet<FileKey> = request.open.iter().map(|file| file.key).collect();
    let mut folders = Folders::default();
    for position in &request.waiting {
        let resumed = resume(position, &mut folders);
        match &resumed {
            Resumed::Open { at_its_path, .. } => {
                known.insert(position.key);
                if !at_its_path {
                    survey.gone.insert(position.file_id);
                }
            }
            Resumed::Unreachable(reason) => {
                known.insert(position.key);
                survey.troubles.insert(position.path.clone(), reason.clone());
            }
            Resumed::Lost(_) => {}
        }
        survey.resumed.push((position.file_id, resumed));
    }
    for (path, patterns) in survey.match_paths(&request.patterns) {
        if let Err(error) = survey.visit(&path, &patterns, &request.starts, &mut known) {
            survey.troubles.insert(path, error.to_string());
        }
    }
    survey
        .fresh
        .sort_by(|a, b| (a.modified, &a.position.path).cmp(&(b.modified, &b.position.path)));
    let unmatched = request.open.iter().filter(|file| !survey.matched.contains_key(&file.key));
    let gone: Vec<FileId> = unmatched.filter(|file| has_left(file)).map(|file| file.id).collect();
    survey.gone.extend(gone);
    survey
}

/// Whether the path leads elsewhere or nowhere. A folder that cannot be read says nothing about that.
fn has_left(file: &Known) -> bool {
    match std::fs::metadata(&file.path) {
        Ok(metadata) => read::key(&metadata) != file.key,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

impl Survey {
    /// Every path that is matched, with the patterns that match it.
    fn match_paths<'a>(&mut self, patterns: &'a [String]) -> BTreeMap<String, Vec<&'a str>> {
        let mut paths: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for pattern in patterns {
            let found = match glob::glob(pattern) {
                Ok(found) => found,
                Err(error) => {
                    self.troubles.insert(pattern.clone(), error.to_string());
                    continue;
                }
            };
            for entry in found {
                match entry.map(|path| path.into_os_string().into_string()) {
                    Ok(Ok(path)) => paths.entry(path).or_default().push(pattern),
                    Ok(Err(path)) => {
                        let reason = "its path is not UTF-8".to_owned();
                        self.troubles.insert(path.to_string_lossy().into_owned(), reason);
                    }
                    Err(error) => {
                        let path = error.path().display().to_string();
                        self.troubles.insert(path, error.error().to_string());
                    }
                }
            }
        }
        paths
    }

    fn visit(
        &mut self,
        path: &str,
        patterns: &[&str],
        starts: &Starts,
        known: &mut HashSet<FileKey>,
    ) -> io::Result<()> {
        let metadata = match std::fs::metadata(path) {
            // A dangling link, or a file that was there a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if !metadata.is_file() {
            return Ok(());
        }
        let mut key = read::key(&metadata);
        if !known.contains(&key) {
            let opened = match read::open_regular(Path::new(path)) {
                Ok(opened) => opened,
                Err(OpenError::NotRegular) => return Ok(()),
                Err(OpenError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(());
                }
                Err(OpenError::Io(error)) => return Err(error),
            };
            key = read::key(&opened.metadata);
            if known.insert(key) {
                let fresh = starts.begin(opened, key, path, patterns)?;
                self.fresh.push(fresh);
            }
        }
        self.matched.entry(key).or_default().push(path.to_owned());
        Ok(())
    }
}

impl Starts {
    fn begin(
        &self,
        opened: Opened,
        key: FileKey,
        path: &str,
        patterns: &[&str],
    ) -> io::Result<Fresh> {
        let Opened { file, metadata } = opened;
        let mut position = Position::at_start(key, read::created(&metadata), path.to_owned());
        match self {
            Self::AtEnd { watched, read, longest_line }
                if !read.contains(path)
                    && !patterns.iter().any(|pattern| watched.contains(*pattern)) =>
            {
                position.offset = read::last_line_start(&file, metadata.len(), *longest_line)?;
                position.fingerprint = read::fingerprint(&file, position.offset)?;
            }
            Self::AtBeginning | Self::AtEnd { .. } => {}
        }
        Ok(Fresh { position, file, modified: metadata.modified().ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn request(dir: &TempDir, pattern: &str) -> Request {
        let pattern = format!("{}/{pattern}", dir.path().display());
        Request { patterns: vec![pattern], ..Request::default() }
    }

    fn begun(survey: &Survey) -> Vec<(String, u64)> {
        let name = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let mut begun: Vec<_> = survey
            .fresh
            .iter()
            .map(|fresh| (name(&fresh.position.path), fresh.position.offset))
            .collect();
        begun.sort();
        begun
    }

    #[test]
    fn regular_files_and_links_to_them_are_found_and_nothing_blocks() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.log"), "a\n").unwrap();
        fs::create_dir(dir.path().join("b.log")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("c.log"), fifo, mode, 0).unwrap();
        fs::write(dir.path().join("target"), "d\n").unwrap();
        std::os::unix::fs::symlink("target", dir.path().join("d.log")).unwrap();
        std::os::unix::fs::symlink("a.log", dir.path().join("e.log")).unwrap();
        let survey = survey(&request(&dir, "*.log"));
        assert_eq!(begun(&survey), [("a.log".to_owned(), 0), ("d.log".to_owned(), 0)]);
        assert_eq!(survey.troubles, BTreeMap::new());
    }

    #[test]
    fn an_unreadable_file_is_a_trouble_and_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.log"), "a\n").unwrap();
        // A loop of links cannot be read by anybody, not even by root.
        std::os::unix::fs::symlink("loop.log", dir.path().join("loop.log")).unwrap();
        let survey = survey(&request(&dir, "*.log"));
        assert_eq!(begun(&survey).len(), 1);
        assert!(survey.troubles.keys().next().unwrap().ends_with("/loop.log"));
    }

    #[test]
    fn at_the_first_start_files_are_begun_after_their_last_line_unless_they_appeared_meanwhile() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.log"), "one\ntwo\nthr").unwrap();
        fs::write(dir.path().join("b.txt"), "one\n").unwrap();
        let logs = request(&dir, "*.log");
        let texts = request(&dir, "*.txt").patterns;
        let watched = texts.iter().cloned().collect();
        let survey = survey(&Request {
            patterns: [logs.patterns, texts].concat(),
            starts: Starts::AtEnd { watched, read: BTreeSet::new(), longest_line: 1_000 },
            ..Request::default()
        });
        assert_eq!(begun(&survey), [("a.log".to_owned(), 8), ("b.txt".to_owned(), 0)]);
    }

    #[test]
    fn a_file_is_gone_when_its_path_leads_elsewhere_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        fs::write(&path, "a\n").unwrap();
        let first = survey(&request(&dir, "a.log"));
        let position = &first.fresh[0].position;
        let known =
            || Known { id: position.file_id, key: position.key, path: position.path.clone() };
        let gone = |pattern| {
            let request = Request { open: vec![known()], ..request(&dir, pattern) };
            survey(&request).gone.contains(&position.file_id)
        };
        assert!(!gone("a.log"));
        assert!(!gone("other"), "its path still leads to it");
        fs::rename(&path, dir.path().join("a.log.1")).unwrap();
        assert!(!gone("a.log*"), "it is matched under its new name");
        assert!(gone("a.log"));
    }
}
