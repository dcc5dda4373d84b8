//! Sites that are lost with what nobody else had: how much that may be, and that it is said before and after.

use crate::world::{GROUP, PATIENCE, World, wish};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::ledger::{Write, Written};
use tandem_tests::{api, eventually, failovers};

/// For how long nothing is replicated, where that is staged.
const HELD_BACK: Duration = Duration::from_secs(15);
/// The RPO then, in seconds: less.
const RPO: u64 = 6;

/// The name of the newest unplanned failover of the group, once it has ended.
async fn newest(world: &World) -> String {
    let api = failovers(&world.client("dc-b").await);
    eventually("the failover to be there", PATIENCE, || async {
        let list = api.list(&ListParams::default()).await.ok()?.items;
        let ours = list.into_iter().filter(|object| {
            let groups = object.data["status"]["groups"].as_array();
            let ours = groups.is_some_and(|groups| groups.iter().any(|group| group["name"] == GROUP));
            ours && object.data["spec"]["type"] == "Failover"
        });
        ours.max_by_key(|object| object.metadata.creation_timestamp.clone().map(|time| time.0))?.metadata.name
    })
    .await
}

/// What the report says of the ledger, once it is of this sort.
async fn report(world: &World, name: &str, wanted: &str) -> Value {
    let of = |whole: &Value| {
        let groups = whole["groups"].as_array()?;
        groups.iter().find(|group| group["name"] == GROUP && group["loss"]["verdict"] == wanted).cloned()
    };
    of(&world.report("dc-b", name, |whole| of(whole).is_some()).await).unwrap()
}

/// How old the oldest acknowledged write that is missing was when the site was lost.
fn lost_span(missing: &[Write], lost: Instant) -> Duration {
    missing.first().map_or(Duration::ZERO, |first| lost.saturating_duration_since(first.answered))
}

/// What is missing is what the former source says it dropped: every acknowledged write is a transaction of its own, and what was not
/// acknowledged may be among them.
fn assert_same(dropped: &Value, missing: &[Write], written: &Written) {
    let transactions = usize::try_from(dropped["transactions"].as_u64().unwrap()).unwrap();
    let most = missing.len() + written.not_accepted();
    assert!(
        (missing.len()..=most).contains(&transactions),
        "{} are missing, of {most} at most: {dropped}",
        missing.len()
    );
}

pub(crate) async fn fault_03_a_lost_site_loses_no_more_than_was_said(world: Arc<World>) {
    let begins = wish("lost");
    let writers = world.writers(&begins);
    world.accepts(&writers).await;
    let lost = Instant::now();
    world.lab.run(&["power-off", "dc-a"]);
    eventually("dc-b to be active", PATIENCE, || async { world.gates.is_active("dc-b", GROUP).then_some(()) }).await;
    world.accepts(&writers).await;
    let written = writers.stop().await;
    let missing = written.missing(&world.entries(&begins).await);
    let name = newest(&world).await;
    let said = report(&world, &name, "bounded").await;
    let at_most = Duration::from_millis(said["loss"]["atMostMillis"].as_u64().unwrap());
    let span = lost_span(&missing, lost);
    assert!(span <= at_most, "{span:?} are missing, and {at_most:?} at most were said: {said}");
    println!(
        "{} accepted, {} missing ({:.2} s of writes; {:.1} s at most were said); the longest time without an accepted write {:.2} s",
        written.accepted().count(),
        missing.len(),
        span.as_secs_f64(),
        at_most.as_secs_f64(),
        written.longest_gap().as_secs_f64()
    );
    world.lab.run(&["power-on", "dc-a"]);
    world.protected(GROUP).await;
    let found = report(&world, &name, "found").await;
    assert_same(&found["loss"]["dropped"], &missing, &written);
    println!("dc-a came back and dropped {}", found["loss"]["dropped"]);
}

pub(crate) async fn fault_20_beyond_the_rpo_it_waits_for_two_people(world: Arc<World>) {
    let groups = api(&world.client("dc-a").await, Kind::FailoverGroup, None);
    let patch = Patch::Merge(json!({"spec": {"rpoSeconds": RPO}}));
    groups.patch(GROUP, &PatchParams::default(), &patch).await.unwrap();
    world.protected(GROUP).await;
    let begins = wish("behind");
    let writers = world.writers(&begins);
    world.accepts(&writers).await;
    // The arbiter is seen by both, so that nothing moves; only the data stays behind.
    world.lab.run(&["cut", "dc-a", "dc-b"]);
    tokio::time::sleep(HELD_BACK).await;
    assert_eq!(world.settled(GROUP).await, "dc-a");
    let lost = Instant::now();
    world.lab.run(&["power-off", "dc-a"]);
    // Nobody moves it by itself, and the reason has the numbers.
    let b = world.client("dc-b").await;
    let why = eventually("the group to say why it does not move", PATIENCE, || async {
        let found = api(&b, Kind::FailoverGroup, None).get_opt(GROUP).await.ok()??;
        let reasons = found.data["status"]["whyNotAutomatic"].as_array()?.clone();
        reasons.into_iter().find(|why| why["reason"] == "RpoExceeded")
    })
    .await;
    println!("not by itself: {}", why["message"]);
    let name = wish("accepted");
    let mut object = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Failover", "metadata": {"name": name},
        "spec": {"type": "Failover", "from": "dc-a", "to": "dc-b", "selector": {"groups": [GROUP]}, "reason": "dc-a burns"},
    });
    let blocked = world.ask("dc-b", &object, "Running").await;
    println!("asked for: {}", blocked.data["status"]["message"]);
    world.lab.run(&["heal"]);
    object["metadata"]["name"] = json!(format!("{name}-loss"));
    object["spec"]["acceptDataLoss"] = json!({"maxSeconds": 60});
    object["spec"]["approvals"] =
        json!([{"by": "wang", "at": jiff::Timestamp::now()}, {"by": "chen", "at": jiff::Timestamp::now()}]);
    world.ask("dc-b", &object, "Completed").await;
    world.accepts(&writers).await;
    let written = writers.stop().await;
    let missing = written.missing(&world.entries(&begins).await);
    let said = report(&world, &format!("{name}-loss"), "bounded").await;
    let at_most = Duration::from_millis(said["loss"]["atMostMillis"].as_u64().unwrap());
    let span = lost_span(&missing, lost);
    assert!(span <= at_most, "{span:?} are missing, and {at_most:?} at most were said");
    assert!(span + Duration::from_secs(5) >= HELD_BACK, "only {span:?} are missing");
    world.lab.run(&["power-on", "dc-a"]);
    world.protected(GROUP).await;
    let found = report(&world, &format!("{name}-loss"), "found").await;
    assert_same(&found["loss"]["dropped"], &missing, &written);
    println!(
        "{} acknowledged writes are missing, of {:.1} s; dropped: {}",
        missing.len(),
        span.as_secs_f64(),
        found["loss"]["dropped"]
    );
    let patch = Patch::Merge(json!({"spec": {"rpoSeconds": 60}}));
    api(&world.client("dc-b").await, Kind::FailoverGroup, None)
        .patch(GROUP, &PatchParams::default(), &patch)
        .await
        .unwrap();
}
