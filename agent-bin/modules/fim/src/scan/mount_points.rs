//! What is mounted where, and whether a scan goes there.

use std::collections::HashMap;
use std::io;

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

/// The mount points when the scan began. They are known by path, as asking a file system that hangs would hang.
#[derive(Debug)]
pub(super) struct MountPoints {
    types: HashMap<PathBytes, String>,
    network: bool,
}

impl MountPoints {
    /// Reads those of this process. `network`: whether file systems of the network are entered.
    pub(super) fn new(network: bool) -> io::Result<Self> {
        Ok(Self { types: parse(&std::fs::read("/proc/self/mountinfo")?), network })
    }

    /// The file system that is mounted at `path` itself, and whether it is entered.
    pub(super) fn at(&self, path: &PathBytes) -> Option<(&str, bool)> {
        let fstype = self.types.get(path)?;
        let enters = !NEVER.contains(&fstype.as_str())
            && (self.network || !NETWORK.contains(&fstype.as_str()));
        Some((fstype, enters))
    }

    /// The file system that `path` is on, and whether it is entered.
    pub(super) fn of(&self, path: &PathBytes) -> Option<(&str, bool)> {
        let mut each = Some(path.clone());
        while let Some(one) = each {
            if let Some(found) = self.at(&one) {
                return Some(found);
            }
            each = one.split().map(|(folder, _)| folder);
        }
        None
    }
}

/// Lines of `36 35 98:0 /root /mount/point options [optional ...] - type source options`; of several for a point the last
/// one is on top.
fn parse(content: &[u8]) -> HashMap<PathBytes, String> {
    let mut types = HashMap::new();
    for line in content.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4).map(unescape);
        let fstype = fields.skip_while(|field| *field != b"-").nth(1);
        if let (Some(point), Some(fstype)) = (point, fstype) {
            types.insert(PathBytes::new(point), String::from_utf8_lossy(fstype).into_owned());
        }
    }
    types
}

/// Spaces and their like are `\040`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    loop {
        match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            [byte, after @ ..] => {
                bytes.push(*byte);
                rest = after;
            }
            [] => return bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_is_known_by_its_path() {
        let lines = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            23 22 0:5 / /proc rw shared:5 master:1 - proc proc rw\n\
            24 22 0:9 / /mnt/a\\040b\\134 rw shared:7 - nfs4 server:/ rw\nrubbish\n";
        let mut mounts = MountPoints { types: parse(lines), network: false };
        let path = |text: &str| PathBytes::new(text);
        assert_eq!(mounts.at(&path("/proc")), Some(("proc", false)));
        assert_eq!(mounts.at(&path("/proc/1")), None);
        assert_eq!(mounts.of(&path("/proc/1/fd")), Some(("proc", false)));
        assert_eq!(mounts.of(&path("/etc/passwd")), Some(("ext4", true)));
        assert_eq!(mounts.at(&path("/mnt/a b\\")), Some(("nfs4", false)));
        mounts.network = true;
        assert_eq!(mounts.at(&path("/mnt/a b\\")), Some(("nfs4", true)));
    }
}
