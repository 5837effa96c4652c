//! Rules of saving and loading states.

use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use super::*;
use crate::spool::killed_child::{acknowledge, run_and_kill, told};

fn place() -> (TempDir, StateStore, ModuleName) {
    let folder = tempfile::tempdir().unwrap();
    let store = StateStore::new(folder.path().join("modules"));
    (folder, store, ModuleName::new("fim").unwrap())
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("modules/fim").join(name)
}

fn found(version: u32, bytes: &[u8]) -> Restored {
    Restored::Found { version, bytes: bytes.to_vec() }
}

#[test]
fn a_module_that_never_saved_finds_nothing_and_no_folder_is_made() {
    let (folder, store, fim) = place();
    let loaded = store.load(&fim).unwrap();
    assert_eq!(loaded, Loaded { restored: Restored::Nothing, fallback: None });
    assert_eq!(loaded.warning(), None);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn any_bytes_come_back_as_they_were_saved() {
    let (_folder, store, fim) = place();
    for bytes in [&b""[..], b"\n\0{}\n\xff", &[7; 100_000]] {
        store.save(&fim, 3, bytes).unwrap();
        let loaded = store.load(&fim).unwrap();
        assert_eq!(loaded, Loaded { restored: found(3, bytes), fallback: None });
    }
}

#[test]
fn a_module_gets_its_folder_for_itself_and_keeps_what_it_puts_there() {
    let (folder, store, fim) = place();
    let made = store.folder_of(&fim).unwrap();
    assert_eq!(made, folder.path().join("modules/fim"));
    fs::write(made.join("baseline.db"), "rows").unwrap();
    fs::set_permissions(&made, Permissions::from_mode(0o755)).unwrap();
    store.save(&fim, 1, b"x").unwrap();
    assert_eq!(store.folder_of(&fim).unwrap(), made);
    assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::read(made.join("baseline.db")).unwrap(), b"rows");
    let other = store.folder_of(&ModuleName::new("sca").unwrap()).unwrap();
    assert_eq!(fs::read_dir(other).unwrap().count(), 0);
}

#[test]
fn states_are_for_the_owner_alone() {
    let (folder, store, fim) = place();
    DirBuilder::new().mode(0o755).create(folder.path().join("modules")).unwrap();
    store.save(&fim, 1, b"x").unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!(mode(folder.path().join("modules")), 0o700);
    assert_eq!(mode(folder.path().join("modules/fim")), 0o700);
    assert_eq!(mode(file(&folder, "state")), 0o600);
}

#[test]
fn a_corrupt_state_is_set_aside_and_the_one_before_it_is_taken() {
    let (folder, store, fim) = place();
    store.save(&fim, 1, b"first").unwrap();
    store.save(&fim, 2, b"second").unwrap();
    let mut contents = fs::read(file(&folder, "state")).unwrap();
    *contents.last_mut().unwrap() ^= 1;
    fs::write(file(&folder, "state"), &contents).unwrap();

    let loaded = store.load(&fim).unwrap();
    assert_eq!(loaded.restored, found(1, b"first"));
    let fallback = loaded.fallback.clone().unwrap();
    let kept_as = fallback.kept_as.unwrap();
    assert_eq!(kept_as, file(&folder, "state.corrupt-1"));
    assert_eq!(fs::read(kept_as).unwrap(), contents);
    assert!(loaded.warning().unwrap().contains("checksum"));

    store.save(&fim, 3, b"third").unwrap();
    assert_eq!(store.load(&fim).unwrap(), Loaded { restored: found(3, b"third"), fallback: None });
    fs::write(file(&folder, "state"), "again").unwrap();
    assert_eq!(
        store.load(&fim).unwrap().restored,
        found(1, b"first"),
        "never replaced by a bad one"
    );
    assert!(file(&folder, "state.corrupt-2").exists());
}

