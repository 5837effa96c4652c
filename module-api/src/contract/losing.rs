//! Checks of one instance after the other: nothing is lost and nothing is repeated.

use super::ledger::Mode;
use super::station::{Instance, Station};
use super::{Rule, Subject, Violation};
use crate::EventId;

/// The next instance finds the work of the time between, and does not publish again what was stored.
pub(super) async fn starts_where_it_ended(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let first = station.start().await?;
    station.see_work(&first, Rule::StartWorks).await?;
    station.get_ready(&first).await?;
    station.save(&first).await?;
    station.stop(&first, Rule::StopWorks).await?;
    station.end(first);
    let before = station.ledger.books().stored.len();
    subject.give_work().await;
    let second = station.start().await?;
    let slow = station.patience.slow;
    let went_on = station.ledger.until(slow, |books| books.stored.len() > before).await;
    let repeated = station.ledger.books().repeated.clone();
    let broken = |seen: String| Err(Violation::new(Rule::NextGoesOn, seen));
    if !repeated.is_empty() {
        return broken(format!("it published again what was stored: {repeated:?}"));
    }
    if !went_on {
        return broken(format!(
            "the work given while no instance ran was not published within {slow:?}"
        ));
    }
    station.stop(&second, Rule::StopWorks).await?;
    station.close(second)
}

/// What the spool refuses is published when it takes it: by the same instance, and by the next one.
pub(super) async fn keeps_what_was_refused(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let first = station.start().await?;
    let refused = station.see_unstored(&first, Mode::Refuse).await?;
    station.ledger.set(Mode::Store);
    all_stored(&station, &refused, "the sink refused").await?;

    let refused = station.see_unstored(&first, Mode::Refuse).await?;
    // Whether it gets ready while nothing can be published is not promised.
    drop(station.ask(&first).await?);
    station.save(&first).await?;
    station.stop(&first, Rule::StopWorks).await?;
    let second = next(&mut station, first).await?;
    all_stored(&station, &refused, "the sink refused before the restart").await?;
    station.stop(&second, Rule::StopWorks).await?;
    station.close(second)
}

/// What was not stored when the instance was killed is published by the next one.
pub(super) async fn survives_a_kill(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let first = station.start().await?;
    station.see_work(&first, Rule::StartWorks).await?;
    let unstored = station.see_unstored(&first, Mode::Hold).await?;
    let second = next(&mut station, first).await?;
    all_stored(&station, &unstored, "waited when it was killed").await?;
    station.stop(&second, Rule::StopWorks).await?;
    station.close(second)
}

/// Ends the instance and starts another one, with a spool that stores.
async fn next(station: &mut Station<'_>, instance: Instance) -> Result<Instance, Violation> {
    station.end(instance);
    station.ledger.set(Mode::Store);
    station.start().await
}

async fn all_stored(
    station: &Station<'_>,
    wanted: &[EventId],
    what: &str,
) -> Result<(), Violation> {
    let slow = station.patience.slow;
    let stored =
        station.ledger.until(slow, |books| wanted.iter().all(|id| books.stored.contains(id))).await;
    let seen = || format!("{wanted:?}, which {what}, were not published again within {slow:?}");
    if stored { Ok(()) } else { Err(Violation::new(Rule::NothingIsLost, seen())) }
}
