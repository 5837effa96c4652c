//! Mounts as the kernel lists them.

use super::*;

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
fn file_systems_of_the_network_are_entered_on_demand_and_those_of_the_kernel_never() {
    let entered = |network: bool| {
        let all =
            mounts(TEXT.strip_suffix(b"26 22 0:31 / /srv/net rw - tmpfs tmpfs rw\n").unwrap());
        let entered = all.into_iter().filter(|mount| mount.is_entered(network));
        entered.map(|mount| mount.fstype).collect::<Vec<_>>()
    };
    assert_eq!(entered(false), ["ext4", "xfs"]);
    assert_eq!(entered(true), ["ext4", "xfs", "nfs4"]);
}
