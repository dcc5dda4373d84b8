//! What an agency asks for is there, in both sites.

use crate::world::{PATIENCE, World};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::{api, built_in, eventually, fixtures, is_ready};

const DEPLOYMENT: (&str, &str) = ("apps", "Deployment");

pub(crate) async fn a_unit_is_provisioned_in_both_sites(world: Arc<World>) {
    let namespace = world.agency("alpha").await;
    world.ready(Kind::Unit, None, "alpha").await;
    world.ready(Kind::FailoverGroup, None, "alpha-prod-web").await;
    let mut ids = Vec::new();
    for (client, pods) in [(&world.a, 2), (&world.b, 1)] {
        let found = built_in(client, "", "Namespace", None).get(&namespace).await.unwrap();
        ids.push(found.metadata.labels.unwrap()["tandem.dev/id"].clone());
        for (group, kind, names) in [
            ("", "ResourceQuota", vec!["tandem"]),
            ("", "LimitRange", vec!["tandem"]),
            ("", "ServiceAccount", vec!["tandem-workload"]),
            ("", "Service", vec!["web-http"]),
            ("networking.k8s.io", "NetworkPolicy", vec!["tandem-default-deny", "tandem-allow-dns", "app-web"]),
            ("networking.k8s.io", "Ingress", vec!["web-http"]),
            ("rbac.authorization.k8s.io", "Role", vec!["tandem-administrator", "tandem-viewer"]),
            ("rbac.authorization.k8s.io", "RoleBinding", vec!["tandem-administrator", "tandem-viewer"]),
        ] {
            for name in names {
                let object = built_in(client, group, kind, Some(&namespace)).get(name).await.unwrap();
                assert!(object.metadata.owner_references.is_none(), "{kind} {name} has an owner");
            }
        }
        let deployment = built_in(client, DEPLOYMENT.0, DEPLOYMENT.1, Some(&namespace)).get("web-web").await.unwrap();
        assert_eq!(deployment.data["spec"]["replicas"], pods);
    }
    assert_eq!(ids[0], ids[1], "the durable id is the same in both sites");
    let (_, text) = world.status("dc-b");
    assert!(text.contains("dc-a") && text.contains("dc-b"), "{text}");
    // A group that was just made is exposed until both sites have been seen to be ready for it.
    eventually("nothing to be wrong with what is ready", PATIENCE, || async {
        (!world.status("dc-b").1.contains("alpha")).then_some(())
    })
    .await;
}

pub(crate) async fn an_edit_shows_in_the_other_site_within_two_seconds(world: Arc<World>) {
    let namespace = world.agency("beta").await;
    let (a, b) = (api(&world.a, Kind::Environment, None), built_in(&world.b, "", "ResourceQuota", Some(&namespace)));
    let mirrored = api(&world.b, Kind::Environment, None);
    let edit = json!({"spec": {"quota": {"cpu": "5"}}});
    let edited = Instant::now();
    a.patch(&namespace, &PatchParams::default(), &Patch::Merge(&edit)).await.unwrap();
    eventually("the edit to show in dc-b", Duration::from_secs(2), || async {
        let quota = b.get("tandem").await.unwrap();
        let environment = mirrored.get(&namespace).await.unwrap();
        let there = quota.data.pointer("/spec/hard/requests.cpu").and_then(Value::as_str) == Some("5");
        (there && environment.data["spec"]["quota"]["cpu"] == "5").then_some(())
    })
    .await;
    println!("the edit showed in dc-b after {:.2} s", edited.elapsed().as_secs_f64());
}

pub(crate) async fn an_application_grows_and_shrinks(world: Arc<World>) {
    let namespace = world.agency("gamma").await;
    for replicas in [4, 1] {
        world.apply(&fixtures::application(&namespace, "web", replicas)).await;
        let applications = api(&world.a, Kind::Application, Some(&namespace));
        eventually("the new number of pods", PATIENCE, || async {
            let application = applications.get("web").await.unwrap();
            let sites =
                application.data.pointer("/status/sites").and_then(Value::as_array).cloned().unwrap_or_default();
            let site = sites.iter().find(|site| site["site"] == "dc-a").cloned().unwrap_or_default();
            (is_ready(&application) && site["pods"] == json!({"ready": replicas, "wanted": replicas})).then_some(())
        })
        .await;
    }
}

