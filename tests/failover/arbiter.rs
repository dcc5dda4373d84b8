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

pub(crate) async fn fault_07_without_the_arbiter_gates_close_and_workloads_stay(world: Arc<World>) {
    let before = world.epochs("dc-a");
    for member in ["witness/arbiter", "dc-b/arbiter"] {
        world.lab.run(&["kill", "--stay-down", member]);
    }
    for group in GROUPS {
        eventually(&format!("the gate of {group} to close and say why"), 2 * T, || async {
            let answers = world.gates.answers("dc-a", group);
            let closed = |answer: &tandem_tests::gates::Answer| !answer.active && answer.reason.contains("fenced");
            (answers.len() == 2 && answers.iter().all(closed)).then_some(())
        })
        .await;
    }
    // Nobody is active, and no workload goes for that.
    let started = std::time::Instant::now();
    while started.elapsed() < 3 * T {
        for group in GROUPS {
            assert!(world.gates.is_passive("dc-a", group) && world.gates.is_passive("dc-b", group), "{group}");
        }
        assert_eq!(world.pods("dc-a", "web").await, Some((2, 2)));
        assert_eq!(world.pods("dc-b", "web").await, Some((1, 1)));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for member in ["witness/arbiter", "dc-b/arbiter"] {
        world.lab.run(&["start", member]);
    }
    for group in GROUPS {
        eventually(&format!("{group} to be served again by itself"), PATIENCE, || async {
            world.gates.is_active("dc-a", group).then_some(())
        })
        .await;
    }
    assert_eq!(world.epochs("dc-a"), before, "under the epochs of before: nothing moved");
    assert_eq!(world.pods("dc-a", "web").await, Some((2, 2)));
}
