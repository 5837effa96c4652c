//! What the helper decides at each turn, with a real process in the agent's place.

use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::*;
use crate::controller::link::pair;

/// A process in the agent's place, the agent's end of the link, and the helper's.
#[expect(clippy::disallowed_methods, reason = "the tests need another process")]
fn agent() -> (Child, Watched, OwnedFd, Link) {
    let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
    let (ours, theirs) = pair().unwrap();
    (child, Watched::ByDescriptor(pidfd), ours, Link(Some(theirs)))
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success(), "nobody has signalled it");
}

#[test]
fn nothing_is_done_to_the_agent_before_it_says_go() {
    let (child, watched, ours, mut link) = agent();
    say(ours.as_fd(), Word::Go).unwrap();
    assert!(matches!(link.wait_for_go(&watched).unwrap(), Next::Replace));
    end(child);
}

#[test]
fn an_agent_that_has_ended_before_go_is_started_at_once() {
    let (child, watched, ours, mut link) = agent();
    end(child);
    drop(ours);
    assert!(matches!(link.wait_for_go(&watched).unwrap(), Next::Start));
}

#[test]
fn an_agent_that_asks_before_it_ends_is_answered() {
    let (child, watched, ours, mut link) = agent();
    say(ours.as_fd(), Word::Ready).unwrap();
    end(child);
    while link.wait_for_end(&watched, None).unwrap() != End::Ended {}
    assert_eq!(hear(ours.as_fd()).unwrap(), Some(Heard::Word(Word::Ready)));
}

#[test]
fn a_closed_link_is_no_end_and_costs_no_time() {
    let (child, watched, ours, mut link) = agent();
    drop(ours);
    let deadline = Some(monotonic() + Duration::from_millis(200));
    assert!(link.wait_for_end(&watched, deadline).unwrap() == End::Late);
    assert!(link.0.is_none(), "it is not polled any more");
    end(child);
    assert!(link.wait_for_end(&watched, None).unwrap() == End::Ended);
}
