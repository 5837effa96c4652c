//! Looks at real files, also while somebody changes them.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, mknodat};
use tempfile::TempDir;

use super::*;
use crate::config::{Config, Directory};
use crate::rules::Rules;

#[expect(clippy::print_stderr, reason = "a person who runs the tests has to see it")]
fn skipped(name: &str, reason: &str) {
    eprintln!("skipped: {name}: {reason}");
}

/// A folder, with the rules and the looker for it.
struct Fixture {
    folder: TempDir,
    rules: Rules,
    looker: Looker,
}

impl Fixture {
    fn new(own: &[&Path]) -> Self {
        let folder = tempfile::Builder::new().prefix("fim-look").tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let directory =
            Directory { path: path.clone(), max_hash_size: 1_000_000, ..Directory::default() };
        let config = Config { directories: vec![directory], ..Config::default() };
        let rules = Rules::new(&config, |directory| bytes(&directory.path));
        let wanted = Wanted { sha256: true, ..Wanted::default() };
        let own = OwnFiles::new(own.iter().map(|path| path.to_path_buf()));
        let looker = Looker { wanted, owners: Owners::default(), own };
        Self { folder, rules, looker }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn examine(&self, name: &str, row: Option<&Entry>) -> Option<Entry> {
        let path = bytes(&self.path(name));
        let rule = self.rules.of(&path).unwrap();
        self.looker.examine(&path, rule, row).unwrap().map(|examined| examined.entry)
    }
}

fn bytes(path: &Path) -> PathBytes {
    PathBytes::new(path.as_os_str().as_bytes())
}

#[test]
fn a_file_has_its_attributes_and_the_digest_of_its_content() {
    let fixture = Fixture::new(&[]);
    fs::write(fixture.path("a"), "abc").unwrap();
    fs::set_permissions(fixture.path("a"), fs::Permissions::from_mode(0o4750)).unwrap();
    let entry = fixture.examine("a", None).unwrap();
    assert_eq!((entry.kind, entry.size, entry.mode, entry.links), (Kind::File, 3, 0o4750, 1));
    let digest = entry.digests.sha256.unwrap();
    assert_eq!(digest[..4], [0xba, 0x78, 0x16, 0xbf]);
    assert!(!entry.settled, "it was changed a moment ago");
    assert_eq!(fixture.examine("b", None), None);
    assert_eq!(fixture.examine("a/b", None), None);
}

#[test]
fn a_digest_is_taken_from_the_row_only_if_nothing_can_have_changed() {
    let fixture = Fixture::new(&[]);
    fs::write(fixture.path("a"), "abc").unwrap();
    let entry = fixture.examine("a", None).unwrap();
    let digests = Digests { sha256: Some([1; 32]), ..Digests::default() };
    let row = Entry { digests, settled: true, ..entry.clone() };
    assert_eq!(fixture.examine("a", Some(&row)).unwrap().digests, digests);
    for moved in [
        Entry { settled: false, ..row.clone() },
        Entry { ctime: row.ctime - 1, ..row.clone() },
        Entry { mtime: row.mtime - 1, ..row.clone() },
        Entry { inode: row.inode + 1, ..row.clone() },
        Entry { device: row.device + 1, ..row.clone() },
        Entry { size: row.size + 1, ..row.clone() },
        Entry { digests: Digests::default(), ..row },
    ] {
        assert_eq!(fixture.examine("a", Some(&moved)).unwrap().digests, entry.digests);
    }
}

#[test]
fn a_link_is_looked_at_and_not_followed() {
    let fixture = Fixture::new(&[]);
    symlink("b\n/none", fixture.path("a")).unwrap();
    let entry = fixture.examine("a", None).unwrap();
    assert_eq!(entry.kind, Kind::Link);
    assert_eq!(entry.target.as_deref(), Some(b"b\n/none".as_slice()));
    symlink("loop", fixture.path("loop")).unwrap();
    assert_eq!(fixture.examine("loop", None).unwrap().kind, Kind::Link);
    assert_eq!(fixture.examine("loop/x", None), None);
    symlink(fixture.folder.path(), fixture.path("here")).unwrap();
    assert_eq!(fixture.examine("here/a", None), None, "nothing is behind a link");
}

#[test]
fn pipes_sockets_and_devices_are_never_opened() {
    let fixture = Fixture::new(&[]);
    let mode = Mode::from_raw_mode(0o600);
    mknodat(CWD, fixture.path("fifo"), FileType::Fifo, mode, 0).unwrap();
    assert_eq!(fixture.examine("fifo", None).unwrap().kind, Kind::Fifo);
    let _socket = std::os::unix::net::UnixListener::bind(fixture.path("socket")).unwrap();
    assert_eq!(fixture.examine("socket", None).unwrap().kind, Kind::Socket);
    let file = Entry { kind: Kind::File, ..fixture.examine("fifo", None).unwrap() };
    let parent = open_folder(&bytes(fixture.folder.path()), For::Passing).unwrap();
    let error = open_regular(parent.as_fd(), b"fifo", &file).unwrap_err();
    assert!(is_gone(&error), "a pipe in the place of a file: {error}");
    if mknodat(CWD, fixture.path("null"), FileType::CharacterDevice, mode, 0x103).is_err() {
        skipped("pipes_sockets_and_devices_are_never_opened", "devices need root");
        return;
    }
    let device = fixture.examine("null", None).unwrap();
    assert_eq!((device.kind, device.size), (Kind::CharDevice, 0x103));
}

#[test]
fn a_file_that_was_swapped_is_not_opened() {
    let fixture = Fixture::new(&[]);
    fs::write(fixture.path("a"), "a").unwrap();
    let entry = fixture.examine("a", None).unwrap();
    fs::write(fixture.path("b"), "b").unwrap();
    fs::rename(fixture.path("b"), fixture.path("a")).unwrap();
    let parent = open_folder(&bytes(fixture.folder.path()), For::Passing).unwrap();
    let error = open_regular(parent.as_fd(), b"a", &entry).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::STALE));
}

