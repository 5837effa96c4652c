//! Checks of one instance: it works, gets ready, is resumed, saves, and stops.

use tokio::time::sleep;

use super::ledger::{Attempt, Mode};
use super::station::{Instance, Station};
use super::{Rule, Subject, Violation};

/// A started instance publishes, and stops without having been asked or saved.
pub(super) async fn works(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let instance = station.start().await?;
    station.see_work(&instance, Rule::StartWorks).await?;
    station.stop(&instance, Rule::StopWorks).await?;
    station.close(instance)
}

/// An instance that was asked and resumed, twice, works as before.
pub(super) async fn drains_and_goes_on(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let instance = station.start().await?;
    station.see_work(&instance, Rule::StartWorks).await?;
    for _ in 0..2 {
        station.get_ready(&instance).await?;
        // Asked once more, because the agent may; whether it is still ready is not promised.
        drop(station.ask(&instance).await?);
        station.resume(&instance).await?;
        station.see_work(&instance, Rule::ResumeGoesOn).await?;
    }
    station.get_ready(&instance).await?;
    station.save(&instance).await?;
    station.stop(&instance, Rule::StopWorks).await?;
    station.close(instance)
}

/// Nothing runs after `stop`: when all was orderly, when nothing was saved, and when the spool does not answer.
pub(super) async fn stops_for_good(subject: &dyn Subject) -> Result<(), Violation> {
    for (orderly, mode) in [(true, Mode::Store), (false, Mode::Store), (false, Mode::Hold)] {
        let mut station = Station::new(subject);
        let instance = station.start().await?;
        station.see_work(&instance, Rule::StartWorks).await?;
        if mode == Mode::Hold {
            station.see_unstored(&instance, mode).await?;
        }
        if orderly {
            station.get_ready(&instance).await?;
            station.save(&instance).await?;
        }
        station.stop(&instance, Rule::StopWorks).await?;
        nothing_runs(&station, &instance).await?;
        station.stop(&instance, Rule::StopAgainIsOk).await?;
        if let Err(holders) = station.let_go(instance).await {
            let seen = format!("its sink is still held when it is dropped (by {holders})");
            return Err(Violation::new(Rule::StopIsFinal, seen));
        }
        station.well_formed()?;
    }
    Ok(())
}

/// The instance was stopped: its tasks end, and it publishes nothing even if there is work.
async fn nothing_runs(station: &Station<'_>, instance: &Instance) -> Result<(), Violation> {
    let broken = |seen: String| Err(Violation::new(Rule::StopIsFinal, seen));
    let before = station.ledger.books().activity(instance.number);
    let patience = station.patience;
    if let Err(live) = instance.tasks.all_ended(patience.at_once).await {
        return broken(format!("{live} of its tasks ran on for {:?}", patience.at_once));
    }
    // What the spool kept waiting could still be stored, by whoever did not drop it.
    station.ledger.set(Mode::Store);
    station.subject.give_work().await;
    sleep(patience.quiet).await;
    let after = station.ledger.books().activity(instance.number);
    if after == before {
        return Ok(());
    }
    broken(format!(
        "it began to publish {} batches and stored {}",
        after.0 - before.0,
        after.1 - before.1
    ))
}

/// After `save_state` nothing is published that neither the state nor a checkpoint knows of.
pub(super) async fn saves_for_good(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let instance = station.start().await?;
    station.see_work(&instance, Rule::StartWorks).await?;
    station.get_ready(&instance).await?;
    station.save(&instance).await?;
    let (before, _) = station.ledger.books().activity(instance.number);
    subject.give_work().await;
    sleep(station.patience.quiet).await;
    let unknown = |attempt: &&Attempt| !attempt.has_checkpoints && !attempt.ids.is_empty();
    let found = {
        let books = station.ledger.books();
        books.attempts.iter().skip(before).find(unknown).cloned()
    };
    if let Some(Attempt { ids, .. }) = found {
        let seen = format!("{ids:?} came after it without a checkpoint");
        return Err(Violation::new(Rule::SaveIsFinal, seen));
    }
    station.stop(&instance, Rule::StopWorks).await?;
    station.close(instance)
}
