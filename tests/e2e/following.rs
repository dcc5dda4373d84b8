//! What others change is put back; what is written without authority does not survive, and is not lost either.

use crate::world::{PATIENCE, World};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tandem_arbiter::Arbiter;
use tandem_crds::Kind;
use tandem_tests::{api, built_in, event, eventually, fixtures, is_ready};

/// How soon what was changed is put back.
const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn drift_is_put_back_with_an_event(world: Arc<World>) {
    let namespace = world.agency("eta").await;
    let arbiter = Arbiter::new(world.lab.arbiter().await, "dc-a");
    for (site, client) in ["dc-a", "dc-b"].into_iter().zip(world.both()) {
        let quotas = built_in(client, "", "ResourceQuota", Some(&namespace));
        let policies = built_in(client, "networking.k8s.io", "NetworkPolicy", Some(&namespace));
        let more = json!({"spec": {"hard": {"pods": "999"}}});
        let stranger = PatchParams { field_manager: Some("a-stranger".to_owned()), ..PatchParams::default() };
        quotas.patch("tandem", &stranger, &Patch::Merge(&more)).await.unwrap();
        policies.delete("tandem-default-deny", &DeleteParams::default()).await.unwrap();
        eventually("the quota and the policy to be put back", SOON, || async {
            let quota = quotas.get("tandem").await.unwrap();
            let policy = policies.get_opt("tandem-default-deny").await.unwrap();
            (quota.data["spec"]["hard"]["pods"] == "20" && policy.is_some()).then_some(())
        })
        .await;
        let message = event(client, "DriftPutBack", "tandem", PATIENCE).await;
        assert!(message.contains("pods"), "{message}");
        let message = event(client, "DriftPutBack", "tandem-default-deny", PATIENCE).await;
        assert!(message.contains("deleted"), "{message}");
        for (kind, by) in [("ResourceQuota", "a-stranger"), ("NetworkPolicy", "unknown")] {
            let drift = eventually("the arbiter to have what was put back", PATIENCE, || async {
                let drifts = arbiter.drifts().await.unwrap().into_iter();
                let here = drifts.filter(|(of, drift)| of == site && drift.namespace.as_ref() == Some(&namespace));
                here.map(|(_, drift)| drift).find(|drift| drift.kind == kind)
            })
            .await;
            assert_eq!(drift.by, by, "{drift:?}");
        }
    }
}

pub(crate) async fn an_edit_without_authority_does_not_survive(world: Arc<World>) {
    let namespace = world.agency("theta").await;
    let applications = api(&world.b, Kind::Application, Some(&namespace));
    let edit = json!({"spec": {"tier": 0}});
    applications.patch("web", &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    eventually("the edit to be put back", SOON, || async {
        (applications.get("web").await.unwrap().data["spec"]["tier"] == 2).then_some(())
    })
    .await;
    let message = event(&world.b, "ConflictSaved", "web", PATIENCE).await;
    assert!(message.contains("dc-a"), "it says where to make the edit: {message}");
    let there = api(&world.a, Kind::Application, Some(&namespace)).get("web").await.unwrap();
    assert_eq!(there.data["spec"]["tier"], 2);
}

pub(crate) async fn an_object_made_without_authority_does_not_survive(world: Arc<World>) {
    tandem_tests::apply(&world.b, &fixtures::unit("iota")).await.unwrap();
    let units = api(&world.b, Kind::Unit, None);
    eventually("the unit to be gone", SOON, || async { units.get_opt("iota").await.unwrap().is_none().then_some(()) })
        .await;
    assert!(api(&world.a, Kind::Unit, None).get_opt("iota").await.unwrap().is_none());
    event(&world.b, "ConflictSaved", "iota", PATIENCE).await;
}

pub(crate) async fn an_object_deleted_without_authority_comes_back(world: Arc<World>) {
    let namespace = world.agency("kappa").await;
    let deployments = built_in(&world.b, "apps", "Deployment", Some(&namespace));
    let before = deployments.get("web-web").await.unwrap();
    let applications = api(&world.b, Kind::Application, Some(&namespace));
    let old = applications.get("web").await.unwrap().metadata.uid;
    applications.delete("web", &DeleteParams::default()).await.unwrap();
    eventually("the application to be back", SOON, || async {
        let object = applications.get_opt("web").await.unwrap()?;
        (object.metadata.uid != old && is_ready(&object)).then_some(())
    })
    .await;
    let after = deployments.get("web-web").await.unwrap();
    assert_eq!(before.metadata.uid, after.metadata.uid, "the workload was never touched");
}
