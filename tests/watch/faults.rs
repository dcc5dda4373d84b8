//! Faults, and what is told of them: each of the main alerts fires once and resolves.

use crate::kept;
use crate::prometheus::now;
use crate::world::{NAMESPACE, OF_THE_MACHINE, World};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tandem_tests::apply;
use tandem_tests::https::Shown;

/// For how long nothing may fire while all is in order: a minute and a half of what the rules wait for, an hour and more.
const CALM: Duration = Duration::from_secs(90);

/// Fails unless each of these fired once since then.
async fn once(world: &World, since: f64, expected: &[(&str, &str)]) {
    let fired = world.fired(since).await;
    println!("fired: {fired:#?}");
    for (alert, labels) in expected {
        let times = fired.get(&((*alert).to_owned(), (*labels).to_owned()));
        assert_eq!(times, Some(&1), "{alert} with {labels}: {fired:#?}");
    }
}

/// Fails where an alert's texts have holes.
fn says_something(alert: &Value) {
    for (name, text) in alert["annotations"].as_object().unwrap() {
        let text = text.as_str().unwrap();
        assert!(!text.is_empty() && !text.contains("<no value>") && !text.contains("error"), "{name}: {text}");
        println!("{name}: {text}");
    }
}

pub(crate) async fn in_order_nothing_fires(world: Arc<World>) {
    world.held_by("dc-a").await;
    world.quiet().await;
    let since = now();
    // An agency reads meanwhile, and asks for what is not there.
    let li = world.lab.asks_api("dc-a", Shown::Person("li"));
    let end = tokio::time::Instant::now() + CALM;
    while tokio::time::Instant::now() < end {
        assert_eq!(li.get("/v1/requests").await.status, 200);
        assert_eq!(li.get("/v1/environments/health-none").await.status, 404);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut fired = world.fired(since).await;
    fired.retain(|(alert, _), _| !OF_THE_MACHINE.contains(&alert.as_str()));
    assert!(fired.is_empty(), "{fired:#?}");
}

/// The replica of a site that does not lead it.
async fn follower(world: &World, site: &str) -> String {
    let idle = world.prometheus.instant(&format!("tandem_leader{{dc=\"{site}\"}} == 0")).await;
    format!("{site}/{}", idle.first().expect("a replica that does not lead").0["instance"])
}

pub(crate) async fn a_replica_that_is_away_is_told(world: Arc<World>) {
    world.quiet().await;
    let since = now();
    let replica = follower(&world, "dc-a").await;
    world.lab.run(&["kill", "--stay-down", &replica]);
    says_something(&world.fires("TandemOneReplica", &[("dc", "dc-a")]).await);
    world.lab.run(&["start", &replica]);
    world.quiet().await;
    once(&world, since, &[("TandemOneReplica", "dc=dc-a,severity=warning")]).await;
}

pub(crate) async fn a_site_cut_off_is_told_and_so_is_its_end(world: Arc<World>) {
    world.quiet().await;
    let since = now();
    // What it was before, and after, is on the pictures too.
    kept::margin().await;
    world.lab.run(&["cut", "dc-a"]);
    says_something(&world.fires("TandemSiteFenced", &[("dc", "dc-a")]).await);
    world.held_by("dc-b").await;
    says_something(&world.fires("TandemPeerSilent", &[("dc", "dc-b"), ("site", "dc-a")]).await);
    says_something(&world.fires("TandemArbiterAlarm", &[("dc", "dc-b")]).await);
    says_something(&world.fires("TandemGroupsExposed", &[("reason", "TargetSilent")]).await);
    let worst = now();
    world.lab.run(&["heal"]);
    world.quiet().await;
    let expected = [
        ("TandemSiteFenced", "dc=dc-a,severity=critical"),
        ("TandemPeerSilent", "dc=dc-b,severity=critical,site=dc-a"),
        ("TandemArbiterAlarm", "dc=dc-b,severity=warning"),
        ("TandemGroupsExposed", "reason=TargetSilent,severity=warning"),
    ];
    once(&world, since, &expected).await;
    kept::margin().await;
    kept::keep(&world, since, worst).await;
}

pub(crate) async fn an_edit_without_authority_is_told(world: Arc<World>) {
    world.held_by("dc-b").await;
    world.quiet().await;
    let since = now();
    let group = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "FailoverGroup", "metadata": {"name": format!("{NAMESPACE}-web")},
        "spec": {"displayName": {"zh": "未经授权的修改"}, "mode": "Automatic"},
    });
    apply(&world.lab.client("dc-a").await, &group).await.unwrap();
    says_something(&world.fires("TandemConflicts", &[("dc", "dc-a"), ("kind", "FailoverGroup")]).await);
    world.quiet().await;
    once(&world, since, &[("TandemConflicts", "dc=dc-a,kind=FailoverGroup,severity=info")]).await;
}

pub(crate) async fn a_site_without_operators_is_told(world: Arc<World>) {
    world.held_by("dc-b").await;
    world.quiet().await;
    let since = now();
    for replica in ["dc-b/operator-0", "dc-b/operator-1"] {
        world.lab.run(&["kill", "--stay-down", replica]);
    }
    says_something(&world.fires("TandemOperatorAbsent", &[("dc", "dc-b")]).await);
    world.held_by("dc-a").await;
    for replica in ["dc-b/operator-0", "dc-b/operator-1"] {
        world.lab.run(&["start", replica]);
    }
    world.quiet().await;
    once(&world, since, &[("TandemOperatorAbsent", "dc=dc-b,severity=critical")]).await;
}
