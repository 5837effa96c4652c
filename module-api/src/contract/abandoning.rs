//! Check of an instance that is abandoned: with its tasks ends all that it does.

use tokio::time::sleep;

use super::station::Station;
use super::{Rule, Subject, Violation};

/// After its tasks were aborted the instance does nothing, although nobody stopped it.
pub(super) async fn ends_with_its_tasks(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let instance = station.start().await?;
    station.see_work(&instance, Rule::StartWorks).await?;
    instance.tasks.end();
    let broken = |seen: String| Err(Violation::new(Rule::WorkIsInTasks, seen));
    if let Err(live) = instance.tasks.all_ended(station.patience.at_once).await {
        return broken(format!("{live} aborted tasks ran on for {:?}", station.patience.at_once));
    }
    if let Err(others) = station.no_more_tasks().await {
        return broken(format!("other tasks ran on when its own were aborted ({others})"));
    }
    let before = station.ledger.books().activity(instance.number);
    subject.give_work().await;
    sleep(station.patience.quiet).await;
    if station.ledger.books().activity(instance.number) != before {
        return broken("it went on publishing when its tasks were aborted".to_owned());
    }
    if let Err(holders) = station.let_go(instance).await {
        return broken(format!("its sink is still held when it is dropped (by {holders})"));
    }
    station.well_formed()
}
