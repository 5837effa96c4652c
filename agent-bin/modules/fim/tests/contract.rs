//! The contract of every module, checked on fim with real files in real time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fim::FimKind;
use module_api::contract::{Patience, Subject, check};
use module_api::{Module, ModuleKind};
use serde_json::json;
use tempfile::TempDir;

/// A folder that is watched.
struct Watched {
    folder: TempDir,
    /// Beside it.
    spare: TempDir,
    files: AtomicU32,
    watcher: &'static str,
}

impl Watched {
    fn by(watcher: &'static str) -> Self {
        let [folder, spare] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        Self { folder, spare, files: AtomicU32::new(0), watcher }
    }
}

#[async_trait]
impl Subject for Watched {
    fn build(&self) -> Arc<dyn Module> {
        let section = json!({
            "directories": [{ "path": self.folder.path() }],
            "settle": "10ms",
            "watcher": self.watcher,
        });
        FimKind::new().build(&section).unwrap()
    }

    async fn give_work(&self) {
        let number = self.files.fetch_add(1, Ordering::Relaxed).to_string();
        // With its content at once: an event about a file that is still empty is another one than that about the full file.
        let spare = self.spare.path().join(&number);
        std::fs::write(&spare, "new").unwrap();
        std::fs::rename(spare, self.folder.path().join(number)).unwrap();
    }

    fn patience(&self) -> Patience {
        // Deadlines that no test reaches when all is well, however busy the machine; quiet is many of the intervals above.
        Patience {
            at_once: Duration::from_secs(10),
            slow: Duration::from_secs(60),
            quiet: Duration::from_millis(300),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fim_keeps_the_contract_with_inotify() {
    check(&Watched::by("inotify")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fim_keeps_the_contract_with_what_the_kernel_offers() {
    check(&Watched::by("auto")).await.unwrap();
}
