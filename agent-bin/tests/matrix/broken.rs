//! What is different after the restart: the program, the configuration, the boot.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::cell::Verdict;
use crate::place::{Part, Place};
use crate::plain::came_to;
use crate::support::scripted_binary;
use crate::ticket_watch::{Phase, TicketWatch};

/// Puts another program in place, as a package manager does: written elsewhere, then renamed. Written by a process of its
/// own, because a child of another test could inherit this one's descriptor, and keep the program busy.
fn install(place: &dyn Place, bytes: &[u8]) {
    let program = place.part(Part::Program);
    let (source, new) = (program.with_extension("bytes"), program.with_extension("new"));
    fs::write(&source, bytes).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new("cp").arg(&source).arg(&new).status().unwrap().success());
    fs::rename(new, program).unwrap();
}

/// The file that the agent's process runs.
fn runs(place: &dyn Place) -> u64 {
    let pid = place.pid().expect("the agent runs");
    fs::metadata(format!("/proc/{pid}/exe")).unwrap().ino()
}

pub(crate) fn a_newer_program_is_the_one_that_is_started(place: &mut dyn Place) -> Verdict {
    place.start_from_a_copy("");
    let before = runs(place);
    let mut newer = fs::read(scripted_binary()).unwrap();
    newer.extend(b"newer");
    install(place, &newer);
    let record = place.restart();
    let verdict = came_to(place, &record, "restarted");
    let installed = fs::metadata(place.part(Part::Program)).unwrap().ino();
    assert_eq!(runs(place), installed);
    assert_ne!(before, installed);
    verdict
}

pub(crate) fn a_broken_program_is_refused_and_the_agent_stays(place: &mut dyn Place) -> Verdict {
    place.start_from_a_copy("");
    let before = place.running();
    install(place, b"this is no program\n");
    let record = place.restart();
    assert_eq!(record["status"], "failure", "{record:#}");
    assert_eq!(record["result"]["outcome"], "not_restarted", "{record:#}");
    let after = place.running();
    assert_eq!(after["generation"], before["generation"]);
    assert_eq!(after["modules"][0]["run"], 1, "nothing was stopped: {after:#}");
    "refused".to_owned()
}

pub(crate) fn a_configuration_that_breaks_after_the_checks_does_not_take_the_agent_away(
    place: &mut dyn Place,
) -> Verdict {
    place.start("", "");
    let watch = TicketWatch::new(place.part(Part::State));
    let id = place.order();
    watch.wait_for(Phase::Committed);
    place.configure("no_such_act: [1]", "");
    let end = place.end_of(&id);
    assert_eq!(end["result"]["outcome"], "degraded", "{end:#}");
    assert_eq!(end["status"], "failure", "{end:#}");
    let problem = end["result"]["config_problem"].as_str().unwrap();
    assert!(problem.contains("no_such_act"), "{end:#}");
    assert!(end.to_string().contains("the configuration broke after it was checked"), "{end:#}");
    assert_eq!(place.running()["config_problem"].as_str(), Some(problem));
    place.write_lines("after", 100);
    place.all_lines_came_once();
    place.configure("", "");
    came_to(place, &place.restart(), "restarted");
    "degraded".to_owned()
}

pub(crate) fn after_a_boot_in_between_the_outcome_says_so(place: &mut dyn Place) -> Verdict {
    place.start("", "");
    place.stay_down_after_a_kill();
    for _ in 0..20 {
        let watch = TicketWatch::new(place.part(Part::State));
        let pid = place.pid().expect("the agent runs");
        let id = place.order();
        watch.wait_for(Phase::Committed);
        place.kill(pid);
        // With more than that somebody may start it before the ticket is changed.
        let in_time = watch.phase() == Phase::Committed;
        if in_time {
            watch.amend(|ticket| {
                ticket["old"]["boot_id"] = "00000000-0000-4000-8000-000000000000".into();
            });
        }
        place.bring_back();
        let end = place.end_of(&id);
        if in_time {
            assert_eq!(end["result"]["outcome"], "rebooted", "{end:#}");
            assert_eq!(end["status"], "failure", "{end:#}");
            return "rebooted".to_owned();
        }
    }
    panic!("the moment was missed each time")
}
