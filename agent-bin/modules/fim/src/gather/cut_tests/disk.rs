//! A disk on which things really happen, and the kernel that tells of them.

use super::super::*;
use super::{handle, is_watched};

/// The folder that is not watched; the one before it is.
const OUTSIDE: usize = 1;

/// Something on a disk; what is gone has no place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) folder: bool,
    pub(super) place: Option<(usize, String)>,
}

/// What a step does, with what the numbers say: of the folders or nodes there are, or of a few names.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Make { folder: bool, parent: usize, name: usize },
    ShortLived { parent: usize },
    Rename { node: usize, parent: usize, name: usize },
    Exchange { one: usize, other: usize },
    Delete { node: usize },
}

/// A disk, and all that the kernel has told of it.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    pub(super) nodes: Vec<Node>,
    pub(super) notices: Vec<Notice>,
    /// Names that came and went in the watched folder, by the marks of their notices.
    pub(super) short: BTreeMap<String, PathBytes>,
}

impl Disk {
    pub(super) fn new() -> Self {
        let root = |name: &str| Node { folder: true, place: Some((usize::MAX, name.to_owned())) };
        Self { nodes: vec![root("w"), root("out")], notices: Vec::new(), short: BTreeMap::new() }
    }

    pub(super) fn path(&self, node: usize) -> Option<PathBytes> {
        let (parent, name) = self.nodes[node].place.as_ref()?;
        let parent = if *parent == usize::MAX { PathBytes::new("/") } else { self.path(*parent)? };
        Some(parent.join(name.as_bytes()))
    }

    pub(super) fn at(&self, path: &PathBytes) -> Option<usize> {
        (0..self.nodes.len()).find(|node| self.path(*node).as_ref() == Some(path))
    }

    fn in_tree(&self, node: usize) -> bool {
        self.path(node).is_some_and(|path| is_watched(&path))
    }

    pub(super) fn alive(&self, is_it: impl Fn(usize) -> bool) -> Vec<usize> {
        let nodes = 0..self.nodes.len();
        nodes.filter(|node| self.path(*node).is_some() && is_it(*node)).collect()
    }

    fn pick(&self, number: usize, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let those = self.alive(is_it);
        those.get(number % those.len().max(1)).copied()
    }

    fn folder(&self, number: usize) -> Option<usize> {
        self.pick(number, |node| self.nodes[node].folder)
    }

    fn child(&self, parent: usize, name: &str) -> Option<usize> {
        let place = Some((parent, name.to_owned()));
        (0..self.nodes.len()).find(|node| self.nodes[*node].place == place)
    }

    /// What is told; nothing of what is in a folder that has never been watched.
    fn tell(&mut self, told: Notice) -> String {
        let read_at = (1, self.notices.len() as u32);
        let notice = Notice { read_at, ..told };
        let mark = notice.read_mark();
        let parents = [Some(&notice.parent), notice.renamed_to.as_ref().map(|(to, _)| to)];
        let watched = |parent: &Parent| match parent {
            Parent::Handle(handle) => usize::from(handle.bytes[0]) != OUTSIDE,
            Parent::Watch(_) => false,
        };
        if parents.into_iter().flatten().any(watched) {
            self.notices.push(notice);
        }
        mark
    }

    fn about(&self, node: usize) -> Notice {
        let (parent, name) = self.nodes[node].place.clone().unwrap();
        let (folder, target) = (self.nodes[node].folder, Some(handle(node)));
        Notice { folder, target, ..Notice::of(Parent::Handle(handle(parent)), name.as_bytes()) }
    }

    fn add(&mut self, folder: bool, parent: usize, name: String) -> usize {
        self.nodes.push(Node { folder, place: Some((parent, name)) });
        self.nodes.len() - 1
    }

