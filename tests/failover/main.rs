//! Who is active, on the lab: each test stages a fault of the list in the specification, and bears its number.
//!
//! All tests share one lab, with the shortest `T` (5 s) and settings below the platform's floors, and run one after another in
//! the order given here. All the while the gates of both sites are asked every 50 ms; whatever a test is about, no group was
//! ever active at two sites. `cargo test -p tandem-tests --test failover -- NAME` runs one of them; those that take long run
//! with `--include-ignored`.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod accepted;
mod arbiter;
mod data;
mod doctor;
mod drills;
mod kills;
mod lost;
mod planned;
mod restore;
mod world;

use tandem_tests::{runner, tests};

fn main() {
    let tests = tests![
        planned::the_gates_answer_on_both_sites,
        planned::a_switchover_and_the_way_back,
        planned::fault_17_the_same_request_twice_is_one_execution,
        planned::fault_27_a_hold_blocks_at_either_site,
        planned::fault_33_a_target_that_dies_after_the_release_is_left,
        arbiter::fault_01_the_link_cut_with_the_witness_seen_moves_nothing,
        arbiter::fault_05_without_the_witness_nothing_changes,
        arbiter::fault_06_without_a_majority_nobody_acts,
        arbiter::fault_07_without_the_arbiter_gates_close_and_workloads_stay,
        lost::fault_02_a_site_cut_off_is_fenced_and_taken_over,
        lost::fault_03_a_site_without_power_is_taken_over_and_returns_as_standby,
        drills::a_drill_is_measured_and_leaves_nothing,
        drills::a_clone_reaches_clones_and_nothing_else,
        drills::fault_30_a_real_move_sweeps_a_drill_first,
        lost::a_lost_site_and_its_report,
        doctor::the_doctor_sees_both_sites_and_a_bundle_has_no_key,
        data::a_switchover_under_writes_loses_nothing,
        data::fault_22_a_demote_that_hangs_is_taken_back,
        data::fault_31_writes_refuse_by_themselves_when_both_operators_are_dead,
    ];
    let long = tests![
        planned::fault_15_operators_killed_in_the_middle_of_a_move_go_on,
        lost::fault_13_a_lost_api_server_moves_nothing,
        lost::fault_11_paused_operators_are_taken_over_and_refused,
        lost::fault_32_a_site_powered_on_alone_stays_passive,
        data::fault_23_without_a_fence_nothing_is_promoted,
        data::fault_11_a_paused_database_wakes_up_and_refuses,
        planned::fault_16_an_answer_that_is_lost_with_its_operator,
        planned::fault_18_of_opposite_requests_one_wins,
        planned::fault_21_a_standby_without_room_blocks,
        arbiter::fault_08_elections_and_a_leader_that_stalls,
        lost::fault_04_a_lost_standby_changes_nothing_and_is_told,
        lost::fault_10_wrong_wall_clocks_have_no_effect,
        lost::fault_12_stale_operators_come_back_as_standby,
        lost::fault_14_a_slow_api_server_leaves_heartbeats_alone,
        lost::fault_19_a_flapping_link_moves_groups_once,
        lost::fault_26_a_site_that_returns_half_way_is_the_standby,
        drills::a_schedule_rehearses_by_itself,
        drills::fault_30_a_lost_site_sweeps_a_drill_first,
        lost::fault_35_an_unpublished_edit_becomes_a_conflict_record,
        kills::fault_15_a_leader_killed_around_each_kind_of_step,
        accepted::a_hundred_accepted_requests_survive_five_power_offs,
        arbiter::five_minutes_without_the_arbiter,
        restore::a_lost_member_is_replaced_and_nothing_is_fenced,
        restore::fault_09_a_restored_arbiter_fences_until_people_confirm,
    ];
    runner::run::<world::World>(tests, long);
}