#[test]
fn a_sparse_file_of_a_tebibyte_is_not_read() {
    let fixture = Fixture::new(&[]);
    let file = fs::File::create(fixture.path("a")).unwrap();
    file.set_len(1 << 40).unwrap();
    let entry = fixture.examine("a", None).unwrap();
    assert_eq!((entry.size, entry.unhashed), (1 << 40, Some(Unhashed::TooLarge)));
}

#[test]
fn what_is_read_of_a_file_that_has_changed_is_not_taken_for_its_digest() {
    let fixture = Fixture::new(&[]);
    fs::write(fixture.path("a"), "a").unwrap();
    let entry = fixture.examine("a", None).unwrap();
    let file = fs::File::open(fixture.path("a")).unwrap();
    assert!(is_unchanged(file.as_fd(), &entry).unwrap());
    fs::write(fixture.path("a"), "ab").unwrap();
    assert!(!is_unchanged(file.as_fd(), &entry).unwrap());
    let parent = open_folder(&bytes(fixture.folder.path()), For::Passing).unwrap();
    let digests = fixture.looker.read_once(parent.as_fd(), b"a", &entry).unwrap();
    assert_eq!(digests, None, "what was read does not belong to the attributes");
}

#[test]
fn an_own_file_under_another_name_is_not_opened() {
    let own = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(&[own.path()]);
    fs::create_dir(own.path().join("below")).unwrap();
    fs::write(own.path().join("below/database"), "locked").unwrap();
    fs::hard_link(own.path().join("below/database"), fixture.path("a")).unwrap();
    let entry = fixture.examine("a", None).unwrap();
    assert_eq!(
        (entry.unhashed.clone(), entry.digests),
        (Some(Unhashed::OwnFile), Digests::default())
    );
    fs::remove_file(fixture.path("a")).unwrap();
    fs::write(fixture.path("b"), "mine").unwrap();
    fs::hard_link(fixture.path("b"), fixture.path("c")).unwrap();
    assert_eq!(fixture.examine("b", None).unwrap().unhashed, None);
    let inside = bytes(&own.path().join("below/database"));
    assert!(fixture.looker.own.holds_path(&inside));
    let folder = fs::metadata(own.path().join("below")).unwrap();
    use std::os::unix::fs::MetadataExt;
    let (device, inode) = (folder.dev(), folder.ino());
    assert!(fixture.looker.own.holds(&Entry { kind: Kind::Folder, device, inode, ..entry }));
}

#[test]
fn a_path_of_any_length_can_be_looked_at() {
    let fixture = Fixture::new(&[]);
    let name = "n".repeat(255);
    let mut path = bytes(fixture.folder.path());
    let mut folder = open_folder(&path, For::Passing).unwrap();
    for _ in 0..40 {
        rustix::fs::mkdirat(&folder, &*name, Mode::RWXU).unwrap();
        folder = open_subfolder(folder.as_fd(), name.as_bytes(), For::Passing).unwrap();
        path = path.join(name.as_bytes());
    }
    assert!(path.as_bytes().len() > 10_000);
    let rule = fixture.rules.of(&path).unwrap();
    let examined = fixture.looker.examine(&path, rule, None).unwrap().unwrap();
    assert_eq!(examined.entry.inode, rustix::fs::fstat(&folder).unwrap().st_ino);
    let by_steps = open::open_without_links_by_steps(&path).unwrap();
    assert_eq!(examined.entry.inode, rustix::fs::fstat(&by_steps).unwrap().st_ino);
    remove_deep(fixture.folder.path(), &name);
}

/// The standard library cannot remove what is so deep: the innermost folders are brought up first.
fn remove_deep(folder: &Path, name: &str) {
    let (one, two) = (folder.join(name), folder.join("two"));
    while one.exists() {
        if one.join(name).exists() {
            fs::rename(one.join(name), &two).unwrap();
            fs::remove_dir(&one).unwrap();
            fs::rename(&two, &one).unwrap();
        } else {
            fs::remove_dir(&one).unwrap();
        }
    }
}

#[test]
fn an_unreadable_file_says_why_it_has_no_digest() {
    if rustix::process::geteuid().is_root() {
        skipped("an_unreadable_file_says_why_it_has_no_digest", "root reads everything");
        return;
    }
    let fixture = Fixture::new(&[]);
    fs::write(fixture.path("a"), "a").unwrap();
    fs::set_permissions(fixture.path("a"), fs::Permissions::from_mode(0o000)).unwrap();
    let reason = fixture.examine("a", None).unwrap().unhashed;
    assert!(matches!(reason, Some(Unhashed::Unreadable(_))), "{reason:?}");
}

#[test]
fn a_folder_has_a_handle_that_outlives_its_name() {
    let fixture = Fixture::new(&[]);
    fs::create_dir(fixture.path("a")).unwrap();
    let handle = |name| {
        let path = bytes(&fixture.path(name));
        let rule = fixture.rules.of(&path).unwrap();
        fixture.looker.examine(&path, rule, None).unwrap().unwrap().handle
    };
    let before = handle("a");
    fs::rename(fixture.path("a"), fixture.path("b")).unwrap();
    assert_eq!(handle("b"), before);
    if before.is_none() {
        skipped("a_folder_has_a_handle_that_outlives_its_name", "no handles here");
    }
}
