//! `tandem doctor` and `tandem support-bundle` on two sites that work, and with one of them dead.

use crate::world::{PATIENCE, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;
use tandem_tests::eventually;

async fn tandem(world: &Arc<World>, arguments: &[&str]) -> Output {
    let kubeconfig = world.lab.dir().join("kubeconfig").display().to_string();
    let sites = ["--kubeconfig", &kubeconfig, "--context", "dc-a", "--context", "dc-b"];
    let all: Vec<String> = arguments.iter().chain(&sites).map(|argument| (*argument).to_owned()).collect();
    let world = Arc::clone(world);
    let output = tokio::task::spawn_blocking(move || {
        world.lab.tandem("dc-a", &all.iter().map(String::as_str).collect::<Vec<_>>())
    });
    output.await.unwrap()
}

/// The grades of every check of a site, by name.
async fn grades(world: &Arc<World>, place: &str) -> BTreeMap<String, (String, String)> {
    let output = tandem(world, &["doctor", "-o", "json"]).await;
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let of_place = checks.iter().filter(|check| check["place"] == place);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    of_place.map(|check| (text(&check["name"]), (text(&check["grade"]), text(&check["finding"])))).collect()
}

pub(crate) async fn the_doctor_sees_both_sites_and_a_bundle_has_no_key(world: Arc<World>) {
    for site in ["dc-a", "dc-b"] {
        let found = grades(&world, site).await;
        for check in ["api-server", "clock", "resource-types", "rights-of-operator", "rights-of-api", "webhooks"] {
            assert_eq!(found[check].0, "OK", "{site}: {found:?}");
        }
        assert_eq!(found["programs"].0, "SKIP", "processes of the lab, none of the chart's: {found:?}");
    }
    world.lab.run(&["kill", "--stay-down", "dc-b/kube-apiserver"]);
    let file = world.lab.dir().join("bundle.tar.gz").display().to_string();
    let output = tandem(&world, &["support-bundle", "-o", &file]).await;
    let found = grades(&world, "dc-b").await;
    world.lab.run(&["start", "dc-b/kube-apiserver"]);
    eventually("dc-b to answer again", PATIENCE, || async {
        (grades(&world, "dc-b").await["api-server"].0 == "OK").then_some(())
    })
    .await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(found.len() == 1 && found["api-server"].0 == "FAIL", "{found:?}");

    let unpacked = Command::new("tar").args(["-xzOf", &file]).output().unwrap();
    let text = String::from_utf8_lossy(&unpacked.stdout);
    for there in ["sites/dc-b", "alpha-prod-web", "\"grade\": \"FAIL\""] {
        assert!(text.contains(there), "{there}");
    }
    assert!(!text.contains("PRIVATE KEY") && !text.contains("eyJ"));
}
