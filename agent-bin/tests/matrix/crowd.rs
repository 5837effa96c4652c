//! Clients that connect at any moment.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cell::Verdict;
use crate::place::{Part, Place};
use crate::plain::{beside, came_to};

const CONNECTS: u32 = 10_000;

pub(crate) fn ten_thousand_connects_during_twenty_restarts_are_never_refused(
    place: &mut dyn Place,
) -> Verdict {
    place.start("", "");
    let place = &*place;
    let socket = place.part(Part::Socket);
    let connects = beside(
        |done| connect_until(&socket, done),
        || {
            for _ in 0..20 {
                came_to(place, &place.restart(), "restarted");
            }
        },
    );
    format!("{connects} connects")
}

/// Connects until the restarts are done and it were enough. A full backlog blocks for a moment and refuses nobody.
fn connect_until(socket: &Path, done: &AtomicBool) -> u32 {
    let mut connects = 0;
    while !done.load(Ordering::Relaxed) || connects < CONNECTS {
        let connected = UnixStream::connect(socket);
        assert!(connected.is_ok(), "connect {connects}: {connected:?}");
        connects += 1;
    }
    connects
}
