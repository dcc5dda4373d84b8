//! What the tests have to work with: two sites with an agency whose applications move, and a Prometheus that watches them.

use crate::prometheus::{Prometheus, now};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::runner::Shared;
use tandem_tests::sites::QUICK;
use tandem_tests::{Lab, api, apply, eventually, fixtures, is_ready};

/// How long anything may take at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The agency, one of those whose people the lab has.
pub(crate) const UNIT: &str = "health";
/// Where its applications are.
pub(crate) const NAMESPACE: &str = "health-prod";

/// Alerts that say how fast this machine is, which has other things to do: they may fire.
pub(crate) const OF_THE_MACHINE: [&str; 2] = ["TandemApiSlow", "TandemFenceNear"];

/// Two sites, and what watches them.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) prometheus: Prometheus,
    /// Since when it watches.
    pub(crate) started: f64,
}

impl Shared for World {
    async fn start() -> Self {
        let lab = Lab::start_with("watch", &QUICK);
        let prometheus = Prometheus::start(&lab).await;
        let world = Self { lab, prometheus, started: now() };
        let a = world.lab.client("dc-a").await;
        apply(&a, &fixtures::unit(UNIT)).await.unwrap();
        apply(&a, &fixtures::environment(UNIT, "prod", 4)).await.unwrap();
        for application in ["web", "records"] {
            let mut group = fixtures::group(&format!("{NAMESPACE}-{application}"), "Automatic");
            // So that there is something to see of drills. None runs while this does.
            group["spec"]["drills"] = json!({"schedule": "0 3 1 1 *"});
            apply(&a, &group).await.unwrap();
        }
        world.ready(&a, Kind::Environment, None, NAMESPACE).await;
        for application in ["web", "records"] {
            apply(&a, &fixtures::application(NAMESPACE, application, 2)).await.unwrap();
        }
        for application in ["web", "records"] {
            world.ready(&a, Kind::Application, Some(NAMESPACE), application).await;
        }
        world.request("health-watched");
        world
    }

    fn lab(&self) -> &Lab {
        &self.lab
    }
}

impl World {
    /// Has the agency ask for an environment, so that there is something to see of what agencies ask for.
    pub(crate) fn request(&self, environment: &str) {
        let asked = ["request", "create", "--type", "Create", "--environment", environment, "--cpu", "1"];
        let more = ["--memory", "1Gi", "--storage", "10Gi", "--pods", "5", "--reason", "to be seen"];
        let output = self.lab.tandem_as("li", "dc-a", &[&asked[..], &more[..]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    async fn ready(&self, client: &kube::Client, kind: Kind, namespace: Option<&str>, name: &str) {
        eventually(&format!("{kind} {name} to be ready"), PATIENCE, || async {
            is_ready(&api(client, kind, namespace).get_opt(name).await.ok()??).then_some(())
        })
        .await;
    }

    /// Waits until an alert with these labels fires, and gives back what it says.
    pub(crate) async fn fires(&self, alert: &str, labels: &[(&str, &str)]) -> Value {
        eventually(&format!("{alert} to fire with {labels:?}"), PATIENCE, || async {
            let mut firing = self.prometheus.alerts().await.into_iter();
            firing.find(|one| {
                let has = |name: &str, value: &str| one["labels"][name] == value;
                has("alertname", alert) && labels.iter().all(|(name, value)| has(name, value))
            })
        })
        .await
    }

    /// Waits until no alert fires any more.
    pub(crate) async fn quiet(&self) {
        let last = std::sync::Mutex::new(String::new());
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let mut firing = self.prometheus.alerts().await;
                firing.retain(|alert| OF_THE_MACHINE.iter().all(|name| alert["labels"]["alertname"] != *name));
                if firing.is_empty() {
                    return;
                }
                *last.lock().unwrap() = format!("{firing:#?}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
        assert!(waited.await.is_ok(), "it still fires: {}", last.lock().unwrap());
    }

    /// How often each alert began to fire since then, by name and labels.
    pub(crate) async fn fired(&self, since: f64) -> BTreeMap<(String, String), usize> {
        let series = self.prometheus.range("ALERTS{alertstate=\"firing\"}", since).await;
        series
            .iter()
            .map(|series| {
                let name = series.labels["alertname"].clone();
                let rest =
                    series.labels.iter().filter(|(label, _)| !label.starts_with("alert") && *label != "__name__");
                let rest: Vec<String> = rest.map(|(label, value)| format!("{label}={value}")).collect();
                ((name, rest.join(",")), series.times())
            })
            .collect()
    }

    /// Waits until every group is held by a site, as both sites' operators have it.
    pub(crate) async fn held_by(&self, site: &str) {
        let held = format!("min(tandem_group_active_site{{site=\"{site}\", dc=\"{site}\"}}) == 1");
        eventually(&format!("every group to be held by {site}"), PATIENCE, || async {
            (!self.prometheus.instant(&held).await.is_empty()).then_some(())
        })
        .await;
    }
}
