//! Real data moves: PostgreSQL under Patroni at both sites, the city's balancer before them, and clients that write to
//! `tandem-ledger` all the while.
//!
//! All tests share one lab with the shortest `T` (5 s) and run one after another in the order given here. The gates of both sites
//! are asked every 50 ms; whatever a test is about, no group was ever active at two sites. Those that take long run with
//! `--include-ignored`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod loss;
mod moves;
mod stopped;
mod world;

use tandem_tests::{runner, tests};

fn main() {
    let tests =
        tests![moves::a_switchover_under_writes_loses_nothing, moves::fault_22_a_demotion_that_hangs_is_taken_back,];
    let long = tests![
        stopped::fault_31_nothing_is_written_without_operators,
        loss::fault_03_a_lost_site_loses_no_more_than_was_said,
        loss::fault_20_beyond_the_rpo_it_waits_for_two_people,
        stopped::fault_11_a_paused_primary_wakes_up_and_refuses,
        stopped::fault_32_a_site_that_is_alone_with_its_database_stays_passive,
    ];
    runner::run::<world::World>(tests, long);
}
