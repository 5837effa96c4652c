//! Every way to replace the process against everything that may happen meanwhile: one test for each pair.
//!
//! `cargo xtask e2e --table` runs all of them and prints what each came to. The ways that share most of their code with another
//! one are left to it, and are ignored here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    reason = "a test"
)]

#[path = "support/pid_namespace.rs"]
mod pid_namespace;
#[path = "support/agent.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod support;
#[path = "support/systemd_box.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod systemd_box;

#[path = "support/table.rs"]
mod table;
#[path = "support/user_box.rs"]
#[expect(dead_code, reason = "each test file uses its part of the support")]
mod user_box;

#[path = "matrix/broken.rs"]
mod broken;
#[path = "matrix/cell.rs"]
mod cell;
#[path = "matrix/collisions.rs"]
mod collisions;
#[path = "matrix/crowd.rs"]
mod crowd;
#[path = "matrix/hand.rs"]
mod hand;
#[path = "matrix/killed.rs"]
mod killed;
#[path = "matrix/place.rs"]
mod place;
#[path = "matrix/plain.rs"]
mod plain;
#[path = "matrix/ticket_watch.rs"]
mod ticket_watch;
#[path = "matrix/unit.rs"]
mod unit;
#[path = "matrix/user_unit.rs"]
mod user_unit;

/// One test; a cell of the table.
macro_rules! cell {
    (always, $column:literal, $way:expr, $row:ident::$test:ident) => {
        #[test]
        fn $test() {
            crate::cell::run($column, stringify!($test), $way, crate::$row::$test);
        }
    };
    (on_demand, $column:literal, $way:expr, $row:ident::$test:ident) => {
        #[test]
        #[ignore = "run by `cargo xtask e2e`"]
        fn $test() {
            crate::cell::run($column, stringify!($test), $way, crate::$row::$test);
        }
    };
}

/// All tests of one way; a column of the table.
macro_rules! column {
    ($when:ident $name:ident = $label:literal, $way:expr) => {
        mod $name {
            column!($when $label, $way;
                plain::a_plain_restart_is_confirmed_to_the_caller_who_waits
                plain::at_a_thousand_events_a_second_none_is_lost_and_none_comes_twice
                plain::a_module_that_hangs_in_ready_costs_its_budget
                plain::a_module_that_hangs_in_save_costs_its_budget
                plain::a_module_that_hangs_in_stop_costs_its_budget
                killed::the_old_process_is_killed_while_modules_drain
                killed::the_old_process_is_killed_when_the_ticket_is_committed
                killed::the_old_process_is_killed_when_the_replacement_is_requested
                killed::the_old_process_is_killed_while_modules_save
                killed::the_old_process_is_killed_when_the_modules_have_stopped
                killed::the_new_process_is_killed_before_it_is_ready
                killed::the_new_process_is_killed_before_the_confirmation
                collisions::an_operators_stop_wins
                collisions::a_restart_by_others_comes_beside_ours
                collisions::twenty_restarts_in_a_row_all_succeed
                crowd::ten_thousand_connects_during_twenty_restarts_are_never_refused
                broken::a_newer_program_is_the_one_that_is_started
                broken::a_broken_program_is_refused_and_the_agent_stays
                broken::a_configuration_that_breaks_after_the_checks_does_not_take_the_agent_away
                broken::after_a_boot_in_between_the_outcome_says_so
            );
        }
    };
    ($when:ident $label:literal, $way:expr; $($row:ident::$test:ident)+) => {
        $(cell!($when, $label, $way, $row::$test);)+
    };
}

column!(always systemd_d_bus = "systemd D-Bus", crate::place::Way::DBus);
column!(on_demand systemd_private_socket = "systemd without bus", crate::place::Way::PrivateSocket);
column!(on_demand systemd_systemctl = "systemctl", crate::place::Way::Systemctl);
column!(on_demand systemd_exit_75 = "exit 75", crate::place::Way::Exit75);
column!(on_demand systemd_user = "systemd --user", crate::place::Way::UserUnit);
column!(always helper = "helper", crate::place::Way::Helper);
column!(on_demand exec_as_pid_one = "exec as PID 1", crate::place::Way::PidOne);
