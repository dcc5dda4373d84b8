//! What agencies ask for: decided, carried out and shown in both sites. Here people write the objects themselves, as the API
//! does for them.

use crate::world::{PATIENCE, World};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_core::requests::content_digest;
use tandem_crds::{EnvironmentRequestSpec, Kind};
use tandem_tests::{api, event, eventually, fixtures};

const AT: &str = "2026-01-01T08:00:00Z";

fn request(name: &str, unit: &str, spec: &Value) -> Value {
    let mut whole = json!({
        "unit": unit, "environment": format!("{unit}-prod"), "reason": "a test", "submittedAt": AT,
        "requestedBy": {"name": "li", "roles": ["AgencyAdministrator"]},
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "EnvironmentRequest", "metadata": {"name": name}, "spec": whole,
    })
}

/// A decision on what stands in the request at this moment.
async fn decide(client: &kube::Client, name: &str, role: &str, outcome: &str, by: &str) -> Result<(), kube::Error> {
    let requests = api(client, Kind::EnvironmentRequest, None);
    let found = requests.get(name).await?;
    let spec: EnvironmentRequestSpec = serde_json::from_value(found.data["spec"].clone()).unwrap();
    let mut decisions = found.data["spec"]["decisions"].as_array().cloned().unwrap_or_default();
    decisions.push(
        json!({"role": role, "outcome": outcome, "by": by, "at": AT, "digest": content_digest(&spec), "note": "seen"}),
    );
    let patch =
        json!({"metadata": {"resourceVersion": found.metadata.resource_version}, "spec": {"decisions": decisions}});
    requests.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
}

/// Waits until a request is in this phase at both sites; gives back what the first says.
async fn stands(world: &World, name: &str, phase: &str) -> DynamicObject {
    let mut found = None;
    for client in world.both() {
        let requests = api(client, Kind::EnvironmentRequest, None);
        let object = eventually(&format!("{name} to be {phase}"), PATIENCE, || async {
            requests.get_opt(name).await.unwrap().filter(|object| object.data["status"]["phase"] == phase)
        })
        .await;
        found.get_or_insert(object);
    }
    found.unwrap()
}

pub(crate) async fn a_request_is_decided_carried_out_and_shown_in_both_sites(world: Arc<World>) {
    world.apply(&fixtures::unit("asks")).await;
    world.ready(Kind::Unit, None, "asks").await;
    let application = fixtures::application("asks-prod", "web", 1);
    let quota = json!({"cpu": "4", "memory": "16Gi", "storage": "100Gi", "pods": 20});
    let create = json!({
        "type": "Create", "purpose": "Production", "quota": quota,
        "applications": [{"name": "web", "spec": application["spec"]}],
    });
    world.apply(&request("asks-first", "asks", &create)).await;
    let waits = stands(&world, "asks-first", "Pending").await;
    assert_eq!(waits.data["status"]["reason"], "DecisionLacking", "{}", waits.data["status"]["message"]);
    decide(&world.a, "asks-first", "Platform", "Approve", "wang").await.unwrap();
    let done = stands(&world, "asks-first", "Provisioned").await;
    assert_eq!(done.data["status"]["provisioning"].as_array().unwrap().len(), 2, "{}", done.data["status"]);
    world.ready(Kind::Environment, None, "asks-prod").await;
    world.ready(Kind::Application, Some("asks-prod"), "web").await;

    // A larger one takes more of the budget, and one that somebody refuses changes nothing.
    let larger = json!({"cpu": "6", "memory": "16Gi", "storage": "100Gi", "pods": 20});
    world.apply(&request("asks-second", "asks", &json!({"type": "Resize", "quota": larger}))).await;
    world
        .apply(&request(
            "asks-third",
            "asks",
            &json!({"type": "Resize", "quota": {"cpu": "9", "memory": "16Gi", "storage": "100Gi", "pods": 20}}),
        ))
        .await;
    stands(&world, "asks-third", "Pending").await;
    decide(&world.a, "asks-third", "Platform", "Reject", "wang").await.unwrap();
    stands(&world, "asks-third", "Rejected").await;
    decide(&world.a, "asks-second", "Platform", "Approve", "wang").await.unwrap();
    stands(&world, "asks-second", "Provisioned").await;
    for client in world.both() {
        let found = api(client, Kind::Environment, None).get("asks-prod").await.unwrap();
        assert_eq!(
            (&found.data["spec"]["quota"]["cpu"], &found.data["spec"]["request"]),
            (&json!("6"), &json!("asks-second"))
        );
    }

    // What only shrinks, and still holds what is in use, nobody has to be asked about.
    let smaller = json!({"cpu": "5", "memory": "16Gi", "storage": "100Gi", "pods": 20});
    world.apply(&request("asks-fourth", "asks", &json!({"type": "Resize", "quota": smaller}))).await;
    let done = stands(&world, "asks-fourth", "Provisioned").await;
    let decisions = done.data["spec"]["decisions"].as_array().unwrap();
    assert_eq!((decisions.len(), &decisions[0]["by"]), (1, &json!("tandem:rule")), "{decisions:?}");
}

pub(crate) async fn what_grows_by_little_while_used_up_is_approved_by_rule(world: Arc<World>) {
    world.apply(&fixtures::unit("grows")).await;
    let quota = |pods: u32| json!({"cpu": "4", "memory": "16Gi", "storage": "100Gi", "pods": pods});
    let mut environment = fixtures::environment("grows", "prod", 4);
    environment["spec"]["quota"] = quota(10);
    world.apply(&environment).await;
    world.ready(Kind::Environment, None, "grows-prod").await;
    world.apply(&request("grows-unused", "grows", &json!({"type": "Resize", "quota": quota(12)}))).await;
    stands(&world, "grows-unused", "Pending").await;
    // Nobody decided for it, and while it waits it is looked at again: with nine pods of ten it grows by itself.
    world.apply(&fixtures::application("grows-prod", "web", 9)).await;
    let done = stands(&world, "grows-unused", "Provisioned").await;
    let decisions = done.data["spec"]["decisions"].as_array().unwrap();
    assert_eq!((decisions.len(), &decisions[0]["by"]), (1, &json!("tandem:rule")), "{decisions:?}");
    // A second growth so soon is a person's to decide.
    world.apply(&request("grows-again", "grows", &json!({"type": "Resize", "quota": quota(13)}))).await;
    world.apply(&fixtures::application("grows-prod", "web", 11)).await;
    world.ready(Kind::Application, Some("grows-prod"), "web").await;
    let waits = stands(&world, "grows-again", "Pending").await;
    assert_eq!(waits.data["status"]["reason"], "DecisionLacking", "{}", waits.data["status"]["message"]);
    decide(&world.a, "grows-again", "Platform", "Approve", "wang").await.unwrap();
    let done = stands(&world, "grows-again", "Provisioned").await;
    let decisions = done.data["spec"]["decisions"].as_array().unwrap();
    assert_eq!((decisions.len(), &decisions[0]["by"]), (1, &json!("wang")), "{decisions:?}");
}

pub(crate) async fn an_environment_that_expires_is_warned_of(world: Arc<World>) {
    world.apply(&fixtures::unit("ends")).await;
    let mut environment = fixtures::environment("ends", "soon", 1);
    let in_three_days = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(70);
    environment["spec"]["expiresAt"] = json!(in_three_days);
    world.apply(&environment).await;
    world.ready(Kind::Environment, None, "ends-soon").await;
    let said = event(&world.a, "ExpiresSoon", "ends-soon", PATIENCE).await;
    assert!(said.contains("within 7 days") && said.contains("7 天内"), "{said}");
}
