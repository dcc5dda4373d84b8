//! A site that people have paused observes, and writes nothing.

use crate::world::{PATIENCE, World};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_crds::Kind;
use tandem_tests::audit::AuditLog;
use tandem_tests::{api, built_in, condition, eventually};

pub(crate) async fn a_paused_site_writes_nothing_and_goes_on_where_it_stopped(world: Arc<World>) {
    let namespace = world.agency("quiet").await;
    let paused = world.lab.tandem("dc-b", &["pause", "--reason", "works on the network"]);
    assert!(paused.status.success(), "{}", String::from_utf8_lossy(&paused.stderr));
    let sites = api(&world.b, Kind::DataCentre, None);
    eventually("dc-b to show that it is paused", PATIENCE, || async {
        let (holds, _, message) = condition(&sites.get("dc-b").await.ok()?, "Paused")?;
        (holds && message.contains("works on the network")).then_some(())
    })
    .await;
    // The other site knows, and sees that it is not lost.
    let seen = api(&world.a, Kind::DataCentre, None);
    eventually("dc-a to say that dc-b is paused", PATIENCE, || async {
        let (holds, reason, _) = condition(&seen.get("dc-b").await.ok()?, "Ready")?;
        (!holds && reason == "Paused").then_some(())
    })
    .await;

    let log = AuditLog::from_now(world.lab.dir(), "dc-b");
    let edit = json!({"spec": {"quota": {"pods": 23}}});
    let here = api(&world.a, Kind::Environment, None);
    here.patch(&namespace, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    let quota = |client: &kube::Client| built_in(client, "", "ResourceQuota", Some(&namespace));
    let pods = |object: &kube::api::DynamicObject| {
        object.data.pointer("/spec/hard/pods").and_then(Value::as_str).map(str::to_owned)
    };
    eventually("the edit to be carried out at dc-a", PATIENCE, || async {
        (pods(&quota(&world.a).get("tandem").await.ok()?)? == "23").then_some(())
    })
    .await;
    // Somebody's hand at dc-b is not put back either.
    let drift = json!({"spec": {"hard": {"pods": "7"}}});
    quota(&world.b).patch("tandem", &PatchParams::default(), &Patch::Merge(&drift)).await.unwrap();
    // A second edit has gone all the way round the arbiter by the time that it shows at dc-a's other objects; then look at dc-b.
    let edit = json!({"spec": {"quota": {"pods": 24}}});
    here.patch(&namespace, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    eventually("the second edit to be carried out at dc-a", PATIENCE, || async {
        (pods(&quota(&world.a).get("tandem").await.ok()?)? == "24").then_some(())
    })
    .await;
    assert_eq!(pods(&quota(&world.b).get("tandem").await.unwrap()).as_deref(), Some("7"), "nothing is put back");
    let behind = api(&world.b, Kind::Environment, None).get(&namespace).await.unwrap();
    assert_ne!(behind.data["spec"]["quota"]["pods"], 24, "nothing is followed");
    assert!(!log.writes_by("lab-admin").is_empty(), "the log is alive");
    assert_eq!(log.writes_by("tandem-operator"), Vec::<String>::new(), "the operators of dc-b write nothing");

    let resumed = world.lab.tandem("dc-b", &["resume"]);
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    eventually("dc-b to go on where it stopped", PATIENCE, || async {
        let followed = api(&world.b, Kind::Environment, None).get(&namespace).await.ok()?;
        let site = sites.get("dc-b").await.ok()?;
        let over = condition(&site, "Paused").is_none_or(|(holds, ..)| !holds);
        (followed.data["spec"]["quota"]["pods"] == 24
            && pods(&quota(&world.b).get("tandem").await.ok()?)? == "24"
            && over)
            .then_some(())
    })
    .await;
    world.ready(Kind::DataCentre, None, "dc-b").await;
}
