//! What happens between the sites and to the arbiter.

use crate::world::{GROUPS, PATIENCE, T, World};
use std::sync::Arc;
use std::time::Duration;
use tandem_tests::eventually;

pub(crate) async fn fault_01_the_link_cut_with_the_witness_seen_moves_nothing(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["cut", "dc-a", "dc-b"]);
    world.stays("dc-a", 3 * T).await;
    assert_eq!(world.epochs("dc-a"), before);
    world.lab.run(&["heal"]);
    world.stays("dc-a", T).await;
    assert_eq!(world.epochs("dc-a"), before);
}

pub(crate) async fn fault_05_without_the_witness_nothing_changes(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["kill", "--stay-down", "witness/arbiter"]);
    world.stays("dc-a", 2 * T).await;
    assert_eq!(world.epochs("dc-a"), before);
    world.lab.run(&["start", "witness/arbiter"]);
}

pub(crate) async fn fault_06_without_a_majority_nobody_acts(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["kill", "--stay-down", "witness/arbiter"]);
    world.stays("dc-a", T).await;
    world.lab.run(&["cut", "dc-a", "dc-b"]);
    world.closed("dc-a", "fenced").await;
    world.nobody(3 * T).await;
    world.lab.run(&["heal"]);
    serves_again(&world, &before).await;
    world.lab.run(&["start", "witness/arbiter"]);
}

pub(crate) async fn fault_07_without_the_arbiter_gates_close_and_workloads_stay(world: Arc<World>) {
    without_the_arbiter(&world, 3 * T).await;
}

pub(crate) async fn five_minutes_without_the_arbiter(world: Arc<World>) {
    without_the_arbiter(&world, Duration::from_secs(300)).await;
}

/// Nobody is active for so long, no workload goes for that, and everything serves again by itself afterwards.
async fn without_the_arbiter(world: &World, time: Duration) {
    let before = world.epochs("dc-a");
    for member in ["witness/arbiter", "dc-b/arbiter"] {
        world.lab.run(&["kill", "--stay-down", member]);
    }
    world.closed("dc-a", "fenced").await;
    let started = std::time::Instant::now();
    while started.elapsed() < time {
        world.nobody(Duration::from_secs(1)).await;
        assert_eq!(world.pods("dc-a", "web").await, Some((2, 2)));
        assert_eq!(world.pods("dc-b", "web").await, Some((1, 1)));
    }
    for member in ["witness/arbiter", "dc-b/arbiter"] {
        world.lab.run(&["start", member]);
    }
    serves_again(world, &before).await;
    assert_eq!(world.pods("dc-a", "web").await, Some((2, 2)));
}

async fn serves_again(world: &World, before: &[u64]) {
    for group in GROUPS {
        eventually(&format!("{group} to be served again by itself"), PATIENCE, || async {
            world.gates.is_active("dc-a", group).then_some(())
        })
        .await;
    }
    assert_eq!(world.epochs("dc-a"), before, "under the epochs of before: nothing moved");
}

pub(crate) async fn fault_08_elections_and_a_leader_that_stalls(world: Arc<World>) {
    let before = world.epochs("dc-a");
    // One of them leads. Stalled, it is voted out; awake again, it still believes for a moment that it leads.
    for place in ["witness", "dc-b", "dc-a", "witness"] {
        let member = format!("{place}/arbiter");
        world.lab.run(&["pause", &member]);
        let stalled = std::time::Instant::now();
        eventually("the stall to last longer than it takes to be fenced", 2 * T, || async {
            (stalled.elapsed() > T).then_some(())
        })
        .await;
        world.lab.run(&["resume", &member]);
    }
    for (group, before) in GROUPS.iter().zip(before) {
        let site = world.settled(group).await;
        let epoch = world.gates.answers(site, group).first().map_or(0, |answer| answer.epoch);
        assert!(epoch <= before + 4, "{group}: at most one move for each stall");
        println!("{group}: at {site}, epoch {before} became {epoch}");
    }
}
