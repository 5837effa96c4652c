//! Random trees, changed at random: a scan leaves the baseline that a first scan would make.

use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// One random change: what, where, and with what.
type Change = (u8, Vec<u8>, Vec<u8>);

fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    let place = || prop::collection::vec(0..4_u8, 1..4);
    prop::collection::vec((0..12_u8, place(), place()), 0..most)
}

fn place(root: &Path, names: &[u8]) -> PathBuf {
    let names = names.iter().map(|name| ["a", "b", "c.d", "\n"][usize::from(*name % 4)]);
    root.join(names.collect::<PathBuf>())
}

/// Does it, or not if it is not possible.
fn change(root: &Path, (what, one, other): &Change) {
    let (at, to) = (place(root, one), place(root, other));
    // Writing to a pipe would wait for somebody who reads.
    let is_file = fs::metadata(&at).is_ok_and(|meta| meta.is_file()) || !at.exists();
    let done = match what {
        0..=2 => fs::create_dir_all(&at),
        3 | 4 if is_file => fs::write(&at, other),
        5 if is_file => fs::write(&at, [one.as_slice(), other].concat()),
        6 => fs::rename(&at, &to),
        7 => fs::hard_link(&at, &to),
        8 => symlink(&to, &at),
        9 => {
            let mode = 0o700 | u32::from(other.first().copied().unwrap_or(0));
            let is_link = at.is_symlink();
            if is_link {
                Ok(())
            } else {
                fs::set_permissions(&at, fs::Permissions::from_mode(mode))
            }
        }
        10 if at.is_dir() && !at.is_symlink() => fs::remove_dir_all(&at),
        10 => fs::remove_file(&at),
        3..=5 => Ok(()),
        _ => mknodat(CWD, &at, FileType::Fifo, Mode::RUSR, 0).map_err(io::Error::from),
    };
    // What is impossible at this place is no change.
    drop(done);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_after_any_changes_is_as_good_as_a_first_one(
        made in changes(60), changed in prop::collection::vec(changes(20), 1..4),
    ) {
        let mut fixture = Fixture::new();
        let root = fixture.directory.path.clone();
        made.iter().for_each(|one| change(&root, one));
        fixture.scan(1);
        prop_assert_eq!(fixture.rows(), fixture.fresh_rows());
        for (number, list) in (2..).zip(&changed) {
            list.iter().for_each(|one| change(&root, one));
            let findings = fixture.scan(number);
            for path in gone(&findings) {
                prop_assert!(!path.as_path().is_symlink() && !path.as_path().exists());
            }
            prop_assert_eq!(fixture.rows(), fixture.fresh_rows());
        }
    }

    #[test]
    fn a_scan_that_is_cut_goes_on_and_tells_nothing_as_gone_that_is_there(
        made in changes(60), changed in changes(30), cuts in prop::collection::vec(0..40_usize, 1..4),
    ) {
        let mut fixture = Fixture::new();
        let root = fixture.directory.path.clone();
        made.iter().for_each(|one| change(&root, one));
        fixture.scan(1);
        changed.iter().for_each(|one| change(&root, one));
        for cut in cuts {
            let findings = fixture.find(2, Vec::new(), cut);
            for path in gone(&findings) {
                prop_assert!(!path.as_path().is_symlink() && !path.as_path().exists());
            }
            fixture.apply(&findings);
        }
        fixture.scan(2);
        prop_assert_eq!(fixture.rows(), fixture.fresh_rows());
    }
}
