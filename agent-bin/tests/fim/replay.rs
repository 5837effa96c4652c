//! The events over the old tree, which have to give the new one: strictly, each event has to fit what was there before it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::attributes::Attributes;
use crate::event::{Action, Event, Reported};
use crate::snapshot::{Tree, with_all_below};

/// What is wrong with the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Something happened and was not reported.
    Missed,
    /// Something was reported that cannot have happened.
    Invented,
    /// It happened, but not with these old or changed values.
    Wrong,
}

/// One fault, and the path it is about.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) fault: Fault,
    pub(crate) path: PathBuf,
    pub(crate) what: String,
}

/// The outcome of a replay.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) problems: Vec<Problem>,
    /// Events whose id had come before.
    pub(crate) repeats: u32,
    pub(crate) events: usize,
}

impl Outcome {
    pub(crate) fn count(&self, fault: Fault) -> usize {
        self.problems.iter().filter(|problem| problem.fault == fault).count()
    }
}

/// What the events make of `before`, compared with `after`. Each of `short_lived` has to be created and deleted.
pub(crate) fn replay(
    before: &Tree,
    after: &Tree,
    short_lived: &[PathBuf],
    reported: &Reported,
) -> Outcome {
    let root = before.keys().next().cloned().unwrap_or_default();
    let mut replay = Replay { root, tree: before.clone(), outcome: Outcome::default() };
    for line in &reported.malformed {
        replay.add(Fault::Wrong, Path::new(""), line.clone());
    }
    let mut ids: HashMap<&str, &Event> = HashMap::new();
    let mut once = Vec::new();
    for event in &reported.events {
        match ids.get(event.id.as_str()) {
            Some(first) if first.says_the_same(event) => replay.outcome.repeats += 1,
            Some(first) => {
                let what = format!("{} is also the id of {}", event.id, first.line);
                replay.add(Fault::Wrong, &event.path, what);
            }
            None => {
                ids.insert(&event.id, event);
                replay.apply(event);
                once.push(event);
            }
        }
    }
    replay.outcome.events = once.len();
    replay.compare(after);
    replay.find_short_lived(short_lived, &once);
    replay.outcome
}

struct Replay {
    root: PathBuf,
    tree: Tree,
    outcome: Outcome,
}

impl Replay {
    fn add(&mut self, fault: Fault, path: &Path, what: String) {
        self.outcome.problems.push(Problem { fault, path: path.to_owned(), what });
    }

    fn invented(&mut self, event: &Event, what: &str) {
        let id = &event.id;
        self.add(Fault::Invented, &event.path, format!("{:?} ({id}): {what}", event.action));
    }

    fn apply(&mut self, event: &Event) {
        if !event.path.starts_with(&self.root) {
            return self.invented(event, "outside of the tree");
        }
        if event.short_lived {
            // It came and went between two looks, whatever was there at both of them.
            return;
        }
        match event.action {
            Action::Created => {
                self.arrives(event);
                self.tree.insert(event.path.clone(), event.attributes.clone());
            }
            Action::Modified => {
                match self.tree.get(&event.path).cloned() {
                    Some(was) => self.check_change(event, &was, true),
                    None => self.invented(event, "of what was not there"),
                }
                self.tree.insert(event.path.clone(), event.attributes.clone());
            }
            Action::Deleted => {
                if self.tree.remove(&event.path).is_none() {
                    self.invented(event, "of what was not there");
                }
            }
            Action::Moved => self.apply_move(event),
        }
    }

    fn apply_move(&mut self, event: &Event) {
        let Some(previous) = &event.previous else {
            return self.invented(event, "without a previous path");
        };
        let Some(was) = self.tree.get(previous).cloned() else {
            return self.invented(event, "of what was not there");
        };
        self.check_change(event, &was, false);
        self.arrives(event);
        let moved = with_all_below(&self.tree, previous).into_iter().filter_map(|from| {
            let to = match from.strip_prefix(previous).ok()? {
                // Joined with nothing it would get a slash at its end.
                rest if rest.as_os_str().is_empty() => event.path.clone(),
                rest => event.path.join(rest),
            };
            Some((to, self.tree.remove(&from)?))
        });
        let moved: Vec<(PathBuf, Attributes)> = moved.collect();
        self.tree.extend(moved);
        self.tree.insert(event.path.clone(), event.attributes.clone());
    }

    /// Something comes to a path, which has to be free and in a folder.
    fn arrives(&mut self, event: &Event) {
        if self.tree.contains_key(&event.path) {
            self.invented(event, "on what was there already");
        }
        let folder = event.path.parent().and_then(|folder| self.tree.get(folder));
        if event.path != self.root && !folder.is_some_and(Attributes::is_folder) {
            self.invented(event, "in no folder");
        }
    }

    /// The event names exactly what changed, with the values from before.
    fn check_change(&mut self, event: &Event, was: &Attributes, has_to: bool) {
        let counts = was.that_count();
        let differ = was.differences(&event.attributes);
        let said = |name: &str| event.changed.contains(name);
        let mut wrong = Vec::new();
        for name in counts {
            let differs = differ.contains(name);
            // After a change of its type a thing is another one, and all may differ; what is unknown may be named.
            let judged = !differ.contains(&"type") && was.get(name).is_some();
            if judged && differs != said(name) {
                wrong.push(format!(
                    "{name} was {:?}, is {:?}, and is {}named as changed",
                    was.get(name),
                    event.attributes.get(name),
                    if said(name) { "" } else { "not " }
                ));
            }
            if judged && said(name) && event.old.get(name) != was.get(name) {
                wrong.push(format!(
                    "old {name} {:?}, was {:?}",
                    event.old.get(name),
                    was.get(name)
                ));
            }
        }
        // Another folder at the same path is a change, although its number is nothing to compare.
        let is_another = said("inode") || said("device");
        if has_to && differ.is_empty() && !is_another {
            wrong.push("nothing that counts has changed".to_owned());
        }
        for what in wrong {
            self.add(
                Fault::Wrong,
                &event.path,
                format!("{:?} ({}): {what}", event.action, event.id),
            );
        }
    }

    fn compare(&mut self, after: &Tree) {
        let tree = std::mem::take(&mut self.tree);
        for (path, is) in after {
            match tree.get(path) {
                None => self.add(Fault::Missed, path, format!("is there now: {is:?}")),
                Some(replayed) => {
                    for name in is.differences(replayed) {
                        let (is, says) = (is.get(name), replayed.get(name));
                        self.add(Fault::Missed, path, format!("{name} is {is:?}, not {says:?}"));
                    }
                }
            }
        }
        for path in tree.keys().filter(|path| !after.contains_key(*path)) {
            self.add(Fault::Missed, path, "is not there any more".to_owned());
        }
        self.tree = tree;
    }

    /// By their names, which are theirs alone: their folder may have been renamed before anybody looked.
    fn find_short_lived(&mut self, short_lived: &[PathBuf], events: &[&Event]) {
        let mut seen: HashMap<&OsStr, (u32, u32)> = HashMap::new();
        for event in events {
            let Some(name) = event.path.file_name() else { continue };
            match event.action {
                Action::Created => seen.entry(name).or_default().0 += 1,
                Action::Deleted => seen.entry(name).or_default().1 += 1,
                Action::Modified | Action::Moved => {}
            }
        }
        for path in short_lived {
            let seen = path.file_name().and_then(|name| seen.get(name)).copied();
            let (created, deleted) = seen.unwrap_or_default();
            if created == 0 || deleted == 0 {
                let what = format!("short-lived: created {created} times, deleted {deleted} times");
                self.add(Fault::Missed, path, what);
            }
        }
    }
}
