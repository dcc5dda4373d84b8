//! Sites whose operators, database or both are stopped, and clients inside that go round the balancer: what stands between them and
//! a second active site is the switch beside the data alone.

use crate::world::{GROUP, PATIENCE, T, World, wish};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_tests::eventually;
use tandem_tests::ledger::{Outcome, Writers, Written};

/// What an in-site client was told last before the other site took its first write, and what after.
fn assert_apart(inside: &Written, first_elsewhere: Instant) -> Duration {
    let late: Vec<_> = inside.accepted().filter(|write| write.answered >= first_elsewhere).collect();
    assert!(late.is_empty(), "dc-a acknowledged writes after dc-b had: {late:?}");
    let last = inside.accepted().map(|write| write.answered).max().expect("nothing was ever accepted");
    first_elsewhere - last
}

/// Waits until dc-b has acknowledged a write that was sent after this time; says when that was, at the latest.
async fn taken_at_dc_b(city: &Writers, after: Instant) -> Instant {
    eventually("dc-b to take writes", PATIENCE, || async { city.first_after(after) }).await
}

pub(crate) async fn fault_31_nothing_is_written_without_operators(world: Arc<World>) {
    let begins = wish("dead");
    let inside = Writers::start(&world.inside("dc-a"), &format!("{begins}-in"), 2);
    let city = world.writers(&format!("{begins}-city"));
    world.accepts(&inside).await;
    world.operators("dc-a", &["kill", "--stay-down"]);
    // The balancer has let go of dc-a by then: what is accepted after this was accepted at dc-b.
    eventually("dc-b to be active", PATIENCE, || async { world.gates.is_active("dc-b", GROUP).then_some(()) }).await;
    let first = taken_at_dc_b(&city, Instant::now()).await;
    world.accepts(&city).await;
    let (inside, city) = (inside.stop().await, city.stop().await);
    let apart = assert_apart(&inside, first);
    println!("operators killed: {:.2} s from dc-a's last to dc-b's first", apart.as_secs_f64());
    world.operators("dc-a", &["start"]);
    world.protected(GROUP).await;
    let entries = world.entries(&begins).await;
    println!("{} and {} of the acknowledged are missing", inside.missing(&entries).len(), city.missing(&entries).len());
}

pub(crate) async fn fault_11_a_paused_primary_wakes_up_and_refuses(world: Arc<World>) {
    let begins = wish("paused");
    let inside = Writers::start(&world.inside("dc-a"), &format!("{begins}-in"), 2);
    let city = world.writers(&format!("{begins}-city"));
    world.accepts(&inside).await;
    let database: Vec<String> = (0..2)
        .flat_map(|m| [format!("dc-a/patroni-{GROUP}-{m}"), format!("dc-a/agent-{GROUP}-{m}")])
        .chain((0..2).map(|replica| format!("dc-a/operator-{replica}")))
        .collect();
    let paused = Instant::now();
    for program in &database {
        world.lab.run(&["pause", program]);
    }
    eventually("dc-b to be active", PATIENCE, || async { world.gates.is_active("dc-b", GROUP).then_some(()) }).await;
    let first = taken_at_dc_b(&city, Instant::now()).await;
    // It sleeps for a minute, and wakes with its clients still waiting. The database first, with nobody there to tell it anything.
    tokio::time::sleep(Duration::from_secs(60).saturating_sub(paused.elapsed())).await;
    for program in &database {
        world.lab.run(&["resume", program]);
    }
    let alone = world.inside("dc-a");
    let woken = Instant::now();
    while woken.elapsed() < 2 * T {
        assert_ne!(alone.write(&format!("{begins}-woken"), 1).await, Outcome::Accepted, "it took a write");
    }
    world.accepts(&city).await;
    let (inside, city) = (inside.stop().await, city.stop().await);
    println!("paused: {:.2} s from dc-a's last to dc-b's first", assert_apart(&inside, first).as_secs_f64());
    world.protected(GROUP).await;
    println!("{} of the city's are missing", city.missing(&world.entries(&begins).await).len());
}

pub(crate) async fn fault_32_a_site_that_is_alone_with_its_database_stays_passive(world: Arc<World>) {
    let begins = wish("alone");
    let city = world.writers(&begins);
    world.accepts(&city).await;
    for place in ["dc-a", "dc-b", "witness"] {
        world.lab.run(&["power-off", place]);
    }
    let _ = city.stop().await;
    world.lab.run(&["power-on", "dc-a"]);
    // Everything of dc-a runs, and nobody tells it that it is active.
    let inside = world.inside("dc-a");
    eventually("dc-a's ledger to answer", PATIENCE, || async { inside.ask("GET", "/healthz", None).await }).await;
    let started = Instant::now();
    while started.elapsed() < 4 * T {
        assert_ne!(inside.write(&begins, 1_000_000).await, Outcome::Accepted, "it took a write alone");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for place in ["dc-b", "witness"] {
        world.lab.run(&["power-on", place]);
    }
    let city = world.writers(&format!("{begins}-again"));
    world.accepts(&city).await;
    let _ = city.stop().await;
}
