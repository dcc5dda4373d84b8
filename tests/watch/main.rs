//! A real Prometheus beside a lab: it scrapes every replica by the rules of the chart, with what they wait for shortened, and is asked
//! all that the dashboards ask. Faults are staged until the main alerts fire; what runbooks look at is looked at.
//!
//! Needs `prometheus`: `make watch` gets it. With TANDEM_KEEP_WATCH set to a folder, what was answered around the failover stays there,
//! and `scripts/draw-dashboards` makes the pictures of the manual of it.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod faults;
mod kept;
mod looks;
mod prometheus;
mod queries;
mod world;

use tandem_tests::{runner, tests};

fn main() {
    let tests = tests![
        faults::in_order_nothing_fires,
        looks::runbooks_look_and_change_nothing,
        faults::a_replica_that_is_away_is_told,
        faults::a_site_cut_off_is_told_and_so_is_its_end,
        faults::an_edit_without_authority_is_told,
        faults::a_site_without_operators_is_told,
        queries::every_rule_is_evaluated,
        queries::every_query_of_every_panel_is_answered,
    ];
    runner::run::<world::World>(tests, Vec::new());
}
