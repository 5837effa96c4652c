//! The journal's file: private, set aside when damaged, refused when it is not ours.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use command_manager::{CommandManager, OpenError, Settings};
use rusqlite::Connection;

use crate::scene::{Scene, Ticking, open};

fn refused(path: &Path) -> OpenError {
    CommandManager::open(path, Arc::new(Ticking::default()), Settings::default())
        .expect_err("it should be refused")
}

/// A closed journal with some commands in it.
async fn written() -> tempfile::TempDir {
    let scene = Scene::new();
    for number in 0..50 {
        scene.accept(&format!("c-{number}")).await;
    }
    scene.folder
}

/// Damages the journal, and expects that it is set aside with every byte and that a fresh one works.
async fn is_set_aside(damage: impl FnOnce(&Path)) {
    let folder = written().await;
    let path = folder.path().join("commands.db");
    damage(&path);
    let damaged = fs::read(&path).unwrap();
    let (manager, set_aside) = open(&path);
    let set_aside = set_aside.expect("the damage should be seen");
    let expected = folder.path().join("commands.db.corrupt-20270115T080000Z");
    assert_eq!(set_aside.kept_as, expected);
    assert!(!set_aside.reason.is_empty());
    assert_eq!(fs::read(&set_aside.kept_as).unwrap(), damaged);
    let scene = Scene { folder, manager };
    assert_eq!(scene.manager.list(9).await, Ok(vec![]));
    scene.accept("new").await;
    assert_eq!(scene.reopen().show("new").await.id.as_str(), "new");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_set_aside() {
    is_set_aside(|path| fs::write(path, vec![b'x'; 9000]).unwrap()).await;
}

#[tokio::test]
async fn a_file_with_damaged_pages_is_set_aside() {
    is_set_aside(|path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&[0xff; 4096], 3 * 4096).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_truncated_file_is_set_aside() {
    is_set_aside(|path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(3 * 4096).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_whose_open_commands_make_no_sense_is_set_aside() {
    is_set_aside(|path| {
        let damage = "UPDATE commands SET status = 'later', queued = 0 WHERE id = 'c-7'";
        Connection::open(path).unwrap().execute_batch(damage).unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_a_damaged_file_goes_with_it_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commands.db");
    for expected in ["corrupt-20270115T080000Z", "corrupt-20270115T080000Z-2"] {
        fs::write(&path, "no database, but more than a hundred bytes long: ".repeat(4)).unwrap();
        fs::write(folder.path().join("commands.db-wal"), "its log").unwrap();
        let kept_as = open(&path).1.unwrap().kept_as;
        assert_eq!(kept_as, folder.path().join(format!("commands.db.{expected}")));
        let log = folder.path().join(format!("commands.db.{expected}-wal"));
        assert_eq!(fs::read_to_string(log).unwrap(), "its log");
    }
}

#[tokio::test]
async fn a_journal_of_a_newer_agent_is_refused_and_left_alone() {
    let folder = written().await;
    let path = folder.path().join("commands.db");
    Connection::open(&path).unwrap().execute_batch("UPDATE version SET version = 9").unwrap();
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert_eq!(error, OpenError::Newer { path: path.clone(), found: 9, known: 2 });
    assert!(error.to_string().contains("use the newer agent"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE events (x)").unwrap();
    assert_eq!(refused(&path), OpenError::Foreign { path });
}

#[test]
fn a_place_where_no_file_can_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("missing/commands.db"), folder.path().to_owned()] {
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        let error = refused(&path);
        assert!(matches!(error, OpenError::Storage { .. }), "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode(), mode);
    }
}

#[tokio::test]
async fn only_the_owner_can_read_the_journal_even_if_others_could_before() {
    let scene = Scene::new();
    scene.accept("a").await;
    let modes = |folder: &Path| -> Vec<u32> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries.map(|entry| entry.metadata().unwrap().permissions().mode() & 0o777).collect()
    };
    assert_eq!(modes(scene.folder.path()), [0o600; 3], "the file, its log and its index");
    fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let scene = scene.reopen();
    scene.accept("b").await;
    assert_eq!(modes(scene.folder.path()), [0o600; 3]);
}
