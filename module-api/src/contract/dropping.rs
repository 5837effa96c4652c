//! Checks that any call may be dropped at any await: after one poll, after two, and so on.

use super::attempt::dropped_after;
use super::ledger::Mode;
use super::station::Station;
use super::{Rule, Subject, Violation};

/// A call that is still not done after so many polls is dropped no later; methods of a module have few awaits.
const MOST_POLLS: usize = 6;

/// Drops calls of each method, and then makes the same call and those that follow in earnest.
pub(super) async fn survives_dropped_calls(subject: &dyn Subject) -> Result<(), Violation> {
    starts(subject).await?;
    questions_and_saves(subject).await?;
    for mode in [Mode::Store, Mode::Hold] {
        stops(subject, mode).await?;
    }
    Ok(())
}

/// An instance whose `start` was dropped is not used again; the next one has to start all the same.
async fn starts(subject: &dyn Subject) -> Result<(), Violation> {
    for polls in 1..=MOST_POLLS {
        let mut station = Station::new(subject);
        let (instance, context) = station.build()?;
        let limit = station.patience.at_once;
        let done = dropped_after(polls, limit, instance.module.start(context)).await;
        station.end(instance);
        let next = station.start().await.map_err(|broken| after("start", polls, &broken))?;
        let works = station.see_work(&next, Rule::StartWorks).await;
        works.map_err(|broken| after("start", polls, &broken))?;
        station.close(next)?;
        if done {
            break;
        }
    }
    Ok(())
}

async fn questions_and_saves(subject: &dyn Subject) -> Result<(), Violation> {
    let mut station = Station::new(subject);
    let instance = station.start().await?;
    station.see_work(&instance, Rule::StartWorks).await?;
    let limit = station.patience.at_once;
    let module = &instance.module;
    for polls in 1..=MOST_POLLS {
        if dropped_after(polls, limit, module.ready_for_shutdown()).await {
            break;
        }
        let broken = |violation| after("ready_for_shutdown", polls, &violation);
        drop(station.ask(&instance).await.map_err(broken)?);
    }
    for polls in 1..=MOST_POLLS {
        drop(station.ask(&instance).await?);
        let done = dropped_after(polls, limit, module.resume()).await;
        let broken = |violation| after("resume", polls, &violation);
        drop(station.ask(&instance).await.map_err(broken)?);
        station.resume(&instance).await.map_err(broken)?;
        station.see_work(&instance, Rule::ResumeGoesOn).await.map_err(broken)?;
        if done {
            break;
        }
    }
    station.get_ready(&instance).await?;
    for polls in 1..=MOST_POLLS {
        let done = dropped_after(polls, limit, module.save_state()).await;
        let broken = |violation| after("save_state", polls, &violation);
        station.save(&instance).await.map_err(broken)?;
        if done {
            break;
        }
    }
    station.stop(&instance, Rule::StopWorks).await?;
    station.close(instance)
}

async fn stops(subject: &dyn Subject, mode: Mode) -> Result<(), Violation> {
    for polls in 1..=MOST_POLLS {
        let mut station = Station::new(subject);
        let instance = station.start().await?;
        station.see_work(&instance, Rule::StartWorks).await?;
        if mode == Mode::Hold {
            station.see_unstored(&instance, mode).await?;
        }
        let done = dropped_after(polls, station.patience.at_once, instance.module.stop()).await;
        station
            .stop(&instance, Rule::StopWorks)
            .await
            .map_err(|broken| after("stop", polls, &broken))?;
        station.close(instance)?;
        if done {
            break;
        }
    }
    Ok(())
}

/// What was broken because a call was dropped.
fn after(method: &str, polls: usize, broken: &Violation) -> Violation {
    let seen = format!("when {method} had been dropped after poll {polls}, {}", broken.seen);
    Violation::new(Rule::CallsMayBeDropped, seen)
}
