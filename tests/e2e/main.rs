//! Tandem on the lab, end to end: two real control planes and an arbiter, a few agencies in them.
//!
//! All tests share one lab, which is slow to start, and run one after another in the order given here; each uses names of its
//! own, so that any of them can be run alone: `cargo test -p tandem-tests --test e2e -- NAME`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod agencies;
mod failures;
mod following;
mod pause;
mod provisioning;
mod refusals;
mod requests;
mod security;
mod steady;
mod traces;
mod world;

use tandem_tests::{runner, tests};

fn main() {
    let tests = tests![
        provisioning::a_unit_is_provisioned_in_both_sites,
        provisioning::an_edit_shows_in_the_other_site_within_two_seconds,
        provisioning::an_application_grows_and_shrinks,
        provisioning::a_missing_secret_blocks_readiness,
        provisioning::an_adopted_workload_is_brought_to_strength,
        provisioning::what_is_deleted_goes_in_both_sites,
        following::drift_is_put_back_with_an_event,
        following::an_edit_without_authority_does_not_survive,
        following::an_object_made_without_authority_does_not_survive,
        following::an_object_deleted_without_authority_comes_back,
        refusals::an_environment_beyond_the_budget_is_refused,
        refusals::two_applications_cannot_have_one_host_name,
        refusals::a_cycle_of_dependencies_is_refused,
        refusals::a_rule_that_an_old_api_server_let_pass_is_reported,
        refusals::a_unit_with_environments_is_not_deleted,
        refusals::a_namespace_of_somebody_else_is_not_taken_over,
        requests::a_request_is_decided_carried_out_and_shown_in_both_sites,
        requests::what_grows_by_little_while_used_up_is_approved_by_rule,
        requests::an_environment_that_expires_is_warned_of,
        agencies::people_see_their_own_unit_and_nothing_of_others,
        agencies::a_token_says_what_a_certificate_says,
        agencies::what_is_asked_for_is_decided_and_carried_out,
        agencies::the_command_line_asks_decides_and_watches,
        agencies::a_group_is_moved_over_the_api_of_either_site,
        pause::a_paused_site_writes_nothing_and_goes_on_where_it_stopped,
        traces::one_trace_goes_from_the_request_to_ready_in_both_sites,
        security::what_binds_an_agency_is_one_page_with_who_set_it,
        security::what_is_found_is_told_and_a_rule_is_waived,
        agencies::a_killed_api_and_a_killed_issuer_come_back,
        agencies::the_api_itself_may_do_no_more_than_it_needs,
        failures::an_operator_killed_in_the_middle_goes_on,
        failures::the_link_cut_and_healed_converges,
        failures::definitions_deleted_and_reinstalled_delete_nothing,
        failures::the_brake_stops_a_mass_deletion,
        steady::nothing_changes_and_nothing_is_written,
    ];
    runner::run::<world::World>(tests, Vec::new());
}
