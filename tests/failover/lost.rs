//! What happens when a site is lost, or seems to be.

use crate::world::{GROUPS, NAMESPACE, PATIENCE, T, World};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::gates::check;
use tandem_tests::https::Shown;
use tandem_tests::{api, event, eventually, fixtures};

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
        eventually(&format!("{group} to be active at dc-a, by both replicas"), PATIENCE, || async {
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
        let found = api(&a, Kind::Application, Some(NAMESPACE)).get_opt("made-alone").await.ok()??;
        drop(found);
        Some(())
    })
    .await;
    world.strength("dc-a", "web", 1).await;
    world.stays("dc-b", T).await;
}

pub(crate) async fn a_lost_site_and_its_report(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["power-off", "dc-a"]);
    world.active("dc-b").await;
    let wang = world.lab.asks_api("dc-b", Shown::Person("wang"));
    let name = eventually("the failover to be shown", PATIENCE, || async {
        let list = wang.try_get("/v1/failovers?phase=Completed&limit=500").await.ok()?.body;
        let mine = |item: &&serde_json::Value| {
            let epochs = item["status"]["groups"].as_array().into_iter().flatten().map(|group| &group["epoch"]);
            item["spec"]["type"] == "Failover" && epochs.into_iter().any(|epoch| *epoch == before[0] + 1)
        };
        list["items"].as_array()?.iter().find(mine)?["name"].as_str().map(str::to_owned)
    })
    .await;
    let report = world.report("dc-b", &name, |report| report["phase"] == "Completed").await;
    assert_eq!(report["consent"]["automatic"], true, "{report}");
    assert_eq!(report["settled"], false, "dc-a has not come back");
    assert!(report["rto"]["measuredMillis"].as_u64().unwrap() >= 5_000, "{}", report["rto"]);
    for group in report["groups"].as_array().unwrap() {
        let fence = &group["fence"];
        assert_eq!((fence["state"].as_str(), fence["way"].as_str()), (Some("proven"), Some("silence")), "{fence}");
        assert!(fence["unmovedMillis"].as_u64() >= fence["takeOverMillis"].as_u64(), "{fence}");
        assert!(fence["watchedRevision"].as_u64() < fence["revision"].as_u64(), "{fence}");
        assert_eq!(group["epochAfter"].as_u64(), group["epochBefore"].as_u64().map(|epoch| epoch + 1), "{group}");
        // Nothing that moves without data can have lost any; of the others nothing is claimed.
        assert_ne!(group["loss"]["verdict"], "none", "{group}");
    }
    let page = world.lab.tandem_as("wang", "dc-b", &["failover", "report", &name, "--format", "html"]);
    assert!(page.status.success() && page.stdout.starts_with(b"<!doctype html>"));
    world.lab.run(&["power-on", "dc-a"]);
    // Once dc-a follows again it is written anew, and both sites' APIs have it.
    world.report("dc-a", &name, |report| report["settled"] == true).await;
}

pub(crate) async fn fault_04_a_lost_standby_changes_nothing_and_is_told(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["power-off", "dc-b"]);
    world.stays("dc-a", 2 * T).await;
    let a = world.client("dc-a").await;
    for group in &GROUPS[1..] {
        eventually(&format!("{group} to be shown as unprotected, and why"), PATIENCE, || async {
            let found = api(&a, Kind::FailoverGroup, None).get(group).await.unwrap();
            let readiness = &found.data["status"]["readiness"];
            let told = readiness["reasons"].as_array()?.iter().any(|why| why["reason"] == "TargetSilent");
            (readiness["state"] == "Unprotected" && told).then_some(())
        })
        .await;
    }
    world.stays("dc-a", T).await;
    assert_eq!(world.epochs("dc-a"), before, "nothing moved");
    world.lab.run(&["power-on", "dc-b"]);
    for group in &GROUPS[1..] {
        world.protected(group).await;
    }
}

pub(crate) async fn fault_10_wrong_wall_clocks_have_no_effect(world: Arc<World>) {
    let before = world.epochs("dc-a");
    for (site, seconds) in [("dc-a", "3600"), ("dc-b", "-3600")] {
        world.lab.run(&["clock", site, seconds]);
        eventually("the operators to be there again", PATIENCE, || async {
            (world.gates.answers(site, GROUPS[0]).len() == 2).then_some(())
        })
        .await;
    }
    for group in GROUPS {
        eventually(&format!("{group} to be active at dc-a, by both replicas"), PATIENCE, || async {
            (world.gates.answers("dc-a", group).len() == 2 && world.gates.is_active("dc-a", group)).then_some(())
        })
        .await;
    }
    world.stays("dc-a", 2 * T).await;
    assert_eq!(world.epochs("dc-a"), before, "nothing moved");
    // Two hours apart, they move groups as ever.
    for (name, site) in [("by-wrong-clocks", "dc-b"), ("and-back", "dc-a")] {
        let wish = fixtures::failover(name, "Switchover", site, &json!({"groups": [GROUPS[1]]}));
        world.ask("dc-a", &wish, "Completed").await;
        assert_eq!(world.settled(GROUPS[1]).await, site);
    }
    for site in ["dc-a", "dc-b"] {
        world.lab.run(&["clock", site, "0"]);
    }
}

