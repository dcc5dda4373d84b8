//! What security reads: the rules that bind an agency, with who set them, and what is found.

use crate::world::{PATIENCE, World};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_crds::Kind;
use tandem_tests::https::{Caller, Shown};
use tandem_tests::{api, built_in, eventually, fixtures};

fn asks(world: &World, person: &'static str) -> Caller {
    world.lab.asks_api("dc-a", Shown::Person(person))
}

/// A profile of its own, so that a test changes nobody else's, and li's unit in an environment under it.
async fn under(world: &World, profile: &str, environment: &str) -> Value {
    let spec = json!({
        "displayName": {"zh": "试验配置"}, "mlpsLevel": 2, "podSecurity": "Baseline",
        "images": {"registries": ["registry.bz.gov.example"], "requireDigest": true},
        "controls": [{"rule": "images", "control": "8.1.4.5"}],
    });
    let made =
        asks(world, "chen").put(&format!("/v1/security/profiles/{profile}"), profile, &json!({"spec": spec})).await;
    assert_eq!(made.status, 201, "{made:?}");
    world.apply(&fixtures::unit("health")).await;
    let mut object = fixtures::environment("health", environment, 1);
    object["spec"]["securityProfile"] = json!(profile);
    object["spec"]["quota"] = json!({"cpu": "1", "memory": "2Gi", "storage": "10Gi", "pods": 5});
    world.apply(&object).await;
    world.ready(Kind::Environment, None, &format!("health-{environment}")).await;
    spec
}

async fn change(world: &World, profile: &str, key: &str, spec: &Value) {
    let changed =
        asks(world, "chen").put(&format!("/v1/security/profiles/{profile}"), key, &json!({"spec": spec})).await;
    assert_eq!(changed.status, 202, "{changed:?}");
}

fn rule<'a>(rules: &'a Value, id: &str) -> &'a Value {
    let found = rules.as_array().unwrap().iter().find(|rule| rule["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {rules}"))
}

pub(crate) async fn what_binds_an_agency_is_one_page_with_who_set_it(world: Arc<World>) {
    let mut spec = under(&world, "reviewed", "reviewed").await;
    let path = "/v1/security/policies?environment=health-reviewed";
    let read = |person: &'static str, more: &str| {
        let (caller, path) = (asks(&world, person), format!("{path}{more}"));
        async move { caller.get(&path).await }
    };
    eventually("the rules to be shown", PATIENCE, || async {
        (asks(&world, "liu").try_get(path).await.ok()?.status == 200).then_some(())
    })
    .await;
    let document = read("liu", "&format=json").await;
    assert_eq!(document.status, 200, "{document:?}");
    // It binds here since the environment was brought under the profile, by whoever did that.
    let digest = rule(&document.body["rules"], "images.requireDigest");
    assert_eq!(
        (&digest["value"], &digest["controls"], &digest["set"]["by"]),
        (&json!(true), &json!(["8.1.4.5"]), &json!("kubectl:tester")),
        "{digest}"
    );
    let page = read("chen", "&format=html").await;
    assert_eq!((page.status, page.media.as_str()), (200, "text/html; charset=utf-8"), "{page:?}");
    assert!(page.text.contains("images.requireDigest") && !page.text.contains("<script"), "{}", page.text);
    // The agency reads its own; nobody else's agency does, and the platform's people not at all.
    assert_eq!(read("li", "").await.status, 200);
    assert_eq!(read("sun", "").await.status, 404);
    assert_eq!(read("wang", "").await.status, 403);

    // What changes is told, with who changed it.
    let revisions = document.body["rules"].as_array().unwrap().iter().map(|rule| rule["set"]["revision"].as_i64());
    let before = revisions.flatten().max().unwrap();
    spec["requiredLabels"] = json!(["gov.example/owner"]);
    change(&world, "reviewed", "labels", &spec).await;
    let told = read("liu", &format!("&format=json&against={before}")).await;
    assert_eq!(told.status, 200, "{told:?}");
    let changed: Vec<&Value> =
        told.body["changed"].as_array().unwrap().iter().map(|change| &change["rule"]["id"]).collect();
    assert!(changed.contains(&&json!("labels.required")), "{told:?}");
    let now = read("liu", "&format=json").await;
    assert_eq!(rule(&now.body["rules"], "labels.required")["set"]["by"], "chen", "{now:?}");
    let refused = read("liu", "&against=1").await;
    assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (400, &json!("against")), "{refused:?}");
}

