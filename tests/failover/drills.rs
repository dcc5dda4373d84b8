//! Drills: groups rehearsed on clones at the site that is not active.

use crate::world::{GROUPS, NAMESPACE, PATIENCE, World};
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_core::names::LABEL_SCHEDULED;
use tandem_crds::Kind;
use tandem_tests::{api, apply, built_in, eventually, failovers, fixtures};

/// The group that is rehearsed.
const GROUP: &str = GROUPS[1];
/// The kinds that a drill makes, with their API groups.
const MADE: [(&str, &str); 5] =
    [("apps", "Deployment"), ("", "Service"), ("", "ConfigMap"), ("networking.k8s.io", "NetworkPolicy"), ("", "Pod")];

fn drill(name: &str) -> Value {
    fixtures::failover(name, "Drill", "dc-b", &json!({"groups": [GROUP]}))
}

/// Whatever bears the label of a drill at dc-b, by kind and name.
async fn clones(world: &World) -> Vec<String> {
    let client = world.client("dc-b").await;
    let mut found = Vec::new();
    for (group, kind) in MADE {
        let objects =
            built_in(&client, group, kind, None).list(&ListParams::default().labels("tandem.dev/drill")).await;
        found.extend(objects.unwrap().into_iter().map(|o| format!("{kind} {}", o.metadata.name.unwrap_or_default())));
    }
    found
}

/// The pods of production at both sites: their uids by name.
async fn production(world: &World) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for site in ["dc-a", "dc-b"] {
        let pods = built_in(&world.client(site).await, "", "Pod", Some(NAMESPACE));
        let found = pods.list(&ListParams::default().labels("tandem.dev/application")).await.unwrap();
        let key = |pod: &DynamicObject| format!("{site}/{}", pod.metadata.name.clone().unwrap_or_default());
        all.extend(found.into_iter().map(|pod| (key(&pod), pod.metadata.uid.unwrap_or_default())));
    }
    all
}

/// Waits until nothing is left of any drill.
async fn swept(world: &World) {
    eventually("nothing to be left of the drill", PATIENCE, || async { clones(world).await.is_empty().then_some(()) })
        .await;
}

pub(crate) async fn a_drill_is_measured_and_leaves_nothing(world: Arc<World>) {
    let (epochs, before) = (world.epochs("dc-a"), production(&world).await);
    // Asked for where the group is active: the other site rehearses, and both show it.
    world.ask("dc-a", &drill("drill-asked"), "Completed").await;
    let done = world.phase("dc-b", "drill-asked", "Completed").await;
    let group = &done.data["status"]["drill"]["groups"][0];
    println!("drill: ready after {} s", group["rtoSeconds"]);
    assert_eq!((&group["name"], &group["result"]), (&json!(GROUP), &json!("Passed")), "{group}");
    assert!(group["rtoSeconds"].as_f64().is_some_and(|rto| rto < 60.0), "{group}");
    assert_eq!(group["clones"][0]["wanted"], 2, "at active strength");
    assert_eq!(done.data["status"]["drill"]["site"], "dc-b");
    swept(&world).await;
    assert_eq!(world.epochs("dc-a"), epochs, "a drill changes no epoch");
    assert_eq!(production(&world).await, before, "production is not touched");
    world.stays("dc-a", Duration::from_secs(1)).await;
}

/// Longer than a minute: a schedule's shortest pace.
const MINUTES: Duration = Duration::from_secs(180);

async fn schedule(world: &World, schedule: Option<&str>) {
    let groups = api(&world.client("dc-a").await, Kind::FailoverGroup, None);
    let patch = Patch::Merge(json!({"spec": {"drills": schedule.map(|schedule| json!({"schedule": schedule}))}}));
    groups.patch(GROUP, &PatchParams::default(), &patch).await.unwrap();
}

pub(crate) async fn a_schedule_rehearses_by_itself(world: Arc<World>) {
    let (epochs, before) = (world.epochs("dc-a"), production(&world).await);
    schedule(&world, Some("* * * * *")).await;
    let on_schedule = ListParams::default().labels(&format!("{LABEL_SCHEDULED}={GROUP}"));
    let began = eventually("a drill on the schedule", MINUTES, || async {
        failovers(&world.client("dc-b").await).list(&on_schedule).await.ok()?.items.pop()?.metadata.name
    })
    .await;
    schedule(&world, None).await;
    let done = world.phase("dc-a", &began, "Completed").await;
    assert_eq!(done.data["status"]["drill"]["groups"][0]["result"], "Passed", "{}", done.data["status"]);
    let report = world.report("dc-b", &began, |report| !report["drill"].is_null()).await;
    assert_eq!(report["drill"]["groups"][0]["name"], GROUP, "{report}");
    swept(&world).await;
    assert_eq!(world.epochs("dc-a"), epochs, "a drill changes no epoch");
    assert_eq!(production(&world).await, before, "production is not touched");
}

/// Where the applications with real processes are, and the group of the one that is rehearsed.
const REAL: &str = "gamma-drill";
const OWN: &str = "gamma-drill-own";