pub(crate) async fn fault_12_stale_operators_come_back_as_standby(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.operators("dc-a", &["kill", "--stay-down"]);
    world.active("dc-b").await;
    world.strength("dc-b", "web", 2).await;
    world.operators("dc-a", &["start"]);
    world.strength("dc-a", "web", 1).await;
    world.stays("dc-b", T).await;
    assert!(world.epochs("dc-b").iter().zip(&before).all(|(now, before)| *now == before + 1), "one epoch more each");
}

pub(crate) async fn fault_14_a_slow_api_server_leaves_heartbeats_alone(world: Arc<World>) {
    let before = world.epochs("dc-a");
    for _ in 0..3 {
        // Every request waits for 5 s, and is answered after all.
        world.lab.run(&["pause", "dc-a/kube-apiserver"]);
        world.stays("dc-a", Duration::from_secs(5)).await;
        world.lab.run(&["resume", "dc-a/kube-apiserver"]);
        world.stays("dc-a", Duration::from_millis(500)).await;
    }
    assert_eq!(world.epochs("dc-a"), before, "nothing moved");
}

pub(crate) async fn fault_19_a_flapping_link_moves_groups_once(world: Arc<World>) {
    let before = world.epochs("dc-a");
    // Slower than it takes to be fenced, then faster.
    for (times, period) in [(3, T), (6, T / 3)] {
        for _ in 0..times {
            for fault in [&["cut", "dc-a"] as &[&str], &["heal"]] {
                world.lab.run(fault);
                tokio::time::sleep(period).await; // the fault is this rhythm
            }
        }
    }
    let mut moved = 0;
    for (group, before) in GROUPS.iter().zip(before) {
        let site = world.settled(group).await;
        let epoch = world.gates.answers(site, group).first().map_or(0, |answer| answer.epoch);
        assert!(epoch <= before + 1, "{group} moved more than once: epoch {before} became {epoch}");
        moved += epoch - before;
    }
    println!("{moved} of {} groups moved, once each", GROUPS.len());
    // A holder that is gone for good still expires.
    world.lab.run(&["cut", "dc-a"]);
    world.active("dc-b").await;
}

pub(crate) async fn fault_26_a_site_that_returns_half_way_is_the_standby(world: Arc<World>) {
    let before = world.epochs("dc-a");
    world.lab.run(&["cut", "dc-a"]);
    eventually("the first group to be taken over", PATIENCE, || async {
        world.gates.is_active("dc-b", GROUPS[0]).then_some(())
    })
    .await;
    world.lab.run(&["heal"]);
    for ((group, before), application) in GROUPS.iter().zip(before).zip(["", "web", "records"]) {
        let site = world.settled(group).await;
        let epoch = world.gates.answers(site, group).first().map_or(0, |answer| answer.epoch);
        // What was not taken over while it was away stays with it, under the old epoch.
        assert_eq!(epoch - before, u64::from(site == "dc-b"), "{group} at {site}");
        println!("{group} is at {site}");
        if !application.is_empty() {
            world.strength(site, application, 2).await;
            world.strength(if site == "dc-a" { "dc-b" } else { "dc-a" }, application, 1).await;
        }
    }
}

pub(crate) async fn fault_32_a_site_powered_on_alone_stays_passive(world: Arc<World>) {
    world.lab.run(&["cut", "dc-a"]);
    world.active("dc-b").await;
    world.lab.run(&["power-off", "dc-a"]);
    world.lab.run(&["power-on", "dc-a"]);
    for replica in 0..2 {
        let gate = world.lab.gate("dc-a", replica).await;
        for group in GROUPS {
            eventually(&format!("the gate of {group} to refuse"), PATIENCE, || async {
                let said = check(&gate, "GET", &format!("/active/{group}")).await?;
                assert_ne!(said, 200, "a site that knows nothing says that it is active");
                Some(())
            })
            .await;
        }
    }
    let started = Instant::now();
    while started.elapsed() < 2 * T {
        for group in GROUPS {
            assert!(world.gates.is_passive("dc-a", group), "{group} is active at a site that is alone");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.lab.run(&["heal"]);
    world.strength("dc-a", "web", 1).await;
    world.stays("dc-b", T).await;
}

pub(crate) async fn fault_35_an_unpublished_edit_becomes_a_conflict_record(world: Arc<World>) {
    // An edit at the authority that no operator publishes any more, since the site is lost at once.
    let a = world.client("dc-a").await;
    world.operators("dc-a", &["pause"]);
    let edit = json!({"spec": {"tier": 1}});
    api(&a, Kind::Application, Some(NAMESPACE))
        .patch("records", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .unwrap();
    world.lab.run(&["power-off", "dc-a"]);
    world.active("dc-b").await;
    world.lab.run(&["power-on", "dc-a"]);
    let a = world.client("dc-a").await;
    eventually("the edit to be put back", PATIENCE, || async {
        let found = api(&a, Kind::Application, Some(NAMESPACE)).get_opt("records").await.ok()??;
        (found.data["spec"]["tier"] == 2).then_some(())
    })
    .await;
    let told = event(&a, "ConflictSaved", "records", PATIENCE).await;
    println!("{told}");
    // The authority goes home: what was saved does not come back as if it had been published.
    let wish = fixtures::failover("after-the-edit", "Failback", "dc-a", &json!({"all": true}));
    world.ask("dc-b", &wish, "Completed").await;
    for site in ["dc-a", "dc-b"] {
        let client = world.client(site).await;
        let found = api(&client, Kind::Application, Some(NAMESPACE)).get("records").await.unwrap();
        assert_eq!(found.data["spec"]["tier"], 2, "{site}");
    }
}
