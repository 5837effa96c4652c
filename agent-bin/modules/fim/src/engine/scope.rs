//! Which folders of the file systems that are watched as a whole are ours.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::watching::Read;
use crate::baseline::BaselineReader;
use crate::gather::At;
use crate::path_bytes::PathBytes;
use crate::rules::Rules;
use crate::sys::Handle;
use crate::watch::filesystems::Filesystems;
use crate::watch::process::Processes;
use crate::watch::{Notice, Parent, Told};

/// Folders of which is known whether they are watched, before all are forgotten.
const MOST_KNOWN: usize = 20_000;

/// Says whether a folder is one of ours: the marks of fanotify tell of whole file systems.
pub(crate) struct Scope {
    pub(super) rules: Arc<Rules>,
    pub(super) reader: BaselineReader,
    pub(super) filesystems: Filesystems,
    pub(super) known: HashMap<Handle, Whose>,
    /// The agent's own folders.
    pub(super) own_folders: Vec<PathBuf>,
}

/// Whether something in a folder can be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    /// It is in a directory of the configuration.
    Ours,
    /// The same, and the baseline does not have it yet; where it was then.
    New(PathBytes),
    /// It has such a directory in it, by this path.
    Holds(PathBytes),
    /// Neither.
    Others,
}

impl Scope {
    /// Takes in what an earlier instance knew of folders that the baseline may not have, and that may be gone by now.
    pub(super) fn remember<'a>(
        &mut self,
        notices: &[Notice],
        folders: impl IntoIterator<Item = &'a (Handle, At)>,
    ) {
        for notice in notices {
            if let (Parent::Handle(folder), Some(path)) = (&notice.parent, &notice.seen_at) {
                self.known.insert(folder.clone(), Whose::New(path.clone()));
            }
            if let (true, Some(folder)) = (notice.folder, &notice.target) {
                self.known.insert(folder.clone(), Whose::Ours);
            }
        }
        for (folder, At { path, .. }) in folders {
            // Those that had left have no path here.
            if self.rules.of(path).is_some_and(|rule| rule.realtime) {
                self.known.insert(folder.clone(), Whose::Ours);
            }
        }
    }

    /// What is ours of what was told, with who did it.
    pub(super) fn keep(&mut self, told: Vec<(Told, i32)>, stamp: i64) -> Read {
        let mut kept = Read::default();
        let mut processes = Processes::default();
        for (told, pid) in told {
            let told = match told {
                Told::Notice(notice) => {
                    let (from, to) = self.are_ours(&notice);
                    if !from && !to {
                        continue;
                    }
                    let (seen_at, process) = (self.seen(&notice.parent), processes.ask(pid));
                    Told::Notice(Notice { process, seen_at, stays: to, ..notice })
                }
                Told::Overflow | Told::WatchGone(_) => told,
            };
            kept.take(told, stamp);
        }
        kept
    }

    fn seen(&self, parent: &Parent) -> Option<PathBytes> {
        match parent {
            Parent::Handle(handle) => match self.known.get(handle)? {
                Whose::New(path) => Some(path.clone()),
                Whose::Ours | Whose::Holds(_) | Whose::Others => None,
            },
            Parent::Watch(_) => None,
        }
    }

    /// Whether the name and the new name are.
    fn are_ours(&mut self, notice: &Notice) -> (bool, bool) {
        let from = self.has(&notice.parent, &notice.name);
        let to = notice.renamed_to.as_ref().is_some_and(|(parent, name)| self.has(parent, name));
        // One that was made and removed is told by one notice, and what came and went in it by others after that.
        if notice.folder && (from || to) && (notice.created || !notice.deleted) {
            if !notice.created {
                // What is below it may be ours now. What was ours stays so: nobody could ask about a folder that is gone.
                self.known.retain(|_, whose| *whose != Whose::Others);
            }
            if let Some(target) = &notice.target {
                self.known.insert(target.clone(), Whose::Ours);
            }
        }
        (from, to)
    }

    fn has(&mut self, parent: &Parent, name: &[u8]) -> bool {
        let Parent::Handle(handle) = parent else { return true };
        let whose = match self.known.get(handle) {
            Some(known) => known.clone(),
            None => {
                let whose = self.whose(handle);
                if self.known.len() >= MOST_KNOWN {
                    self.known.clear();
                }
                self.known.insert(handle.clone(), whose.clone());
                whose
            }
        };
        match whose {
            Whose::Ours | Whose::New(_) => true,
            Whose::Others => false,
            Whose::Holds(folder) => {
                let path = folder.join(name);
                self.rules.roots().any(|root| *root == path)
            }
        }
    }

    fn whose(&self, handle: &Handle) -> Whose {
        let known = self.reader.folder_by_handle(handle).map(|folder| folder.is_some());
        let gone = || self.reader.ghosts_by_handle(handle).map(|ghosts| !ghosts.is_empty());
        match known.and_then(|known| if known { Ok(true) } else { gone() }) {
            Ok(true) => return Whose::Ours,
            Ok(false) => {}
            // When in doubt it is looked at.
            Err(error) => {
                tracing::warn!(%error, "cannot tell whether a folder is watched");
                return Whose::Ours;
            }
        }
        let Some(folder) = self.filesystems.path_of(handle) else { return Whose::Others };
        let holds = |root: &PathBytes| root.split().is_some_and(|(parent, _)| parent == folder);
        if self.rules.of(&folder).is_some_and(|rule| rule.realtime) {
            Whose::New(folder)
        } else if self.rules.roots().any(holds) {
            Whose::Holds(folder)
        } else {
            Whose::Others
        }
    }
}
