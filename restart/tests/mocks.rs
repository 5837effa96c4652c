//! The mocks of the crate: they can hang and are given up, and they refuse as they are told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use restart::{
    Clock, CommittedTicket, Method, MockClock, MockProcessController, ProcessController,
    ProcessIdentity, Refusal, Requested, TicketDraft, TokioClock,
};
use tokio::time::{Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3_600);
const LIMIT: Duration = Duration::from_secs(5);

fn ticket(folder: &Path) -> CommittedTicket {
    let draft = TicketDraft {
        command_ids: Vec::new(),
        requester: None,
        reason: None,
        method: Method::Exec,
        old: ProcessIdentity::own().unwrap(),
        generation: 1,
        binary: None,
        config: None,
    };
    draft.commit(&folder.join("ticket.json")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_mocked_request_can_hang_and_is_given_up_by_a_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let mut ticket = ticket(folder.path());
    let mut mock = MockProcessController::new();
    mock.expect_request().times(2).returning(|ticket, _, remaining| {
        // What a mock returns cannot borrow its arguments, so the ticket is written before.
        let noted = ticket.record_request(None);
        Box::pin(async move {
            noted?;
            sleep(remaining).await;
            Ok(Requested::ExitWith75)
        })
    });
    let controller: Arc<dyn ProcessController> = Arc::new(mock);
    let began = Instant::now();
    let hung = controller.request(&mut ticket, Vec::new(), HOUR);
    assert!(timeout(LIMIT, hung).await.is_err());
    assert_eq!(began.elapsed(), LIMIT);
    let answered = controller.request(&mut ticket, Vec::new(), LIMIT / 2);
    let answer = timeout(LIMIT, answered).await;
    assert!(matches!(answer, Ok(Ok(Requested::ExitWith75))), "{answer:?}");
    let phases = ticket.ticket().stamps.iter().map(|stamp| stamp.phase.as_str());
    assert_eq!(phases.collect::<Vec<_>>(), ["committed", "requested", "requested"]);
}

#[tokio::test(start_paused = true)]
async fn a_mocked_clock_can_sleep_for_ever_and_is_given_up_by_a_timeout() {
    let start = TokioClock.now();
    let mut clock = MockClock::new();
    clock.expect_now().return_const(start);
    clock.expect_sleep_until().returning(|_| Box::pin(std::future::pending()));
    let clock: &dyn Clock = &clock;
    let began = Instant::now();
    assert!(timeout(LIMIT, clock.sleep_until(clock.now())).await.is_err());
    assert_eq!(began.elapsed(), LIMIT);
}

#[tokio::test]
async fn a_mocked_preflight_refuses_with_the_given_reason() {
    let mut controller = MockProcessController::new();
    controller.expect_method().return_const(Method::Systemd);
    controller
        .expect_preflight()
        .once()
        .returning(|| Box::pin(async { Err(Refusal::ShuttingDown) }));
    let controller: &dyn ProcessController = &controller;
    assert_eq!(controller.method(), Method::Systemd);
    assert_eq!(controller.preflight().await, Err(Refusal::ShuttingDown));
}