    fn rename(&mut self, node: usize, parent: usize, name: String) {
        let told = self.about(node);
        let renamed_to = Some((Parent::Handle(handle(parent)), name.clone().into_bytes()));
        let stays = self.in_tree(parent);
        self.nodes[node].place = Some((parent, name));
        self.tell(Notice { renamed_to, stays, ..told });
    }

    /// Does what can be done.
    pub(super) fn step(&mut self, step: &Step) -> Option<()> {
        let movable = |node: usize| node > OUTSIDE;
        let name = |name: usize| format!("n{}", name % 4);
        match *step {
            Step::Make { folder, parent, name: number } => {
                let (parent, name) = (self.folder(parent)?, name(number));
                // What has never been watched is not followed.
                if self.child(parent, &name).is_none() && (self.in_tree(parent) || !folder) {
                    let node = self.add(folder, parent, name);
                    self.tell(Notice { created: true, ..self.about(node) });
                }
            }
            Step::ShortLived { parent } => {
                let parent = self.folder(parent)?;
                let node = self.add(false, parent, format!("short{}", self.nodes.len()));
                let told = Notice { created: true, deleted: true, ..self.about(node) };
                let (path, watched) = (self.path(node)?, self.in_tree(node));
                let mark = self.tell(told);
                if watched {
                    self.short.insert(mark, path);
                }
                self.nodes[node].place = None;
            }
            Step::Rename { node, parent, name: number } => {
                let (node, parent) = (self.pick(node, movable)?, self.folder(parent)?);
                let (name, path) = (name(number), self.path(node)?);
                let fits = self.path(parent)?.below(&path).is_none()
                    && self.child(parent, &name).is_none();
                if fits {
                    self.rename(node, parent, name);
                }
            }
            Step::Exchange { one, other } => {
                let (one, other) = (self.pick(one, movable)?, self.pick(other, movable)?);
                let (here, there) = (self.path(one)?, self.path(other)?);
                let (to, from) = (self.nodes[other].place.clone()?, self.nodes[one].place.clone()?);
                let fits = here.below(&there).is_none() && there.below(&here).is_none();
                if fits {
                    let back = self.about(other);
                    self.rename(one, to.0, to.1);
                    let renamed_to =
                        Some((Parent::Handle(handle(from.0)), from.1.clone().into_bytes()));
                    let stays = self.in_tree(from.0);
                    self.nodes[other].place = Some(from);
                    self.tell(Notice { renamed_to, stays, ..back });
                }
            }
            Step::Delete { node } => {
                let node = self.pick(node, movable)?;
                if !self.nodes.iter().any(|one| one.place.as_ref().is_some_and(|at| at.0 == node)) {
                    let told = Notice { deleted: true, ..self.about(node) };
                    self.tell(told);
                    self.nodes[node].place = None;
                }
            }
        }
        Some(())
    }
}

impl Disk {
    pub(super) fn paths(&self) -> Vec<(usize, PathBytes)> {
        (0..self.nodes.len()).filter_map(|node| Some((node, self.path(node)?))).collect()
    }

    /// All that was told, a line for each.
    pub(super) fn transcript(&self) -> String {
        let place = |parent: &Parent, name: &[u8]| {
            let Parent::Handle(handle) = parent else { return String::new() };
            format!("{}/{}", handle.bytes[0], String::from_utf8_lossy(name))
        };
        let line = |notice: &Notice| {
            let target = notice.target.as_ref().map_or(0, |target| target.bytes[0]);
            let what = match (&notice.renamed_to, notice.created, notice.deleted) {
                (Some((parent, name)), _, _) => format!("is now {}", place(parent, name)),
                (None, true, true) => "came and went".to_owned(),
                (None, true, false) => "made".to_owned(),
                (None, false, _) => "removed".to_owned(),
            };
            let sort = if notice.folder { "folder" } else { "file" };
            format!(
                "{} {sort} {target}, {}, {what}\n",
                notice.read_at.1,
                place(&notice.parent, &notice.name)
            )
        };
        self.notices.iter().map(line).collect()
    }
}