/// Two applications with real processes: a neighbour that answers, and one of two components. `back` answers; `web` tries to reach it
/// and the neighbour by their Services, and is ready only after a while, so that a drill goes on for a while.
async fn real(world: &World) {
    let a = world.client("dc-a").await;
    // The built-in profiles take images from the registry alone.
    let profile = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "SecurityProfile", "metadata": {"name": "lab-programs"},
        "spec": {"displayName": {"zh": "实验程序"}, "mlpsLevel": 2, "podSecurity": "Baseline", "images": {}},
    });
    let mut unit = fixtures::unit("gamma");
    unit["spec"]["securityProfile"] = json!("lab-programs");
    for object in [&profile, &unit, &fixtures::environment("gamma", "drill", 4)] {
        apply(&a, object).await.unwrap();
    }
    world.ready("dc-a", Kind::Environment, None, REAL).await;
    let serve = "exec python3 -m http.server 8080 --bind $POD_IP";
    let look = "for who in OWN_BACK WALL_HTTP; do v=${who}_SERVICE_HOST; host=${!v}; \
                if timeout 2 bash -c \"exec 3<>/dev/tcp/$host/8080\"; then echo $who answers; else echo $who refuses; fi; done";
    let runs = |component: &mut Value, script: &str| {
        component["image"] = json!("tandem.dev/tandem");
        component["command"] = json!(["/bin/bash", "-c", script]);
        component["probes"] = json!({"readiness": {"tcpPort": 8080}});
    };
    let mut wall = fixtures::application(REAL, "wall", 1);
    runs(&mut wall["spec"]["components"][0], serve);
    let mut own = fixtures::application(REAL, "own", 1);
    let mut back = own["spec"]["components"][0].clone();
    back["name"] = json!("back");
    runs(&mut back, serve);
    runs(&mut own["spec"]["components"][0], &format!("(while sleep 1; do {look}; done) & sleep 15; {serve}"));
    own["spec"]["components"].as_array_mut().unwrap().push(back);
    let endpoint = json!({"name": "back", "component": "back", "port": 8080});
    own["spec"]["endpoints"].as_array_mut().unwrap().push(endpoint);
    for object in [&fixtures::group(OWN, "Automatic"), &wall, &own] {
        apply(&a, object).await.unwrap();
    }
    for name in ["wall", "own"] {
        world.ready("dc-b", Kind::Application, Some(REAL), name).await;
    }
}

pub(crate) async fn a_clone_reaches_clones_and_nothing_else(world: Arc<World>) {
    real(&world).await;
    let wish = fixtures::failover("drill-apart", "Drill", "dc-b", &json!({"groups": [OWN]}));
    world.ask("dc-b", &wish, "Completed").await;
    swept(&world).await;
    let logs = world.lab.dir().join("dc-b/node/pods");
    let of = |clone: bool| -> String {
        let folders = std::fs::read_dir(&logs).unwrap().flatten().filter(|folder| {
            let name = folder.file_name().to_string_lossy().into_owned();
            name.contains("own-web") && name.contains("_drill-") == clone
        });
        folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("web.log")).ok()).collect()
    };
    let (clone, production) = (of(true), of(false));
    assert!(production.contains("WALL_HTTP answers"), "else nothing is shown: {production}");
    assert!(clone.contains("WALL_HTTP refuses") && !clone.contains("WALL_HTTP answers"), "{clone}");
    assert!(clone.contains("OWN_BACK answers"), "{clone}");
}

pub(crate) async fn fault_30_a_real_move_sweeps_a_drill_first(world: Arc<World>) {
    real(&world).await;
    world.ask("dc-b", &fixtures::failover("drill-swept", "Drill", "dc-b", &json!({"groups": [OWN]})), "Running").await;
    eventually("clones to be there", PATIENCE, || async { (!clones(&world).await.is_empty()).then_some(()) }).await;
    let wish = fixtures::failover("over-a-drill", "Switchover", "dc-b", &json!({"groups": [OWN]}));
    world.ask("dc-a", &wish, "Completed").await;
    let ended = world.phase("dc-b", "drill-swept", "RolledBack").await;
    assert_eq!(ended.data["status"]["drill"]["groups"][0]["result"], "Swept", "{}", ended.data["status"]);
    swept(&world).await;
    assert_eq!(world.settled(OWN).await, "dc-b");
    let home = fixtures::failover("own-home", "Switchover", "dc-a", &json!({"groups": [OWN]}));
    world.ask("dc-b", &home, "Completed").await;
    forget(&world).await;
}

pub(crate) async fn fault_30_a_lost_site_sweeps_a_drill_first(world: Arc<World>) {
    real(&world).await;
    world.protected(OWN).await;
    world.ask("dc-b", &fixtures::failover("drill-lost", "Drill", "dc-b", &json!({"groups": [OWN]})), "Running").await;
    eventually("clones to be there", PATIENCE, || async { (!clones(&world).await.is_empty()).then_some(()) }).await;
    world.lab.run(&["power-off", "dc-a"]);
    let ended = world.phase("dc-b", "drill-lost", "RolledBack").await;
    let group = &ended.data["status"]["drill"]["groups"][0];
    // The drill of a clone that is not ready before 15 s was at its beginning; a site is lost after 5 s.
    assert_eq!(group["result"], "Swept", "{group}");
    swept(&world).await;
    world.active("dc-b").await;
    assert_eq!(world.settled(OWN).await, "dc-b");
    world.at_home().await;
    forget(&world).await;
}

/// Takes the applications with real processes away: later tests do not wait for them.
async fn forget(world: &World) {
    let a = world.client("dc-a").await;
    for name in ["own", "wall"] {
        api(&a, Kind::Application, Some(REAL)).delete(name, &DeleteParams::default()).await.unwrap();
    }
}
