//! Any order of writing, rotating, restarting and killing publishes everything once and in order.

use proptest::prelude::*;

use crate::spool::Mode;
use crate::station::Station;

/// What happens to the log or to the collector.
#[derive(Debug, Clone)]
enum Act {
    Append(Vec<u8>),
    /// Renames the log and begins another one.
    Rotate,
    /// An orderly restart; what happens in between, nobody watches.
    Restart(Away),
    /// The same, without saving.
    Kill(Away),
    /// A kill while the next batch is stored, but not known to be.
    KillAfterStoring(Away),
    /// Lets the collector catch up.
    Watch,
}

/// What happens to the log while nobody watches.
#[derive(Debug, Clone)]
struct Away {
    before: Vec<u8>,
    /// Whether the log is rotated, and what is written to the new one.
    after: Option<Vec<u8>>,
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => Just(b'\n'),
        6 => b'a'..=b'z',
        1 => any::<u8>(),
    ];
    prop_oneof![
        6 => proptest::collection::vec(byte, 0..60),
        1 => (250_usize..900).prop_map(|length| vec![b'x'; length]),
    ]
}

fn away() -> impl Strategy<Value = Away> {
    (content(), proptest::option::of(content())).prop_map(|(before, after)| Away { before, after })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => content().prop_map(Act::Append),
        2 => Just(Act::Rotate),
        2 => away().prop_map(Act::Restart),
        2 => away().prop_map(Act::Kill),
        1 => away().prop_map(Act::KillAfterStoring),
        2 => Just(Act::Watch),
    ]
}

/// A station, and what was written to its log.
struct Story {
    station: Station,
    written: Vec<u8>,
    rotations: u32,
}

impl Story {
    async fn new() -> Self {
        let mut station = Station::new();
        station.append("a.log", "");
        station.start().await;
        Self { station, written: Vec::new(), rotations: 0 }
    }

    fn append(&mut self, content: &[u8]) {
        self.station.append("a.log", content);
        self.written.extend_from_slice(content);
    }

    fn rotate(&mut self) {
        self.rotations += 1;
        self.station.rename("a.log", &format!("a.log.{}", self.rotations));
        self.station.append("a.log", "");
    }

    /// Whatever is rotated has to be known before: a file that came and went between two looks is never seen.
    async fn watch(&mut self) {
        self.station.expect_known("a.log").await;
    }

    async fn pass(&mut self, away: Away) {
        self.append(&away.before);
        if let Some(after) = away.after {
            self.rotate();
            self.append(&after);
        }
        self.station.start().await;
        self.watch().await;
    }

    async fn play(&mut self, act: Act) {
        match act {
            Act::Append(content) => self.append(&content),
            Act::Rotate => {
                self.watch().await;
                self.rotate();
                self.watch().await;
            }
            Act::Restart(away) => {
                self.watch().await;
                self.station.save_and_stop().await;
                self.pass(away).await;
            }
            Act::Kill(away) => {
                self.watch().await;
                self.station.kill().await;
                self.pass(away).await;
            }
            Act::KillAfterStoring(away) => {
                self.watch().await;
                self.station.spool.set(Mode::StoreAndHang);
                self.append(b"last words\n");
                self.station.spool.next_call().await;
                tokio::task::yield_now().await;
                self.station.kill().await;
                self.station.spool.set(Mode::Store);
                self.pass(away).await;
            }
            Act::Watch => {
                self.watch().await;
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }

    /// Everything was published once, in order and unchanged.
    async fn check(mut self) {
        self.append(b"\nthe end\n");
        let length = self.written.len();
        let all = |stored: &crate::spool::Stored| stored.content().len() >= length;
        self.station.spool.until("everything", all).await;
        self.station.save_and_stop().await;
        let stored = self.station.spool.stored();
        assert_eq!(
            stored.content().escape_ascii().to_string(),
            self.written.escape_ascii().to_string()
        );
        self.station.expect_no_repeats();
        assert_eq!(stored.warnings(), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn everything_is_published_once_and_in_order(acts in proptest::collection::vec(act(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut story = Story::new().await;
            for act in acts {
                story.play(act).await;
            }
            story.check().await;
        });
    }
}
