//! The contract of every module, checked on the logcollector with real files in real time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use logcollector::LogcollectorKind;
use module_api::contract::{Patience, Subject, check};
use module_api::{Module, ModuleKind};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A log file in a folder of its own.
struct Logs {
    folder: TempDir,
    lines: AtomicU32,
    start_at: &'static str,
}

impl Logs {
    fn begun_at(start_at: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, lines: AtomicU32::new(0), start_at }
    }

    fn section(&self) -> Value {
        json!({
            "files": [self.folder.path().join("*.log")],
            "start_at": self.start_at,
            "read_interval": "10ms",
            "reload_interval": "10ms",
        })
    }
}

#[async_trait]
impl Subject for Logs {
    fn build(&self) -> Arc<dyn Module> {
        LogcollectorKind::new().build(&self.section()).unwrap()
    }

    async fn give_work(&self) {
        let number = self.lines.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.path().join("a.log");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "line {number}").unwrap();
    }

    fn patience(&self) -> Patience {
        // Deadlines that no test reaches when all is well, however busy the machine; quiet is many of the intervals above.
        Patience {
            at_once: Duration::from_secs(10),
            slow: Duration::from_secs(60),
            quiet: Duration::from_millis(200),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logcollector_keeps_the_contract() {
    check(&Logs::begun_at("beginning")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logcollector_keeps_the_contract_when_it_begins_files_at_their_end() {
    check(&Logs::begun_at("end")).await.unwrap();
}
