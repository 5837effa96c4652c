//! Mounts as the kernel lists them, and folders that are found by their handles.

use super::*;
use crate::watch::skipped;

const TEXT: &[u8] = b"22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
    23 22 0:20 / /proc rw - proc proc rw\n\
    24 22 8:2 / /srv/with\\040space rw shared:3 master:1 - xfs /dev/sdb rw\n\
    25 22 0:30 / /srv/net rw - nfs4 host:/x rw\n\
    26 22 0:31 / /srv/net rw - tmpfs tmpfs rw\n";

#[test]
fn mounts_are_read_with_their_escapes_and_the_uppermost_one_counts() {
    let found = mounts(TEXT);
    let shown: Vec<String> =
        found.iter().map(|mount| format!("{} {}", mount.point, mount.fstype)).collect();
    let expected = ["/ ext4", "/proc proc", "/srv/with space xfs", "/srv/net tmpfs"];
    assert_eq!(shown, expected);
}

#[test]
fn the_mounts_that_hold_a_root_or_are_below_one_matter() {
    let mounts = mounts(TEXT);
    let concerning = |root: &str| {
        let roots = [PathBytes::new(root)];
        concerning(&mounts, &roots).map(|mount| mount.point.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(concerning("/etc"), ["/"]);
    assert_eq!(concerning("/srv"), ["/", "/srv/with space", "/srv/net"]);
    assert_eq!(concerning("/srv/net/a"), ["/srv/net"]);
}

#[test]
fn what_another_mount_covers_is_not_seen_whatever_stands_first() {
    const TEXT: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
30 27 0:40 / /mnt/a\\040b\\134 rw - nfs4 server:/x rw
33 32 254:2 / /mnt/new rw - ext4 /dev/vdc rw
31 27 254:1 / /mnt rw - xfs /dev/vdb rw
32 31 0:41 / /mnt/new rw - tmpfs tmpfs rw
34 32 0:42 / /mnt/new/below rw - tmpfs tmpfs rw
nonsense
";
    let all = mounts(TEXT);
    let shown: Vec<String> =
        all.iter().map(|mount| format!("{} {}", mount.point, mount.fstype)).collect();
    assert_eq!(shown, ["/proc proc", "/ ext4", "/mnt/new ext4", "/mnt xfs"]);
    let holders: Vec<&Mount> = concerning(&all, &[PathBytes::new("/mnt/a b\\/c")]).collect();
    assert_eq!(holders, [&all[3]], "what is covered holds nothing");
}

#[test]
fn a_first_mount_that_is_its_own_parent_covers_nothing() {
    let text = b"1 1 0:2 / / rw - rootfs rootfs rw\n23 1 0:20 / /proc rw - proc proc rw\n";
    assert_eq!(mounts(text).len(), 2);
    let text = [&text[..], b"24 1 8:1 / / rw - ext4 /dev/sda rw\n"].concat();
    let shown: Vec<String> = mounts(&text).into_iter().map(|mount| mount.fstype).collect();
    assert_eq!(shown, ["ext4"]);
}

#[test]
fn a_folder_whose_name_looks_deleted_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = PathBytes::new(folder.path().canonicalize().unwrap().as_os_str().as_bytes());
    let mut filesystems = Filesystems::default();
    let (id, _) = filesystems.open(&root).unwrap();
    for name in ["odd (deleted)", "\n"] {
        let below = folder.path().join(name);
        std::fs::create_dir(&below).unwrap();
        let opened = File::open(&below).unwrap();
        let found = Handle::of(opened.as_fd(), id)
            .and_then(|handle| handle.open(opened.as_fd()).map(|_| handle));
        let handle = match found {
            Ok(handle) => handle,
            Err(error) => {
                return skipped("a_folder_whose_name_looks_deleted_is_found", error);
            }
        };
        assert_eq!(filesystems.path_of(&handle), Some(root.join(name.as_bytes())));
        std::fs::remove_dir(&below).unwrap();
        assert_eq!(filesystems.path_of(&handle), None, "opened still, and gone");
    }
}

#[test]
fn a_folder_is_found_by_its_handle_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let root = PathBytes::new(folder.path().as_os_str().as_bytes());
    let mut filesystems = Filesystems::default();
    let (id, _) = filesystems.open(&root).unwrap();
    let below = folder.path().join("a");
    std::fs::create_dir(&below).unwrap();
    let handle = match Handle::of(File::open(&below).unwrap().as_fd(), id) {
        Ok(handle) => handle,
        Err(error) => return skipped("a_folder_is_found_by_its_handle_until_it_is_gone", error),
    };
    if handle.open(File::open(&below).unwrap().as_fd()).is_err() {
        return skipped(
            "a_folder_is_found_by_its_handle_until_it_is_gone",
            "needs CAP_DAC_READ_SEARCH",
        );
    }
    assert_eq!(filesystems.path_of(&handle), Some(root.join(b"a")));
    std::fs::rename(&below, folder.path().join("b")).unwrap();
    assert_eq!(filesystems.path_of(&handle), Some(root.join(b"b")));
    std::fs::remove_dir(folder.path().join("b")).unwrap();
    assert_eq!(filesystems.path_of(&handle), None);
}
