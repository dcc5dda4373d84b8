//! Who is active, on the lab: each test stages a fault of the list in the specification, and bears its number.
//!
//! All tests share one lab, with the shortest `T` (5 s) and settings below the platform's floors, and run one after another in
//! the order given here. All the while the gates of both sites are asked every 50 ms; whatever a test is about, no group was
//! ever active at two sites. `cargo test -p tandem-tests --test failover -- NAME` runs one of them.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod arbiter;
mod lost;
mod planned;
mod world;

use libtest_mimic::{Arguments, Failed, Trial};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tandem_tests::Lab;
use world::World;

/// A test, boxed so that all of them are of one type.
type Test = fn(Arc<World>) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        vec![$((concat!(stringify!($module), "::", stringify!($name)), (|world| Box::pin($module::$name(world))) as Test)),+]
    };
}

/// The shortest `T`, everything automatic that may be, and nothing that has to be waited for.
const SETTINGS: [&str; 10] = [
    "--set",
    "heartbeatSeconds=1",
    "--set",
    "failover.platformMode=Automatic",
    "--set",
    "failover.minReadySeconds=2",
    "--set",
    "failover.dwellSeconds=2",
    "--set",
    "failover.automaticPerDay=100",
];

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let shared: Arc<OnceLock<(tokio::runtime::Runtime, Arc<World>)>> = Arc::default();
    let tests: Vec<(&str, Test)> = tests![
        planned::the_gates_answer_on_both_sites,
        planned::a_switchover_and_the_way_back,
        planned::fault_17_the_same_request_twice_is_one_execution,
        planned::fault_27_a_hold_blocks_at_either_site,
        planned::fault_15_operators_killed_in_the_middle_of_a_move_go_on,
        arbiter::fault_01_the_link_cut_with_the_witness_seen_moves_nothing,
        arbiter::fault_05_without_the_witness_nothing_changes,
        arbiter::fault_07_without_the_arbiter_gates_close_and_workloads_stay,
        lost::fault_13_a_lost_api_server_moves_nothing,
        lost::fault_02_a_site_cut_off_is_fenced_and_taken_over,
        lost::fault_11_paused_operators_are_taken_over_and_refused,
        lost::fault_03_a_site_without_power_is_taken_over_and_returns_as_standby,
    ];
    let trials = tests.into_iter().map(|(name, test)| {
        let shared = Arc::clone(&shared);
        Trial::test(name, move || {
            let (runtime, world) = shared.get_or_init(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let lab = Lab::start_with("fo", &SETTINGS);
                let world = Arc::new(runtime.block_on(World::new(lab)));
                (runtime, world)
            });
            let started = Instant::now();
            let ran = std::panic::catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(async {
                    world.at_home().await;
                    test(Arc::clone(world)).await;
                    world.gates.assert_never_two();
                });
            }));
            println!("{name}: {:.1} s", started.elapsed().as_secs_f64());
            ran.map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                Failed::from(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
            })
        })
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if conclusion.has_failed()
        && let Some((_, world)) = shared.get()
    {
        world.lab.keep_logs();
    }
    // The lab goes down with its last owner.
    drop(shared);
    conclusion.exit();
}
