//! Bad input: refused with what, where and how to mend it; nothing half-done.

use crate::world::{PATIENCE, World};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;
use tandem_crds::Kind;
use tandem_tests::{api, built_in, condition, eventually, fixtures};

pub(crate) async fn an_environment_beyond_the_budget_is_refused(world: Arc<World>) {
    world.agency("lambda").await;
    // 4 of the budget's 16 cores are taken.
    world.apply(&fixtures::environment("lambda", "test", 13)).await;
    let message = world.refused(Kind::Environment, None, "lambda-test", "OverBudget").await;
    assert!(message.contains("13") && message.contains("12"), "it names what is asked and what is free: {message}");
    for client in world.both() {
        assert!(built_in(client, "", "Namespace", None).get_opt("lambda-test").await.unwrap().is_none());
    }
    assert!(api(&world.b, Kind::Environment, None).get_opt("lambda-test").await.unwrap().is_none());
    let (in_order, text) = world.status("dc-a");
    let line = text.lines().find(|line| line.contains("lambda-test"));
    assert!(!in_order && line.is_some_and(|line| line.contains("OverBudget")), "tandem status says so: {text}");
    // Mended as the message says.
    world.apply(&fixtures::environment("lambda", "test", 12)).await;
    world.ready(Kind::Environment, None, "lambda-test").await;
    let (_, text) = world.status("dc-a");
    assert!(!text.contains("lambda-test"), "{text}");
}

pub(crate) async fn two_applications_cannot_have_one_host_name(world: Arc<World>) {
    let namespace = world.agency("mu").await;
    let mut second = fixtures::application(&namespace, "second", 1);
    second["spec"]["endpoints"][0]["hosts"] = json!([format!("web.{namespace}.bz.gov.example")]);
    world.apply(&second).await;
    let message = world.refused(Kind::Application, Some(&namespace), "second", "HostNameTaken").await;
    assert!(message.contains(&format!("{namespace}/web")), "it says who has it: {message}");
    assert!(built_in(&world.a, "apps", "Deployment", Some(&namespace)).get_opt("second-web").await.unwrap().is_none());
}

pub(crate) async fn a_cycle_of_dependencies_is_refused(world: Arc<World>) {
    let namespace = world.agency("nu").await;
    let depends = |name: &str, on: &str| {
        let mut application = fixtures::application(&namespace, name, 1);
        application["spec"]["dependencies"] = json!([{"application": on}]);
        application
    };
    world.apply(&depends("hall", "web")).await;
    world.ready(Kind::Application, Some(&namespace), "hall").await;
    world.apply(&depends("web", "hall")).await;
    let message = world.refused(Kind::Application, Some(&namespace), "web", "DependencyCycle").await;
    assert!(message.contains("web") && message.contains("hall"), "{message}");
    // What was published before stays in force, and the other site never saw the edit.
    let there = api(&world.b, Kind::Application, Some(&namespace)).get("web").await.unwrap();
    assert!(there.data["spec"].get("dependencies").is_none());
}

pub(crate) async fn a_rule_that_an_old_api_server_let_pass_is_reported(world: Arc<World>) {
    let mut unit = fixtures::environment("alpha", "x", 1);
    unit["metadata"]["name"] = json!("stray");
    // A current API server refuses it; an old one lets it through, and Tandem says the same.
    match tandem_tests::apply(&world.a, &unit).await {
        Err(kube::Error::Api(status)) => assert!(status.message.contains("<unit>-<name>"), "{}", status.message),
        Err(error) => panic!("{error}"),
        Ok(_) => {
            let message = world.refused(Kind::Environment, None, "stray", "Invalid").await;
            assert!(message.contains("<unit>-<name>"), "{message}");
            assert!(api(&world.b, Kind::Environment, None).get_opt("stray").await.unwrap().is_none());
            api(&world.a, Kind::Environment, None).delete("stray", &DeleteParams::default()).await.unwrap();
        }
    }
}

pub(crate) async fn a_unit_with_environments_is_not_deleted(world: Arc<World>) {
    let namespace = world.agency("xi").await;
    let units = api(&world.a, Kind::Unit, None);
    units.delete("xi", &DeleteParams::default()).await.unwrap();
    let message = world.refused(Kind::Unit, None, "xi", "DeletionRefused").await;
    assert!(message.contains(&namespace), "it says what stands in the way: {message}");
    // Taken back: the unit is made anew from its record, under the same id.
    let id = units.get("xi").await.unwrap().data["spec"]["id"].clone();
    let undo = json!({"metadata": {"annotations": {"tandem.dev/undo-delete": "true"}}});
    units.patch("xi", &PatchParams::default(), &Patch::Merge(&undo)).await.unwrap();
    eventually("the unit to be back", PATIENCE, || async {
        let unit = units.get_opt("xi").await.unwrap()?;
        (unit.metadata.deletion_timestamp.is_none() && unit.data["spec"]["id"] == id).then_some(())
    })
    .await;
    world.ready(Kind::Unit, None, "xi").await;
}

pub(crate) async fn a_namespace_of_somebody_else_is_not_taken_over(world: Arc<World>) {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "omicron-prod", "labels": {"team": "other"}}});
    tandem_tests::apply(&world.b, &namespace).await.unwrap();
    world.apply(&fixtures::unit("omicron")).await;
    world.apply(&fixtures::environment("omicron", "prod", 2)).await;
    let message = world.refused(Kind::Environment, None, "omicron-prod", "NotOurs").await;
    assert!(message.contains("dc-b"), "{message}");
    let found = built_in(&world.b, "", "Namespace", None).get("omicron-prod").await.unwrap();
    assert_eq!(found.metadata.labels.unwrap().get("tandem.dev/id"), None);
    // Once it is out of the way, the environment gets its own, well before it would be looked at again anyway.
    built_in(&world.b, "", "Namespace", None).delete("omicron-prod", &DeleteParams::default()).await.unwrap();
    let environments = api(&world.a, Kind::Environment, None);
    eventually("the environment to be Ready", std::time::Duration::from_secs(30), || async {
        let environment = environments.get("omicron-prod").await.unwrap();
        condition(&environment, "Ready")?.0.then_some(())
    })
    .await;
}
