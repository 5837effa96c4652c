//! Folders that are found by their handles.

use std::fs::File;

use super::*;
use crate::watch::skipped;

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
