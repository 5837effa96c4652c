//! Readiness, refusals of the spool, and endings.

use std::time::Duration;

use module_api::Readiness;

use crate::spool::{Mode, within_patience};
use crate::station::Station;

#[tokio::test(start_paused = true)]
async fn a_batch_under_way_makes_the_module_busy_until_it_is_stored() {
    let mut station = Station::new();
    station.start().await;
    station.append("a.log", "one\ntwo\n");
    station.expect_known("a.log").await;
    station.spool.set(Mode::Block);
    station.append("a.log", "three\n");
    // The first lines may have been taken before the spool blocked; what counts is that one call is under way.
    let busy = async {
        loop {
            match station.module().ready_for_shutdown().await {
                Readiness::Busy { reason } => break reason,
                Readiness::Ready => {
                    station.module().resume().await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    let reason = within_patience("busy", busy).await;
    assert!(reason.starts_with("publishing ") && reason.contains("a.log"), "{reason}");
    station.spool.set(Mode::Store);
    station.save_and_stop().await;
    station.start().await;
    station.expect_lines(&["one", "two", "three"]).await;
    station.save_and_stop().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn a_drained_module_begins_no_batch_until_it_is_resumed() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    within_patience("ready", async {
        while station.module().ready_for_shutdown().await != Readiness::Ready {
            tokio::task::yield_now().await;
        }
    })
    .await;
    station.append("a.log", "two\n");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(station.spool.stored().texts(), ["one"]);
    station.module().resume().await;
    station.expect_lines(&["one", "two"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_after_the_state_was_saved() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.save().await;
    station.append("a.log", "two\n");
    tokio::time::sleep(Duration::from_secs(30)).await;
    station.stop().await;
    assert_eq!(station.spool.stored().texts(), ["one"]);
    station.start().await;
    station.expect_lines(&["one", "two"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_spool_refuses_is_published_when_it_takes_it() {
    let mut station = Station::new();
    station.append("a.log", "one\n");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.spool.set(Mode::Refuse);
    station.append("a.log", "two\nthree\n");
    station.spool.next_call().await;
    station.spool.next_call().await;
    station.spool.set(Mode::Store);
    station.expect_lines(&["one", "two", "three"]).await;
    station.save_and_stop().await;
    station.expect_no_repeats();
}

#[tokio::test(start_paused = true)]
async fn a_module_stops_while_the_spool_does_not_answer_and_loses_nothing() {
    for mode in [Mode::Block, Mode::StoreAndHang] {
        let mut station = Station::new();
        station.append("a.log", "one\n");
        station.start().await;
        station.expect_lines(&["one"]).await;
        station.spool.set(mode);
        station.append("a.log", "two\n");
        station.spool.next_call().await;
        assert!(matches!(station.module().ready_for_shutdown().await, Readiness::Busy { .. }));
        station.save().await;
        station.stop().await;
        station.spool.set(Mode::Store);
        station.start().await;
        station.expect_lines(&["one", "two"]).await;
        station.save_and_stop().await;
        station.expect_no_repeats();
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_spool_ends_the_task_without_a_failure() {
    let mut station = Station::new();
    station.start().await;
    station.spool.set(Mode::Close);
    station.append("a.log", "one\n");
    let results = station.ended().await;
    assert!(results.len() == 1 && results[0].is_ok(), "{results:?}");
    station.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_stop_can_be_asked_again() {
    let mut station = Station::new();
    station.start().await;
    let first = tokio::time::timeout(Duration::ZERO, station.module().stop()).await;
    drop(first);
    station.stop().await;
}

#[tokio::test]
async fn lines_written_during_restarts_come_through_once_and_in_order() {
    let mut station = Station::new().with("read_interval", "10ms").with("reload_interval", "10ms");
    let path = station.path("a.log");
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut file = std::fs::File::create(path).unwrap();
        for number in 0..20_000 {
            // In two writes, so that readers see unfinished lines.
            write!(file, "line ").unwrap();
            writeln!(file, "{number}").unwrap();
        }
    });
    let mut rounds = 0;
    while !writer.is_finished() || rounds < 6 {
        station.start().await;
        station.spool.next_call().await;
        if rounds % 2 == 0 {
            station.save_and_stop().await
        } else {
            station.kill().await
        }
        rounds += 1;
        station.append("b.log", "something to publish\n");
    }
    writer.join().unwrap();
    station.start().await;
    let inode = station.inode("a.log");
    let expected: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let complete = |stored: &crate::spool::Stored| {
        stored.contents().get(&inode).is_some_and(|content| content.len() >= expected.len())
    };
    station.spool.until("all lines", complete).await;
    assert!(station.spool.stored().contents()[&inode] == expected.as_bytes());
    station.save_and_stop().await;
    station.expect_no_repeats();
}