#[test]
fn a_module_whose_states_are_all_corrupt_is_told_where_they_are_kept() {
    let (folder, store, fim) = place();
    store.save(&fim, 1, b"first").unwrap();
    store.save(&fim, 2, b"second").unwrap();
    fs::write(file(&folder, "state"), "").unwrap();
    fs::write(file(&folder, "state.previous"), "{}\n").unwrap();
    let loaded = store.load(&fim).unwrap();
    let Restored::Unreadable { kept_as, reason } = &loaded.restored else { panic!("{loaded:?}") };
    assert_eq!(kept_as, &file(&folder, "state.corrupt-1"));
    assert!(reason.contains("no header"), "{reason}");
    assert!(loaded.warning().is_some());
    assert!(file(&folder, "state.corrupt-2").exists());
    assert_eq!(store.load(&fim).unwrap().restored, Restored::Nothing);
}

#[test]
fn a_state_that_is_missing_is_replaced_by_the_one_before_it() {
    let (folder, store, fim) = place();
    store.save(&fim, 1, b"first").unwrap();
    store.save(&fim, 2, b"second").unwrap();
    fs::remove_file(file(&folder, "state")).unwrap();
    let loaded = store.load(&fim).unwrap();
    assert_eq!(loaded.restored, found(1, b"first"));
    assert_eq!(loaded.fallback.unwrap().kept_as, None);
}

#[test]
fn what_a_crash_leaves_behind_does_not_disturb_the_next_save() {
    let (folder, store, fim) = place();
    store.save(&fim, 1, b"first").unwrap();
    store.save(&fim, 2, b"second").unwrap();
    // Killed after both names were given to one file, with the links of the rename and the new file unfinished.
    fs::remove_file(file(&folder, "state.previous")).unwrap();
    for name in ["state.previous", "state.previous.tmp"] {
        fs::hard_link(file(&folder, "state"), file(&folder, name)).unwrap();
    }
    fs::write(file(&folder, "state.tmp"), "half of a st").unwrap();
    assert_eq!(store.load(&fim).unwrap().restored, found(2, b"second"));
    store.save(&fim, 3, b"third").unwrap();
    assert_eq!(store.load(&fim).unwrap().restored, found(3, b"third"));
    fs::remove_file(file(&folder, "state")).unwrap();
    assert_eq!(store.load(&fim).unwrap().restored, found(2, b"second"));
    assert_eq!(fs::read_dir(folder.path().join("modules/fim")).unwrap().count(), 1);
}

#[test]
fn a_save_that_fails_names_the_place_and_leaves_the_state_before() {
    let (folder, store, fim) = place();
    store.save(&fim, 1, b"first").unwrap();
    fs::create_dir(file(&folder, "state.tmp")).unwrap();
    let error = store.save(&fim, 2, b"second").unwrap_err().to_string();
    assert!(error.contains("modules/fim/state.tmp"), "{error}");
    assert_eq!(store.load(&fim).unwrap(), Loaded { restored: found(1, b"first"), fallback: None });
}

/// Saves one generation after the other, without end.
#[test]
fn child() {
    let Some((folder, round)) = told() else { return };
    let store = StateStore::new(folder.join("modules"));
    let fim = ModuleName::new("fim").unwrap();
    for generation in round * 1_000_000.. {
        store
            .save(&fim, generation, &vec![7; usize::try_from(generation % 50_000).unwrap()])
            .unwrap();
        acknowledge(&generation.to_string());
    }
}

#[test]
fn after_sigkill_the_last_saved_state_or_a_newer_one_is_found_whole() {
    let (folder, store, fim) = place();
    for round in 1..=12 {
        let child = concat!(module_path!(), "::child");
        let saved = run_and_kill(child, folder.path(), round, 5 * usize::try_from(round).unwrap());
        let last: u32 = saved.last().unwrap().parse().unwrap();
        let loaded = store.load(&fim).unwrap();
        assert_eq!(loaded.fallback, None);
        let Restored::Found { version, bytes } = loaded.restored else { panic!("nothing found") };
        assert!(version == last || version == last + 1, "saved {last}, found {version}");
        assert_eq!(bytes.len(), usize::try_from(version % 50_000).unwrap());
    }
}
