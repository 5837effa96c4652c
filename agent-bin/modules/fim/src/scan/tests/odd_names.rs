//! Names, kinds and numbers of files that are not usual.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mkdirat, mknodat};

use super::*;
use crate::entry::{Kind, Unhashed};
use crate::look::{For, open_folder, open_subfolder};

#[test]
fn any_name_is_found() {
    let mut fixture = Fixture::new();
    let names: [&[u8]; 5] = [b"a\nb", b"\xff\xfe", &[b'n'; 255], b" ", b"\\x41"];
    for name in names {
        fs::create_dir(fixture.tree.path().join(OsStr::from_bytes(name))).unwrap();
        let file = Path::new(OsStr::from_bytes(name)).join(OsStr::from_bytes(name));
        fs::write(fixture.tree.path().join(file), "content").unwrap();
    }
    fixture.scan(1);
    let root = bytes(&fixture.directory.path);
    for name in names {
        let entry = fixture.baseline.find(&root.join(name).join(name)).unwrap().unwrap();
        assert!(entry.digests.sha256.is_some());
    }
    assert_eq!(fixture.baseline.counts().unwrap().folders, 6);
}

#[test]
fn a_path_may_be_longer_than_the_kernel_takes_at_once() {
    let mut fixture = Fixture::new();
    let name = [b'n'; 255];
    let mut path = bytes(&fixture.directory.path);
    let mut folder = open_folder(&path, For::Passing).unwrap();
    for _ in 0..20 {
        use std::os::fd::AsFd;
        mkdirat(&folder, name.as_slice(), Mode::RWXU).unwrap();
        folder = open_subfolder(folder.as_fd(), &name, For::Passing).unwrap();
        path = path.join(&name);
    }
    fixture.scan(1);
    assert!(path.as_bytes().len() > 5_000);
    assert_eq!(fixture.baseline.find(&path).unwrap().unwrap().kind, Kind::Folder);
    // The standard library cannot remove it.
    let (one, two) = (fixture.path("one"), fixture.path("two"));
    fs::rename(fixture.tree.path().join(OsStr::from_bytes(&name)), &one).unwrap();
    while one.join(OsStr::from_bytes(&name)).exists() {
        fs::rename(one.join(OsStr::from_bytes(&name)), &two).unwrap();
        fs::remove_dir(&one).unwrap();
        fs::rename(&two, &one).unwrap();
    }
}

#[test]
fn pipes_sockets_devices_loops_and_giants_do_not_stop_a_scan() {
    let mut fixture = Fixture::new();
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, fixture.path("fifo"), FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(fixture.path("socket")).unwrap();
    symlink("loop", fixture.path("loop")).unwrap();
    symlink(".", fixture.path("here")).unwrap();
    fs::File::create(fixture.path("giant")).unwrap().set_len(1 << 40).unwrap();
    fixture.scan(1);
    let kind = |name: &str| fixture.baseline.find(&fixture.at(name)).unwrap().unwrap().kind;
    assert_eq!(kind("fifo"), Kind::Fifo);
    assert_eq!(kind("socket"), Kind::Socket);
    assert_eq!(kind("loop"), Kind::Link);
    assert_eq!(kind("here"), Kind::Link);
    assert_eq!(fixture.rows().len(), 6, "nothing is behind a link");
    let giant = fixture.baseline.find(&fixture.at("giant")).unwrap().unwrap();
    assert_eq!(giant.unhashed, Some(Unhashed::TooLarge));
}

#[test]
fn devices_are_not_opened() {
    let mut fixture = Fixture::new();
    let mode = Mode::from_raw_mode(0o600);
    let made = mknodat(CWD, fixture.path("device"), FileType::CharacterDevice, mode, 0x103);
    if made.is_err() {
        skipped("devices_are_not_opened", "devices need root");
        return;
    }
    fixture.scan(1);
    let device = fixture.baseline.find(&fixture.at("device")).unwrap().unwrap();
    assert_eq!((device.kind, device.size), (Kind::CharDevice, 0x103));
}

#[test]
fn a_folder_of_very_many_names_is_compared_in_pieces() {
    let mut fixture = Fixture::new();
    let file = |number: u32| format!("file{number}");
    fs::write(fixture.path("first"), "content").unwrap();
    // Names of one file, as they are made fast; the number of names of each of them changes with those that are removed.
    (0..20_000).for_each(|number| {
        fs::hard_link(fixture.path("first"), fixture.path(&file(number))).unwrap();
    });
    fixture.scan(1);
    assert_eq!(fixture.baseline.counts().unwrap().files, 20_001);
    (0..100).for_each(|number| fs::remove_file(fixture.path(&file(number * 190))).unwrap());
    let findings = fixture.scan(2);
    assert_eq!(gone(&findings).len(), 100);
    assert_eq!(fixture.baseline.counts().unwrap().files, 19_901);
    assert_eq!(fixture.rows(), fixture.fresh_rows());
}

#[test]
fn a_folder_that_becomes_a_link_meanwhile_is_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "content").unwrap();
    let fixture = Fixture::new();
    fs::create_dir_all(fixture.path("real/below")).unwrap();
    let stop = AtomicBool::new(false);
    let (folder, real) = (fixture.path("folder"), fixture.path("real"));
    let link = fixture.path("link");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                symlink(outside.path(), &link).unwrap();
                fs::rename(&link, &folder).unwrap();
                fs::remove_file(&folder).unwrap();
                fs::rename(&real, &folder).unwrap();
                fs::rename(&folder, &real).unwrap();
            }
        });
        for number in 1..100 {
            let findings = fixture.find(number, Vec::new(), usize::MAX);
            let found = differing(&findings);
            assert!(found.iter().all(|path| !path.as_bytes().ends_with(b"secret")), "{found:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_file_that_grows_all_the_time_does_not_hold_a_scan_up() {
    use std::io::{Seek, Write};
    let mut fixture = Fixture::new();
    let mut file = fs::File::create(fixture.path("log")).unwrap();
    file.write_all(b"begin").unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                file.write_all(&[b'x'; 100]).unwrap();
                if file.metadata().unwrap().len() > 900_000 {
                    file.set_len(0).unwrap();
                    file.rewind().unwrap();
                }
            }
        });
        fixture.scan(1);
        stop.store(true, Ordering::Relaxed);
    });
    let entry = fixture.baseline.find(&fixture.at("log")).unwrap().unwrap();
    let changing = entry.unhashed == Some(Unhashed::KeptChanging);
    assert_ne!(
        changing,
        entry.digests.sha256.is_some(),
        "a digest or the reason why there is none: {entry:?}"
    );
}
