//! Two sites of a lab as the tests of failovers have them: the shortest `T`, groups that move by themselves, and gates that are
//! asked all the while.

use crate::gates::Recorder;
use crate::{Lab, api, apply, eventually, failovers, is_ready};
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_crds::Kind;

/// How long anything may take at most.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// `T` of such a lab.
pub const T: Duration = Duration::from_secs(5);

/// The shortest `T`, everything automatic that may be, and nothing that has to be waited for.
pub const QUICK: [&str; 12] = [
    "--set",
    "heartbeatSeconds=1",
    "--set",
    "failover.platformMode=Automatic",
    "--set",
    "failover.minReadySeconds=2",
    "--set",
    "failover.dwellSeconds=2",
    "--set",
    "failover.automaticPerDay=100",
    "--set",
    "failover.reportSeconds=1",
];

/// Two sites, and what their gates said.
pub struct Sites {
    /// The lab.
    pub lab: Lab,
    /// What the gates answered.
    pub gates: Recorder,
}

impl Sites {
    /// Starts a lab with [`QUICK`] and more arguments for `up`.
    pub async fn start(name: &str, more: &[&str]) -> Self {
        let lab = Lab::start_with(name, &[&QUICK, more].concat());
        let gates = Recorder::start(&lab).await;
        Self { lab, gates }
    }

    /// A client for one site, with the rights of the lab's administrator.
    pub async fn client(&self, site: &str) -> kube::Client {
        self.lab.client(site).await
    }

    /// Waits until an object is Ready, as a site shows it.
    pub async fn ready(&self, site: &str, kind: Kind, namespace: Option<&str>, name: &str) {
        let client = self.client(site).await;
        eventually(&format!("{kind} {name} to be ready"), PATIENCE, || async {
            is_ready(&api(&client, kind, namespace).get_opt(name).await.ok()??).then_some(())
        })
        .await;
    }

    /// Waits until a group is active at exactly one site; says which.
    pub async fn settled(&self, group: &str) -> &'static str {
        eventually(&format!("{group} to be active at one site"), PATIENCE, || async {
            match ["dc-a", "dc-b"].map(|site| self.gates.is_active(site, group)) {
                [true, false] => Some("dc-a"),
                [false, true] => Some("dc-b"),
                _ => None,
            }
        })
        .await
    }

    /// Kills both operators of a site, or starts them again after they were left dead.
    pub fn operators(&self, site: &str, command: &[&str]) {
        for replica in 0..2 {
            let program = format!("{site}/operator-{replica}");
            self.lab.run(&[command, &[program.as_str()]].concat());
        }
    }

    /// A `Failover` as a site has it.
    pub async fn failover(&self, site: &str, name: &str) -> Option<DynamicObject> {
        failovers(&self.client(site).await).get_opt(name).await.ok().flatten()
    }

    /// The report on a move, as `tandem failover report` gives it at a site and compares it with its digest, once it says so.
    pub async fn report(&self, site: &str, name: &str, says: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the report on {name} at {site}"), PATIENCE, || async {
            let output = self.lab.tandem_as("wang", site, &["failover", "report", name, "-o", "json"]);
            let report: Value = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
            says(&report).then_some(report)
        })
        .await
    }

    /// Asks for a move at a site, and waits until it stands in this phase.
    pub async fn ask(&self, site: &str, object: &Value, phase: &str) -> DynamicObject {
        let client = self.client(site).await;
        // As a person does after a failover: asked again where the API server is not up yet.
        eventually("the request to be taken", PATIENCE, || async { apply(&client, object).await.ok() }).await;
        self.phase(site, object["metadata"]["name"].as_str().unwrap(), phase).await
    }

    /// Waits until a `Failover` stands in this phase.
    pub async fn phase(&self, site: &str, name: &str, phase: &str) -> DynamicObject {
        eventually(&format!("{name} to be {phase} at {site}"), PATIENCE, || async {
            let found = self.failover(site, name).await?;
            (found.data["status"]["phase"] == phase).then_some(found)
        })
        .await
    }

    /// What a `Failover` stands at once it has ended, however it did, and what it says.
    pub async fn phase_ended(&self, site: &str, name: &str) -> String {
        eventually(&format!("{name} to end"), PATIENCE, || async {
            let found = self.failover(site, name).await?;
            let phase = found.data["status"]["phase"].as_str()?.to_owned();
            let ended = ["Completed", "PartlyCompleted", "RolledBack", "Refused"].contains(&phase.as_str());
            ended.then(|| format!("{phase} {}", found.data["status"]["message"]))
        })
        .await
    }

    /// Sets an annotation, or takes it away.
    pub async fn annotate(&self, site: &str, kind: Kind, name: &str, annotation: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        let client = self.client(site).await;
        api(&client, kind, None).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// Waits until a group would survive the loss of its site, and could fail over by itself.
    pub async fn protected(&self, group: &str) {
        self.protected_within(group, PATIENCE).await;
    }

    /// The same with a patience of its own.
    pub async fn protected_within(&self, group: &str, patience: Duration) {
        let clients = [("dc-a", self.client("dc-a").await), ("dc-b", self.client("dc-b").await)];
        eventually(&format!("{group} to be protected"), patience, || async {
            // As the site shows it that holds the group: one that just came back may still show what was so before.
            let (_, client) = clients.iter().find(|(site, _)| self.gates.is_active(site, group))?;
            let found = api(client, Kind::FailoverGroup, None).get_opt(group).await.ok()??;
            let status = &found.data["status"];
            let free = status["whyNotAutomatic"].as_array().is_none_or(Vec::is_empty);
            (status["readiness"]["state"] == "Protected" && free && status["execution"].is_null()).then_some(())
        })
        .await;
    }
}
