//! The baseline under the names that hold after moves which are not in it yet: decides, and touches nothing.

use crate::path_bytes::PathBytes;

/// Moves and removals in their order, from the names of the baseline to those of now.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Moved { from: PathBytes, to: PathBytes },
    Removed(PathBytes),
}

impl Overlay {
    /// `from` and everything below it are called `to` now.
    pub(crate) fn moved(&mut self, from: PathBytes, to: PathBytes) {
        self.steps.push(Step::Moved { from, to });
    }

    /// `path` and everything below it are gone.
    pub(crate) fn removed(&mut self, path: PathBytes) {
        self.steps.push(Step::Removed(path));
    }

    /// Under which path the baseline has what is called `now`; `None` when it cannot have it.
    pub(crate) fn before(&self, now: &PathBytes) -> Option<PathBytes> {
        let mut path = now.clone();
        for step in self.steps.iter().rev() {
            match step {
                Step::Moved { from, to } => {
                    if let Some(renamed) = renamed(&path, to, from) {
                        path = renamed;
                    } else if path.below(from).is_some() {
                        return None;
                    }
                }
                Step::Removed(gone) if path.below(gone).is_some() => return None,
                Step::Removed(_) => {}
            }
        }
        Some(path)
    }

    /// What is called `before` in the baseline is called so now; `None` when it is gone.
    pub(crate) fn now(&self, before: &PathBytes) -> Option<PathBytes> {
        let mut path = before.clone();
        for step in &self.steps {
            match step {
                Step::Moved { from, to } => {
                    if let Some(renamed) = renamed(&path, from, to) {
                        path = renamed;
                    } else if path.below(to).is_some() {
                        return None;
                    }
                }
                Step::Removed(gone) if path.below(gone).is_some() => return None,
                Step::Removed(_) => {}
            }
        }
        Some(path)
    }

    /// As [`Overlay::now`], but what was replaced by a move is still called what it was: it went somewhere, and nobody said where.
    pub(crate) fn last_known(&self, before: &PathBytes) -> Option<PathBytes> {
        let mut path = before.clone();
        for step in &self.steps {
            match step {
                Step::Moved { from, to } => path = renamed(&path, from, to).unwrap_or(path),
                Step::Removed(gone) if path.below(gone).is_some() => return None,
                Step::Removed(_) => {}
            }
        }
        Some(path)
    }
}

/// `path` with `to` in place of `from` at its beginning; `None` when it is not `from` and not below it.
pub(crate) fn renamed(path: &PathBytes, from: &PathBytes, to: &PathBytes) -> Option<PathBytes> {
    match path.below(from)? {
        [] => Some(to.clone()),
        rest => Some(to.join(rest)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> PathBytes {
        PathBytes::new(text)
    }

    #[test]
    fn a_row_is_found_under_the_names_that_its_folders_have_now() {
        let mut overlay = Overlay::default();
        overlay.moved(path("/a"), path("/b"));
        overlay.moved(path("/b/x"), path("/c"));
        let before = |now: &str| overlay.before(&path(now));
        assert_eq!(before("/b/y"), Some(path("/a/y")));
        assert_eq!(before("/c/z"), Some(path("/a/x/z")));
        assert_eq!(before("/b/x/z"), None);
        assert_eq!(before("/a/y"), None);
        assert_eq!(overlay.now(&path("/a/x/z")), Some(path("/c/z")));
        assert_eq!(overlay.now(&path("/elsewhere")), Some(path("/elsewhere")));
    }

    #[test]
    fn what_was_removed_is_found_no_more_and_its_name_is_free() {
        let mut overlay = Overlay::default();
        overlay.removed(path("/a"));
        overlay.moved(path("/b"), path("/a"));
        assert_eq!(overlay.before(&path("/a/x")), Some(path("/b/x")));
        assert_eq!(overlay.before(&path("/b/x")), None);
        assert_eq!(overlay.now(&path("/a/x")), None);
    }

    fn some_path() -> impl Strategy<Value = PathBytes> {
        prop::collection::vec("[ab]", 1..4).prop_map(|parts| path(&format!("/{}", parts.join("/"))))
    }

    /// A tree in which things are really moved: from the names of now to those of before.
    fn apply(tree: &mut BTreeMap<PathBytes, PathBytes>, from: &PathBytes, to: Option<&PathBytes>) {
        let moved: Vec<_> = tree.iter().filter(|(now, _)| now.below(from).is_some()).collect();
        let moved: Vec<_> =
            moved.into_iter().map(|(now, old)| (now.clone(), old.clone())).collect();
        tree.retain(|now, _| now.below(from).is_none());
        let Some(to) = to else { return };
        tree.retain(|now, _| now.below(to).is_none());
        for (now, old) in moved {
            tree.extend(renamed(&now, from, to).map(|now| (now, old)));
        }
    }

    proptest! {
        #[test]
        fn the_names_are_those_of_a_tree_in_which_everything_was_really_moved(
            names in prop::collection::btree_set(some_path(), 1..12),
            steps in prop::collection::vec((some_path(), prop::option::of(some_path())), 0..6),
        ) {
            let mut tree: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), name.clone())).collect();
            let mut overlay = Overlay::default();
            for (from, to) in &steps {
                let nested = to.as_ref().is_some_and(|to| to.below(from).is_some() || from.below(to).is_some());
                if nested || !tree.keys().any(|now| now.below(from).is_some()) {
                    continue;
                }
                apply(&mut tree, from, to.as_ref());
                match to {
                    Some(to) => {
                        overlay.removed(to.clone());
                        overlay.moved(from.clone(), to.clone());
                    }
                    None => overlay.removed(from.clone()),
                }
            }
            for (now, before) in &tree {
                prop_assert_eq!(overlay.before(now), Some(before.clone()));
                prop_assert_eq!(overlay.now(before), Some(now.clone()));
            }
            let alive: Vec<_> = tree.values().collect();
            for gone in names.iter().filter(|name| !alive.contains(name)) {
                prop_assert_eq!(overlay.now(gone), None);
            }
        }
    }
}