/// A definition of report objects, as clusters have it that other tools read them in.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "policyreports.wgpolicyk8s.io"},
        "spec": {
            "group": "wgpolicyk8s.io", "scope": "Namespaced",
            "names": {"plural": "policyreports", "singular": "policyreport", "kind": "PolicyReport"},
            "versions": [{
                "name": "v1alpha2", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

pub(crate) async fn what_is_found_is_told_and_a_rule_is_waived(world: Arc<World>) {
    let mut spec = under(&world, "watched", "watched").await;
    world.apply(&definition()).await;
    world.apply(&fixtures::application("health-watched", "web", 1)).await;
    world.ready(Kind::Application, Some("health-watched"), "web").await;
    let found = |kind: &'static str| {
        let caller = asks(&world, "li");
        async move {
            let path = format!("/v1/security/findings?environment=health-watched&kind={kind}");
            let answer = caller.try_get(&path).await.ok()?;
            (answer.status == 200).then(|| answer.body["items"].as_array().unwrap().clone())
        }
    };
    // Somebody opens the network, and it is put back.
    let policies = built_in(&world.a, "networking.k8s.io", "NetworkPolicy", Some("health-watched"));
    let open = Patch::Merge(json!({"spec": {"ingress": [{}]}}));
    policies
        .patch(
            "tandem-default-deny",
            &PatchParams { field_manager: Some("by-hand".into()), ..PatchParams::default() },
            &open,
        )
        .await
        .unwrap();
    let drift = eventually("the drift to be told", PATIENCE, || async { found("Drift").await?.first().cloned() }).await;
    assert!(drift["message"]["en"].as_str().unwrap().contains("by-hand") && drift["site"] == "dc-a", "{drift}");
    assert_eq!(found("Drift").await.unwrap().len(), 1, "what is only made is no drift");
    // A profile that becomes stricter than what runs.
    spec["requiredLabels"] = json!(["gov.example/owner"]);
    change(&world, "watched", "stricter", &spec).await;
    let violation =
        eventually("the violation to be told", PATIENCE, || async { found("Violation").await?.first().cloned() }).await;
    assert_eq!(violation["rule"], "requiredLabels", "{violation}");
    let reports = reports(&world.a);
    let result = |of: &'static str| {
        let reports = reports.clone();
        async move {
            let report = reports.get_opt("tandem").await.ok()??;
            report.data["results"].as_array()?.iter().find(|result| result["result"] == of).cloned()
        }
    };
    let failed = eventually("the report to tell the violation", PATIENCE, || result("fail")).await;
    assert_eq!((&failed["rule"], &failed["policy"]), (&json!("requiredLabels"), &json!("watched")), "{failed}");
    // Until it is waived.
    spec["waivers"] = json!([{
        "rule": "requiredLabels", "environment": "health-watched", "reason": "a test", "until": "2099-01-01T00:00:00Z",
    }]);
    change(&world, "watched", "waived", &spec).await;
    eventually("the violation to be waived", PATIENCE, || async { found("Violation").await?.is_empty().then_some(()) })
        .await;
    assert_eq!(found("Waiver").await.unwrap().len(), 1);
    eventually("the report to tell the waiver", PATIENCE, || result("skip")).await;
    world.apply(&fixtures::application("health-watched", "web", 2)).await;
    eventually("the application to grow although it has no label", PATIENCE, || async {
        let web = api(&world.b, Kind::Application, Some("health-watched")).get("web").await.ok()?;
        (web.data["spec"]["components"][0]["replicas"]["active"] == 2).then_some(())
    })
    .await;
}

fn reports(client: &kube::Client) -> Api<DynamicObject> {
    let gvk = GroupVersionKind::gvk("wgpolicyk8s.io", "v1alpha2", "PolicyReport");
    let resource = kube::api::ApiResource::from_gvk_with_plural(&gvk, "policyreports");
    Api::namespaced_with(client.clone(), "health-watched", &resource)
}
