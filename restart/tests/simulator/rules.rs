//! The promises of the loop as rules over what really happened.

mod account;
mod budgets;
mod ending;
mod order;

use crate::life::Seen;
use crate::stage::plan::Plan;
use crate::stage::record::Record;

/// What a broken rule found.
pub type Finding = Result<(), String>;

/// A promise in words, and the check of it.
pub type Rule = (&'static str, fn(&Seen<'_>) -> Finding);

pub const RULES: [Rule; 28] = [
    ("it ends by time alone, no later than the overall deadline", budgets::it_ends_in_time),
    ("a call ends within its budget, and is given up at no other time", budgets::calls_keep_them),
    ("a busy module is asked again after the poll pause", budgets::busy_modules_are_asked_again),
    ("nobody waits for anybody longer than needed", budgets::nobody_waits_for_nothing),
    ("a forced request ends all waiting for modules at once", budgets::force_is_quick),
    ("nothing is saved or stopped before the gate is open", order::the_gate_is_kept),
    ("a module is stopped only after its save has ended", order::save_comes_before_stop),
    ("no module is called twice at once", order::calls_do_not_overlap),
    ("no question comes after it was answered or given up", order::questions_end),
    ("a module that has stopped or was abandoned is not called again", order::the_end_is_the_end),
    ("after the outcome nothing happens but resuming", order::the_outcome_is_the_end),
    (
        "all running modules are resumed when called off, and never else",
        order::resume_when_called_off,
    ),
    (
        "the replacement is requested once, when all are ready or given up",
        order::one_request_when_drained,
    ),
    ("a module is released once, when it has stopped", order::release_after_stop),
    ("a module is abandoned once, when it does not stop", order::abandon_without_stop),
    ("the operator's stop wins", ending::a_stop_wins),
    ("the ending has its cause", ending::the_ending_has_a_cause),
    (
        "a SIGTERM that no answer explained is in the outcome",
        ending::an_unexplained_sigterm_is_told,
    ),
    ("a refusal calls the restart off at once", ending::a_refusal_counts_at_once),
    ("a restart is called off for lack of SIGTERM when that is overdue", ending::patience_ends),
    ("a replacement that is lost while closing is in the outcome", ending::a_loss_is_told),
    ("a state is kept exactly when it was saved in time", account::states_are_kept),
    ("the outcome names each module once and in order", account::all_are_named),
    ("the times are what really passed, and add up", account::times_are_true),
    ("the notes say exactly what went wrong", account::notes_are_true),
    ("a willing module has no notes unless it was cut short", account::the_willing_are_clean),
    ("late answers are counted and change nothing", account::late_answers_are_counted),
    ("what is reported has happened", account::reports_are_true),
];

/// The rules that the run broke, by name and with what was found.
pub fn broken(plan: &Plan, record: &Record) -> Vec<(&'static str, String)> {
    let seen = Seen::of(plan, record);
    RULES.iter().filter_map(|(name, rule)| rule(&seen).err().map(|found| (*name, found))).collect()
}

fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Finding {
    if holds { Ok(()) } else { Err(otherwise()) }
}
