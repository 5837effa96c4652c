//! What one line becomes.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::spool::bytes;
use crate::station::Station;

#[tokio::test(start_paused = true)]
async fn lines_are_published_with_their_place() {
    let mut station = Station::new();
    station.append("a.log", "one\n\ntwo\r\n");
    station.start().await;
    station.expect_lines(&["one", "", "two\r"]).await;
    let stored = station.spool.stored();
    let log = &stored.lines()[2].fields["log"];
    assert_eq!(log["offset"], 5);
    assert_eq!(log["file"]["path"], station.path("a.log").to_str().unwrap());
    assert_eq!(log["file"]["inode"], station.inode("a.log"));
    assert!(stored.lines()[2].id.0.ends_with(":5"));
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_text_come_through_unchanged() {
    let mut station = Station::new();
    let content: Vec<u8> = (0..=255).chain([b'\n', 0xff, 0xfe, b'\n']).collect();
    station.append("a.log", &content);
    station.start().await;
    station.spool.until("3 lines", |stored| stored.lines().len() == 3).await;
    assert_eq!(station.spool.stored().content(), content);
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_line_comes_in_parts_that_together_are_the_line() {
    let mut station = Station::new();
    let long = "é€x".repeat(500);
    station.append("a.log", &long);
    station.start().await;
    // All but the last part is published before the line has its newline.
    let last_part = |stored: &crate::spool::Stored| {
        stored.lines().last().is_some_and(|event| event.fields["log"]["part"]["last"] == true)
    };
    station.spool.until("a part", |stored| !stored.lines().is_empty()).await;
    station.append("a.log", "\nnext\n");
    station.spool.until("the next line", |stored| stored.texts().iter().any(|t| t == "next")).await;
    let stored = station.spool.stored();
    assert_eq!(stored.content(), format!("{long}\nnext\n").into_bytes());
    assert!(!last_part(&stored), "the next line has no parts");
    let parts = &stored.lines()[..stored.lines().len() - 1];
    for (index, event) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        assert_eq!(event.fields["log"]["part"], json!({ "index": index, "last": last }));
        assert_eq!(event.fields["log"]["offset"], 0);
        assert!(event.fields["event"].get("original_base64").is_none(), "no character is cut");
        assert!(bytes(event).len() <= 257);
    }
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_parts_of_a_long_line_go_on_after_a_restart() {
    let mut station = Station::new();
    let long = "x".repeat(1_000);
    station.append("a.log", &long);
    station.start().await;
    station.spool.until("3 parts", |stored| stored.lines().len() == 3).await;
    station.save_and_stop().await;
    station.append("a.log", "y\n");
    station.start().await;
    station.spool.until("4 parts", |stored| stored.lines().len() == 4).await;
    let stored = station.spool.stored();
    assert_eq!(stored.content(), format!("{long}y\n").into_bytes());
    assert_eq!(stored.lines()[3].fields["log"]["part"], json!({ "index": 3, "last": true }));
    assert_eq!(stored.lines()[3].fields["log"]["offset"], 0);
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_without_newline_waits_for_it() {
    let mut station = Station::new();
    station.append("a.log", "one\ntw");
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.append("b.log", "marker\n");
    station.expect_lines(&["one", "marker"]).await;
    station.append("a.log", "o\n");
    station.expect_lines(&["one", "marker", "two"]).await;
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_file_comes_through_in_order_and_keeps_no_other_waiting() {
    let mut station = Station::new();
    let filling = "x".repeat(200);
    let content: String = (0..12_000).map(|number| format!("{number} {filling}\n")).collect();
    station.append("a.log", &content);
    station.append("b.log", "small\n");
    station.start().await;
    station.spool.until("all lines", |stored| stored.lines().len() == 12_001).await;
    let stored = station.spool.stored();
    assert!(stored.contents()[&station.inode("a.log")] == content.as_bytes());
    let small = stored.texts().iter().position(|text| text == "small").unwrap();
    assert!(small < 6_000, "after {small} lines of the other file");
    station.save_and_stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_linked_file_is_read_once() {
    let mut station = Station::new();
    station.append("real.txt", "one\n");
    symlink("real.txt", station.path("a.log")).unwrap();
    symlink("real.txt", station.path("b.log")).unwrap();
    station.start().await;
    station.expect_lines(&["one"]).await;
    station.append("real.txt", "two\n");
    station.expect_lines(&["one", "two"]).await;
    station.save_and_stop().await;
}