pub(crate) async fn a_missing_secret_blocks_readiness(world: Arc<World>) {
    let namespace = world.agency("delta").await;
    let mut application = fixtures::application(&namespace, "vault", 1);
    application["spec"]["components"][0]["secrets"] = json!(["vault-database"]);
    world.apply(&application).await;
    // Either site may be the first to say so.
    eventually("it to be said that dc-a has no such Secret", PATIENCE, || async {
        let message = world.refused(Kind::Application, Some(&namespace), "vault", "SecretMissing").await;
        (message.contains("vault-database") && message.contains("dc-a")).then_some(())
    })
    .await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault-database", "namespace": namespace},
        "stringData": {"PASSWORD": "only here"},
    });
    for client in world.both() {
        tandem_tests::apply(client, &secret).await.unwrap();
    }
    // Nothing tells Tandem of a Secret: it looks again by itself.
    let applications = api(&world.a, Kind::Application, Some(&namespace));
    eventually("the application to be Ready once the Secrets are there", Duration::from_secs(150), || async {
        is_ready(&applications.get("vault").await.unwrap()).then_some(())
    })
    .await;
}

pub(crate) async fn an_adopted_workload_is_brought_to_strength(world: Arc<World>) {
    let namespace = world.agency("epsilon").await;
    let labels = json!({"app": "old"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "old", "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "old", "image": fixtures::IMAGE, "resources": {
                "requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}}]},
        }},
    });
    for client in world.both() {
        tandem_tests::apply(client, &deployment).await.unwrap();
    }
    world
        .apply(&json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "Application",
            "metadata": {"namespace": namespace, "name": "legacy"},
            "spec": {"displayName": {"zh": "旧系统"}, "standbyClass": "Cold", "adopt": [
                {"kind": "Deployment", "name": "old", "replicas": {"active": 3}}]},
        }))
        .await;
    world.ready(Kind::Application, Some(&namespace), "legacy").await;
    for (client, pods) in [(&world.a, 3), (&world.b, 0)] {
        let found = built_in(client, DEPLOYMENT.0, DEPLOYMENT.1, Some(&namespace)).get("old").await.unwrap();
        assert_eq!(found.data["spec"]["replicas"], pods);
        assert!(
            !found.metadata.labels.unwrap_or_default().contains_key("tandem.dev/id"),
            "only its strength is Tandem's"
        );
    }
}

pub(crate) async fn what_is_deleted_goes_in_both_sites(world: Arc<World>) {
    let namespace = world.agency("zeta").await;
    let delete = DeleteParams::default();
    api(&world.a, Kind::Application, Some(&namespace)).delete("web", &delete).await.unwrap();
    for client in world.both() {
        let (applications, deployments) = (
            api(client, Kind::Application, Some(&namespace)),
            built_in(client, DEPLOYMENT.0, DEPLOYMENT.1, Some(&namespace)),
        );
        let groups = api(client, Kind::FailoverGroup, None);
        eventually("the application, its workload and its group to be gone", PATIENCE, || async {
            let gone = applications.get_opt("web").await.unwrap().is_none()
                && deployments.get_opt("web-web").await.unwrap().is_none()
                && groups.get_opt("zeta-prod-web").await.unwrap().is_none();
            gone.then_some(())
        })
        .await;
    }
    // The lab's time to take a deletion back is short, but it is there.
    api(&world.a, Kind::Environment, None).delete(&namespace, &delete).await.unwrap();
    let message = world.refused(Kind::Environment, None, &namespace, "Deleting").await;
    assert!(message.contains("tandem.dev/undo-delete=true"), "{message}");
    for client in world.both() {
        let (environments, namespaces) =
            (api(client, Kind::Environment, None), built_in(client, "", "Namespace", None));
        eventually("the environment and its namespace to be gone", PATIENCE, || async {
            let gone = environments.get_opt(&namespace).await.unwrap().is_none()
                && namespaces.get_opt(&namespace).await.unwrap().is_none();
            gone.then_some(())
        })
        .await;
    }
    let units = api(&world.a, Kind::Unit, None);
    let id = units.get("zeta").await.unwrap().data["spec"]["id"].clone();
    units.delete("zeta", &delete).await.unwrap();
    for client in world.both() {
        let units = api(client, Kind::Unit, None);
        eventually("the unit to be gone", PATIENCE, || async {
            units.get_opt("zeta").await.unwrap().is_none().then_some(())
        })
        .await;
    }
    // The name is free again, for somebody else.
    assert_eq!(world.agency("zeta").await, namespace);
    assert_ne!(units.get("zeta").await.unwrap().data["spec"]["id"], id);
}
