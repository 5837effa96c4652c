//! Rule: no file names a folder of the machine it was written on.

use std::path::Path;

use super::Finding;

/// Folders in which people keep checkouts; no deployed file of ours is below one of them.
const FOLDERS: [&str; 3] = ["work", "root", "home"];

/// Files that may name such a folder, and which one.
const ALLOWED: [(&str, &str); 1] = [
    // The home of root inside the box, which is empty.
    ("xtask/systemd-box.sh", "root"),
];

pub(super) fn check(file: &Path, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for folder in FOLDERS {
            let allowed =
                ALLOWED.iter().any(|(name, only)| file == Path::new(name) && *only == folder);
            if !allowed && names_folder(line, folder) {
                let advice = format!(
                    "/{folder}/ exists on your machine only, use a relative or temporary path"
                );
                findings.push(Finding::new(file, index + 1, "machine path", advice));
            }
        }
    }
    findings
}

/// Whether the line holds the absolute path of something in a top folder; the same name further
/// down a path, behind a variable or in a web address is something else.
fn names_folder(line: &str, folder: &str) -> bool {
    let path = format!("/{folder}/");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "_-.~*)}>/".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines with a finding; `@` stands for the slash, so that this file passes its own rule.
    fn lines(file: &str, text: &str) -> Vec<usize> {
        check(Path::new(file), &text.replace('@', "/")).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_path_in_the_folder_of_a_person_is_found() {
        assert_eq!(
            lines("README.md", "cd \"@home@ann@agent\"\nsee @work@agent\nfine\n@root@.cargo"),
            [1, 2, 4]
        );
    }

    #[test]
    fn the_same_name_further_down_a_path_is_something_else() {
        assert_eq!(
            lines(
                "a.rs",
                "folder.join(\"var@work@x\")\n$DIR@root@\n${DIR}@home@\nhttps:@@a.org@work@"
            ),
            [0; 0]
        );
    }

    #[test]
    fn only_the_listed_file_may_name_the_listed_folder() {
        assert_eq!(lines("xtask/systemd-box.sh", "a=@root@x\nb=@home@x"), [2]);
    }
}
