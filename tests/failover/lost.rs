//! What happens when a site is lost, or seems to be.

use crate::world::{GROUPS, NAMESPACE, T, World};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::{eventually, fixtures};

pub(crate) async fn fault_13_a_lost_api_server_moves_nothing(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["kill", "--stay-down", "dc-a/kube-apiserver"]);
    world.stays("dc-a", T).await;
    // Operators that start while their API server is down beat and answer all the same.
    for replica in ["dc-a/operator-0", "dc-a/operator-1"] {
        world.lab.run(&["kill", replica]);
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    for group in GROUPS {
        eventually(&format!("{group} to be active at dc-a, by both replicas"), 2 * T, || async {
            (world.gates.answers("dc-a", group).len() == 2 && world.gates.is_active("dc-a", group)).then_some(())
        })
        .await;
    }
    world.stays("dc-a", 2 * T).await;
    assert_eq!(world.epochs("dc-a"), before, "nothing failed over");
    world.lab.run(&["start", "dc-a/kube-apiserver"]);
}

pub(crate) async fn fault_02_a_site_cut_off_is_fenced_and_taken_over(world: Arc<World>) {
    let before = world.epochs("dc-a");
    let cut = Instant::now();
    world.lab.run(&["cut", "dc-a"]);
    for group in GROUPS {
        eventually(&format!("dc-a to be fenced for {group}"), 2 * T, || async {
            (world.gates.answers("dc-a", group).len() == 2 && world.gates.is_passive("dc-a", group)).then_some(())
        })
        .await;
    }
    let fenced = cut.elapsed();
    world.active("dc-b").await;
    println!(
        "cut off: fenced after {:.1} s, all taken over after {:.1} s",
        fenced.as_secs_f64(),
        cut.elapsed().as_secs_f64()
    );
    assert!(fenced < T, "fenced only after {fenced:?}");
    assert!(world.epochs("dc-b").iter().zip(&before).all(|(now, before)| *now == before + 1), "one epoch more each");
    world.strength("dc-b", "web", 2).await;
    world.lab.run(&["heal"]);
    world.strength("dc-a", "web", 1).await;
    world.stays("dc-b", T).await;
}

pub(crate) async fn fault_11_paused_operators_are_taken_over_and_refused(world: Arc<World>) {
    let before = world.epochs("dc-a");
    for replica in ["dc-a/operator-0", "dc-a/operator-1"] {
        world.lab.run(&["pause", replica]);
    }
    world.active("dc-b").await;
    for replica in ["dc-a/operator-0", "dc-a/operator-1"] {
        world.lab.run(&["resume", replica]);
    }
    // They wake, find themselves past their deadline, and are the standby from then on.
    world.strength("dc-a", "web", 1).await;
    world.stays("dc-b", T).await;
    assert!(world.epochs("dc-b").iter().zip(&before).all(|(now, before)| *now == before + 1), "one epoch more each");
}

pub(crate) async fn fault_03_a_site_without_power_is_taken_over_and_returns_as_standby(world: Arc<World>) {
    let lost = Instant::now();
    world.lab.run(&["power-off", "dc-a"]);
    world.active("dc-b").await;
    println!("power-off: all taken over after {:.1} s", lost.elapsed().as_secs_f64());
    world.strength("dc-b", "web", 2).await;
    // The authority is there as well: what is made there is published and provisioned.
    let b = world.client("dc-b").await;
    tandem_tests::apply(&b, &fixtures::application(NAMESPACE, "made-alone", 1)).await.unwrap();
    world.strength("dc-b", "made-alone", 1).await;
    world.lab.run(&["power-on", "dc-a"]);
    let a = world.client("dc-a").await;
    eventually("dc-a to be back, as standby", Duration::from_secs(180), || async {
        let found = tandem_tests::api(&a, Kind::Application, Some(NAMESPACE)).get_opt("made-alone").await.ok()??;
        drop(found);
        Some(())
    })
    .await;
    world.strength("dc-a", "web", 1).await;
    world.stays("dc-b", T).await;
}
