//! What breaks, and what must not follow from it.

use crate::world::{PATIENCE, World};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_crds::Kind;
use tandem_tests::{api, built_in, condition, eventually, fixtures, is_ready};

pub(crate) async fn an_operator_killed_in_the_middle_goes_on(world: Arc<World>) {
    world.apply(&fixtures::unit("rho")).await;
    world.apply(&fixtures::environment("rho", "prod", 4)).await;
    world.ready(Kind::Environment, None, "rho-prod").await;
    for number in 0..12 {
        world.apply(&fixtures::application("rho-prod", &format!("app-{number}"), 1)).await;
        if number % 4 == 1 {
            // Both replicas of one site, one after another, while there is work: whoever leads is among them.
            let site = if number == 5 { "dc-b" } else { "dc-a" };
            world.lab.run(&["kill", &format!("{site}/operator-0")]);
            world.lab.run(&["kill", &format!("{site}/operator-1")]);
        }
    }
    for number in 0..12 {
        world.ready(Kind::Application, Some("rho-prod"), &format!("app-{number}")).await;
    }
    for client in world.both() {
        let deployments = built_in(client, "apps", "Deployment", Some("rho-prod"));
        assert_eq!(deployments.list(&ListParams::default()).await.unwrap().items.len(), 12);
    }
}

pub(crate) async fn the_link_cut_and_healed_converges(world: Arc<World>) {
    let namespace = world.agency("sigma").await;
    world.lab.run(&["cut", "dc-b"]);
    world.apply(&fixtures::application(&namespace, "made-while-cut", 1)).await;
    let edit = json!({"spec": {"tier": 1}});
    api(&world.a, Kind::Application, Some(&namespace))
        .patch("web", &PatchParams::default(), &Patch::Merge(&edit))
        .await
        .unwrap();
    // The authority goes on by itself: two of the arbiter's three members are on its side.
    let deployments = built_in(&world.a, "apps", "Deployment", Some(&namespace));
    eventually("the new application to run at the authority", PATIENCE, || async {
        deployments.get_opt("made-while-cut-web").await.unwrap().map(drop)
    })
    .await;
    assert!(api(&world.b, Kind::Application, Some(&namespace)).get_opt("made-while-cut").await.unwrap().is_none());
    world.lab.run(&["heal"]);
    world.ready(Kind::Application, Some(&namespace), "made-while-cut").await;
    let there = api(&world.b, Kind::Application, Some(&namespace));
    eventually("the edit to show in dc-b", PATIENCE, || async {
        (there.get("web").await.unwrap().data["spec"]["tier"] == 1).then_some(())
    })
    .await;
}

