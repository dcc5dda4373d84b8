//! Planned moves of a database under writes.

use crate::world::{GROUP, World, wish};
use serde_json::json;
use std::sync::Arc;

pub(crate) async fn a_switchover_under_writes_loses_nothing(world: Arc<World>) {
    for to in ["dc-b", "dc-a"] {
        let begins = wish("switch");
        let writers = world.writers(&begins);
        world.accepts(&writers).await;
        let before = world.gates.answers(if to == "dc-b" { "dc-a" } else { "dc-b" }, GROUP)[0].epoch;
        let moved = world.go(to, "Completed").await;
        world.accepts(&writers).await;
        let written = writers.stop().await;
        let entries = world.entries(&begins).await;
        let missing = written.missing(&entries);
        assert!(missing.is_empty(), "lost after a planned move: {missing:?}");
        assert_eq!(world.gates.answers(to, GROUP)[0].epoch, before + 1);
        println!(
            "to {to}: {} accepted, none lost; the longest time without an accepted write {:.2} s; RTO {}",
            written.accepted().count(),
            written.longest_gap().as_secs_f64(),
            moved["status"]["rtoSeconds"]
        );
        // The former source follows, and nothing is in the way of the next move.
        world.protected(GROUP).await;
    }
}

pub(crate) async fn fault_22_a_demotion_that_hangs_is_taken_back(world: Arc<World>) {
    let begins = wish("hangs");
    let epoch = world.gates.answers("dc-a", GROUP)[0].epoch;
    world.stage("dc-a", &json!({"call": "demote", "mode": "hang"})).await;
    let writers = world.writers(&begins);
    world.accepts(&writers).await;
    let moved = world.go("dc-b", "RolledBack").await;
    println!("a demotion that hangs: {}", moved["status"]["message"]);
    // The source serves again, under its own epoch: nothing was released.
    world.accepts(&writers).await;
    world.heal_agents("dc-a").await;
    let written = writers.stop().await;
    assert_eq!(world.settled(GROUP).await, "dc-a");
    assert_eq!(world.gates.answers("dc-a", GROUP)[0].epoch, epoch, "it was released");
    let missing = written.missing(&world.entries(&begins).await);
    assert!(missing.is_empty(), "lost by a move that was taken back: {missing:?}");
    println!("the longest time without an accepted write {:.2} s", written.longest_gap().as_secs_f64());
}
