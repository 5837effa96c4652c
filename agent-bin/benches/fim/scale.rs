//! How much is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// How much is measured, and whether it is judged.
#[derive(Debug)]
pub(crate) struct Scale {
    pub(crate) rounds: usize,
    /// Rounds of restarts, which take less time than others.
    pub(crate) restarts: usize,
    /// What is scanned; none: a made tree.
    scanned: Option<&'static str>,
    /// Files in the large made tree, and in the small one.
    pub(crate) many: u32,
    pub(crate) few: u32,
    /// Files that are written to see their events.
    pub(crate) writes: u32,
    pub(crate) idle: Duration,
    /// What is watched meanwhile.
    pub(crate) idle_watch: &'static [&'static str],
    /// Targets are for the whole measurement.
    pub(crate) judged: bool,
}

/// What a measure is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    None,
}

impl Scale {
    pub(crate) fn whole() -> Self {
        Self {
            rounds: 5,
            restarts: 11,
            scanned: Some("/usr"),
            many: 1_000_000,
            few: 1_000,
            writes: 500,
            idle: Duration::from_secs(10),
            idle_watch: &["/usr", "/etc"],
            judged: true,
        }
    }

    pub(crate) fn quick() -> Self {
        Self {
            rounds: 1,
            restarts: 1,
            scanned: None,
            many: 3_000,
            few: 300,
            writes: 30,
            idle: Duration::from_secs(1),
            idle_watch: &["/etc/ssl"],
            judged: false,
        }
    }

    /// The tree that is scanned; made in `folder` where there is no large one.
    pub(crate) fn tree(&self, folder: &Path) -> Result<PathBuf, String> {
        match self.scanned {
            Some(path) => Ok(PathBuf::from(path)),
            None => made_tree(&folder.join("scanned"), self.few),
        }
    }

    /// One measure as it is printed.
    pub(crate) fn measure(&self, name: &str, unit: &str, of: &[f64], bound: Bound) -> Value {
        let mut measure = json!({ "name": name, "unit": unit, "of": of });
        match bound {
            Bound::AtMost(most) if self.judged => measure["at_most"] = most.into(),
            Bound::AtLeast(least) if self.judged => measure["at_least"] = least.into(),
            Bound::AtMost(_) | Bound::AtLeast(_) | Bound::None => {}
        }
        measure
    }

    /// One quotient of each round.
    pub(crate) fn quotient(&self, name: &str, of: &[f64], per: &[f64], bound: Bound) -> Value {
        let mut measure = self.measure(name, "times", of, bound);
        measure["per"] = json!(per);
        measure
    }
}

/// A tree of `files` empty and tiny files, a thousand to a folder.
pub(crate) fn made_tree(root: &Path, files: u32) -> Result<PathBuf, String> {
    let make = || -> std::io::Result<()> {
        fs::create_dir(root)?;
        for number in 0..files {
            let folder = root.join(format!("d{}", number / 1_000));
            if number % 1_000 == 0 {
                fs::create_dir(&folder)?;
            }
            let content = if number % 2 == 0 { String::new() } else { format!("file {number}\n") };
            fs::write(folder.join(format!("f{number}")), content)?;
        }
        Ok(())
    };
    make().map_err(|error| format!("{}: {error}", root.display()))?;
    Ok(root.to_owned())
}
