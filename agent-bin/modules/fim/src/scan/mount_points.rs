//! What is mounted where when a scan begins, and whether it goes there.

use std::collections::HashMap;
use std::io;

use crate::mounts::{Mount, own_mounts};
use crate::path_bytes::PathBytes;

/// The mount points when the scan began. They are known by path, as asking a file system that hangs would hang.
#[derive(Debug)]
pub(super) struct MountPoints {
    mounts: HashMap<PathBytes, Mount>,
    network: bool,
}

impl MountPoints {
    /// Reads those of this process. `network`: whether file systems of the network are entered.
    pub(super) fn new(network: bool) -> io::Result<Self> {
        let mounts = own_mounts()?.into_iter();
        Ok(Self { mounts: mounts.map(|mount| (mount.point.clone(), mount)).collect(), network })
    }

    /// The file system that is mounted at `path` itself, and whether it is entered.
    pub(super) fn at(&self, path: &PathBytes) -> Option<(&str, bool)> {
        let mount = self.mounts.get(path)?;
        Some((&mount.fstype, mount.is_entered(self.network)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_on_what_is_mounted_nearest_above_it() {
        let path = |text: &str| PathBytes::new(text);
        let mounts = [("/", "ext4"), ("/proc", "proc"), ("/mnt/net", "nfs4")];
        let mount = |(point, fstype): (&str, &str)| {
            (path(point), Mount { point: path(point), fstype: fstype.to_owned() })
        };
        let mounts = MountPoints { mounts: mounts.map(mount).into(), network: false };
        assert_eq!(mounts.at(&path("/proc")), Some(("proc", false)));
        assert_eq!(mounts.at(&path("/proc/1")), None);
        assert_eq!(mounts.of(&path("/proc/1/fd")), Some(("proc", false)));
        assert_eq!(mounts.of(&path("/mnt/net/a")), Some(("nfs4", false)));
        assert_eq!(mounts.of(&path("/etc/passwd")), Some(("ext4", true)));
    }
}