pub(crate) async fn definitions_deleted_and_reinstalled_delete_nothing(world: Arc<World>) {
    let namespace = world.agency("tau").await;
    let namespaces = built_in(&world.b, "", "Namespace", None);
    let deployments = built_in(&world.b, "apps", "Deployment", Some(&namespace));
    let before = (namespaces.get(&namespace).await.unwrap(), deployments.get("web-web").await.unwrap());
    let definitions: Api<CustomResourceDefinition> = Api::all(world.b.clone());
    let tandem = definitions.list(&ListParams::default()).await.unwrap();
    let tandem: Vec<_> = tandem.items.into_iter().filter(|found| found.spec.group == "tandem.dev").collect();
    assert_eq!(tandem.len(), tandem_crds::manifests::definitions().len());
    for definition in &tandem {
        definitions.delete(definition.metadata.name.as_deref().unwrap(), &DeleteParams::default()).await.unwrap();
    }
    for definition in &tandem {
        let name = definition.metadata.name.as_deref().unwrap();
        eventually(&format!("{name} to be gone"), PATIENCE, || async {
            definitions.get_opt(name).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    for mut definition in tandem {
        definition.metadata = kube::api::ObjectMeta { name: definition.metadata.name, ..Default::default() };
        definition.status = None;
        definitions.create(&Default::default(), &definition).await.unwrap();
    }
    let applications = api(&world.b, Kind::Application, Some(&namespace));
    eventually("the application to be back in dc-b", Duration::from_secs(120), || async {
        let object = applications.get_opt("web").await.ok()??;
        is_ready(&object).then_some(())
    })
    .await;
    let after = (namespaces.get(&namespace).await.unwrap(), deployments.get("web-web").await.unwrap());
    assert_eq!(before.0.metadata.uid, after.0.metadata.uid, "the namespace was never deleted");
    assert_eq!(before.1.metadata.uid, after.1.metadata.uid, "the workload was never deleted");
    assert_eq!(before.1.metadata.generation, after.1.metadata.generation, "the workload was never changed");
    world.ready(Kind::Application, Some(&namespace), "web").await;
}

/// How many workloads there are once that has not changed for longer than a site takes to change its leader.
async fn settled(deployments: &Api<DynamicObject>) -> usize {
    const QUIET: Duration = Duration::from_secs(12);
    let (mut count, mut since) = (usize::MAX, Instant::now());
    loop {
        let now = deployments.list(&ListParams::default()).await.unwrap().items.len();
        if now != count {
            (count, since) = (now, Instant::now());
        } else if since.elapsed() >= QUIET {
            return count;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

pub(crate) async fn the_brake_stops_a_mass_deletion(world: Arc<World>) {
    world.apply(&fixtures::unit("phi")).await;
    world.apply(&fixtures::environment("phi", "prod", 4)).await;
    world.ready(Kind::Environment, None, "phi-prod").await;
    for number in 0..18 {
        world.apply(&fixtures::application("phi-prod", &format!("app-{number}"), 0)).await;
    }
    for number in 0..18 {
        world.ready(Kind::Application, Some("phi-prod"), &format!("app-{number}")).await;
    }
    let all = ListParams::default();
    api(&world.a, Kind::Application, Some("phi-prod")).delete_collection(&DeleteParams::default(), &all).await.unwrap();
    let sites = api(&world.b, Kind::DataCentre, None);
    let message = eventually("the brake to show on dc-b", PATIENCE, || async {
        // The definitions were installed anew by the test before.
        let (holds, reason, message) = condition(&sites.get_opt("dc-b").await.unwrap()?, "Ready")?;
        (!holds && reason == "BrakeTripped" && message.contains("confirm-mass-change=")).then_some(message)
    })
    .await;
    let deployments = built_in(&world.b, "apps", "Deployment", Some("phi-prod"));
    // What passed before the brake tripped may still be on its way out.
    let left = settled(&deployments).await;
    assert!((8..18).contains(&left), "{left} of 18 workloads are left in dc-b");
    // Still so after a restart of both replicas: the brake is remembered, and what it holds is not lost.
    for replica in ["operator-0", "operator-1"] {
        world.lab.run(&["kill", &format!("dc-b/{replica}")]);
    }
    let quotas = built_in(&world.b, "", "ResourceQuota", Some("phi-prod"));
    let more = json!({"spec": {"hard": {"pods": "999"}}});
    quotas.patch("tandem", &PatchParams::default(), &Patch::Merge(&more)).await.unwrap();
    eventually("a replica of dc-b to work again", PATIENCE, || async {
        (quotas.get("tandem").await.unwrap().data["spec"]["hard"]["pods"] == "20").then_some(())
    })
    .await;
    assert_eq!(settled(&deployments).await, left, "nothing more went without a person's word");
    // A person confirms, as the message says.
    let value = message.rsplit('=').next().unwrap().trim_end_matches(')').to_owned();
    let confirm = json!({"metadata": {"annotations": {"tandem.dev/confirm-mass-change": value}}});
    sites.patch("dc-b", &PatchParams::default(), &Patch::Merge(&confirm)).await.unwrap();
    eventually("the rest to go", PATIENCE, || async {
        deployments.list(&all).await.unwrap().items.is_empty().then_some(())
    })
    .await;
    world.ready(Kind::DataCentre, None, "dc-b").await;
}
