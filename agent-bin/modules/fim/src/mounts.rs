//! What is mounted where: decides from a text of the kernel which mounts are seen, and which of them are entered.

use std::fs::File;
use std::io::{self, Read};

use crate::path_bytes::PathBytes;

/// No files of anybody, or files that read as something else each time.
const NEVER: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];

/// Somebody else's files, which may hang.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph-fuse",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "smb3",
    "smbfs",
];

/// One mount, as `/proc/self/mountinfo` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) point: PathBytes,
    pub(crate) fstype: String,
}

/// A line of mountinfo.
struct Line {
    mount: Mount,
    id: u32,
    /// The mount that it is mounted on.
    parent: u32,
}

impl Mount {
    /// Whether its files are looked at and watched; `network`: whether those of the network are.
    pub(crate) fn is_entered(&self, network: bool) -> bool {
        let fstype = self.fstype.as_str();
        !NEVER.contains(&fstype) && (network || !NETWORK.contains(&fstype))
    }
}

/// The mounts in `text` that can be seen: their order says nothing about which one covers which.
pub(crate) fn mounts(text: &[u8]) -> Vec<Mount> {
    let lines: Vec<Line> = text.split(|byte| *byte == b'\n').filter_map(line).collect();
    let on_top = |line: &&Line| {
        let mut others = lines.iter().filter(|other| other.id != line.id);
        !others.any(|other| other.parent == line.id && other.mount.point == line.mount.point)
    };
    let seen = lines.iter().filter(on_top).filter(|line| is_reachable(&lines, line));
    seen.map(|line| line.mount.clone()).collect()
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS`.
fn line(line: &[u8]) -> Option<Line> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let point = PathBytes::new(unescaped(fields.nth(2)?));
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    let fstype = String::from_utf8_lossy(fstype).into_owned();
    Some(Line { mount: Mount { point, fstype }, id, parent })
}

/// Whether nothing that is mounted on the same mount covers the place of `line`, nor that of a mount it is on.
fn is_reachable(lines: &[Line], line: &Line) -> bool {
    let mut line = line;
    // As many steps as there are mounts, if a text should have them in a circle.
    for _ in lines {
        // The first mount of all may be its own parent.
        if line.id == line.parent {
            return true;
        }
        let point = &line.mount.point;
        let covered = lines.iter().any(|other| {
            other.parent == line.parent
                && other.id != line.parent
                && other.id != line.id
                && (other.mount.point != *point || other.id > line.id)
                && point.below(&other.mount.point).is_some()
        });
        if covered {
            return false;
        }
        match lines.iter().find(|other| other.id == line.parent && other.id != line.id) {
            Some(parent) => line = parent,
            None => return true,
        }
    }
    false
}

/// The mounts of which something is seen below `roots`: those that hold a root, and those below one.
pub(crate) fn concerning<'a>(
    mounts: &'a [Mount],
    roots: &[PathBytes],
) -> impl Iterator<Item = &'a Mount> {
    let holder = |root: &PathBytes| {
        let holding = mounts.iter().filter(|mount| root.below(&mount.point).is_some());
        holding.max_by_key(|mount| mount.point.as_bytes().len())
    };
    let holders: Vec<&Mount> = roots.iter().filter_map(holder).collect();
    let roots = roots.to_vec();
    mounts.iter().filter(move |mount| {
        holders.contains(mount) || roots.iter().any(|root| mount.point.below(root).is_some())
    })
}

/// `\040` and the like are bytes.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((byte, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *byte == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(value) => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}

/// The mounts of this process.
///
/// # Errors
/// `/proc` is not mounted.
pub(crate) fn own_mounts() -> io::Result<Vec<Mount>> {
    let mut text = Vec::new();
    File::open("/proc/self/mountinfo")?.read_to_end(&mut text)?;
    Ok(mounts(&text))
}

#[cfg(test)]
mod tests;
