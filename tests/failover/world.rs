//! What the tests have to work with: two sites, and an agency whose applications move.

use crate::data;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::gates::{Answer, Recorder};
use tandem_tests::runner::Shared;
use tandem_tests::{Lab, api, apply, built_in, eventually, failovers, fixtures, is_ready};

/// How long anything may take at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// `T` of the lab.
pub(crate) const T: Duration = Duration::from_secs(5);
/// The groups of the lab that fail over by themselves.
pub(crate) const GROUPS: [&str; 3] = ["platform", "alpha-prod-web", "alpha-prod-records"];
/// Where the agency's applications are.
pub(crate) const NAMESPACE: &str = "alpha-prod";

/// Two sites, clients for them, and what their gates said.
pub(crate) struct World {
    pub(crate) lab: Lab,
    pub(crate) gates: Recorder,
}

/// The shortest `T`, everything automatic that may be, and nothing that has to be waited for.
const SETTINGS: [&str; 14] = [
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
    "--data",
    data::LEDGER,
];

impl Shared for World {
    async fn start() -> Self {
        let lab = Lab::start_with("fo", &SETTINGS);
        let gates = Recorder::start(&lab).await;
        let world = Self { lab, gates };
        let a = world.client("dc-a").await;
        apply(&a, &fixtures::unit("alpha")).await.unwrap();
        apply(&a, &fixtures::environment("alpha", "prod", 4)).await.unwrap();
        for application in ["web", "records"] {
            apply(&a, &fixtures::group(&format!("{NAMESPACE}-{application}"), "Automatic")).await.unwrap();
        }
        world.ready("dc-a", Kind::Environment, None, NAMESPACE).await;
        for application in ["web", "records"] {
            apply(&a, &fixtures::application(NAMESPACE, application, 2)).await.unwrap();
        }
        for application in ["web", "records"] {
            world.ready("dc-a", Kind::Application, Some(NAMESPACE), application).await;
        }
        world
    }

    fn lab(&self) -> &Lab {
        &self.lab
    }

    async fn before(&self) {
        self.at_home().await;
    }

    fn after(&self) {
        self.gates.assert_never_two();
    }
}

impl World {
    pub(crate) async fn client(&self, site: &str) -> kube::Client {
        self.lab.client(site).await
    }

    /// Waits until an object is Ready, as a site shows it.
    pub(crate) async fn ready(&self, site: &str, kind: Kind, namespace: Option<&str>, name: &str) {
        let client = self.client(site).await;
        eventually(&format!("{kind} {name} to be ready"), PATIENCE, || async {
            is_ready(&api(&client, kind, namespace).get_opt(name).await.ok()??).then_some(())
        })
        .await;
    }

    /// Waits until an environment's namespace is there at a site.
    pub(crate) async fn made(&self, site: &str, environment: &str) {
        let client = self.client(site).await;
        let namespaces = built_in(&client, "", "Namespace", None);
        eventually(&format!("the namespace {environment} at {site}"), PATIENCE, || async {
            namespaces.get_opt(environment).await.ok()?.map(drop)
        })
        .await;
    }

    /// Waits until every group is active at a site, and at no other; says how long that took.
    pub(crate) async fn active(&self, site: &str) -> Duration {
        let started = std::time::Instant::now();
        let other = if site == "dc-a" { "dc-b" } else { "dc-a" };
        for group in GROUPS {
            let what = format!("{group} to be active at {site} and not at {other}");
            eventually(&what, PATIENCE, || async {
                (self.gates.is_active(site, group) && self.gates.is_passive(other, group)).then_some(())
            })
            .await;
        }
        started.elapsed()
    }

    /// Fails if a group stops being active at a site within this time.
    pub(crate) async fn stays(&self, site: &str, time: Duration) {
        let started = std::time::Instant::now();
        while started.elapsed() < time {
            for group in GROUPS {
                let answers = self.gates.answers(site, group);
                assert!(self.gates.is_active(site, group), "{group} is not active at {site} any more: {answers:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until a group is active at exactly one site; says which.
    pub(crate) async fn settled(&self, group: &str) -> &'static str {
        eventually(&format!("{group} to be active at one site"), PATIENCE, || async {
            match ["dc-a", "dc-b"].map(|site| self.gates.is_active(site, group)) {
                [true, false] => Some("dc-a"),
                [false, true] => Some("dc-b"),
                _ => None,
            }
        })
        .await
    }

    /// Waits until no gate of a site says that any group is active there, and each says why.
    pub(crate) async fn closed(&self, site: &str, why: &str) {
        for group in GROUPS {
            eventually(&format!("the gates of {group} at {site} to close and say why"), 2 * T, || async {
                let answers = self.gates.answers(site, group);
                let closed = |answer: &Answer| !answer.active && answer.reason.contains(why);
                (answers.len() == 2 && answers.iter().all(closed)).then_some(())
            })
            .await;
        }
    }

    /// Fails if any group is active anywhere within this time.
    pub(crate) async fn nobody(&self, time: Duration) {
        let started = std::time::Instant::now();
        while started.elapsed() < time {
            for group in GROUPS {
                for site in ["dc-a", "dc-b"] {
                    assert!(self.gates.is_passive(site, group), "{group} is active at {site}");
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills both operators of a site, or starts them again after they were left dead.
    pub(crate) fn operators(&self, site: &str, command: &[&str]) {
        for replica in 0..2 {
            let program = format!("{site}/operator-{replica}");
            self.lab.run(&[command, &[program.as_str()]].concat());
        }
    }

    /// The epochs of the groups, as a site's gates have them.
    pub(crate) fn epochs(&self, site: &str) -> Vec<u64> {
        GROUPS.iter().map(|group| self.gates.answers(site, group).first().map_or(0, |answer| answer.epoch)).collect()
    }

    /// How many pods of an application are wanted and ready at a site; `None` where the workload is not there (yet), or the
    /// API server does not say (yet): one that has just started refuses everybody for a moment.
    pub(crate) async fn pods(&self, site: &str, application: &str) -> Option<(i64, i64)> {
        let client = self.client(site).await;
        let deployments = built_in(&client, "apps", "Deployment", Some(NAMESPACE));
        let name = format!("{application}-web");
        let found = deployments.get_opt(&name).await.ok()??;
        let number = |path: &str| found.data.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        Some((number("/spec/replicas"), number("/status/readyReplicas")))
    }

    /// Waits until an application has so many pods at a site, all of them ready.
    pub(crate) async fn strength(&self, site: &str, application: &str, pods: i64) {
        eventually(&format!("{application} to have {pods} pods at {site}"), PATIENCE, || async {
            (self.pods(site, application).await == Some((pods, pods))).then_some(())
        })
        .await;
    }

    /// A `Failover` as a site has it.
    pub(crate) async fn failover(&self, site: &str, name: &str) -> Option<DynamicObject> {
        failovers(&self.client(site).await).get_opt(name).await.ok().flatten()
    }

    /// The report on a move, as `tandem failover report` gives it at a site and compares it with its digest, once it says so.
    pub(crate) async fn report(&self, site: &str, name: &str, says: fn(&Value) -> bool) -> Value {
        eventually(&format!("the report on {name} at {site}"), PATIENCE, || async {
            let output = self.lab.tandem_as("wang", site, &["failover", "report", name, "-o", "json"]);
            let report: Value = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success())?;
            says(&report).then_some(report)
        })
        .await
    }

    /// Asks for a move at a site, and waits until it stands in this phase.
    pub(crate) async fn ask(&self, site: &str, object: &Value, phase: &str) -> DynamicObject {
        let client = self.client(site).await;
        // As a person does after a failover: asked again where the API server is not up yet.
        eventually("the request to be taken", PATIENCE, || async { apply(&client, object).await.ok() }).await;
        self.phase(site, object["metadata"]["name"].as_str().unwrap(), phase).await
    }

    /// Waits until a `Failover` stands in this phase.
    pub(crate) async fn phase(&self, site: &str, name: &str, phase: &str) -> DynamicObject {
        eventually(&format!("{name} to be {phase} at {site}"), PATIENCE, || async {
            let found = self.failover(site, name).await?;
            (found.data["status"]["phase"] == phase).then_some(found)
        })
        .await
    }

    /// What a `Failover` stands at once it has ended, however it did, and what it says.
    pub(crate) async fn phase_ended(&self, site: &str, name: &str) -> String {
        eventually(&format!("{name} to end"), PATIENCE, || async {
            let found = self.failover(site, name).await?;
            let phase = found.data["status"]["phase"].as_str()?.to_owned();
            let ended = ["Completed", "PartlyCompleted", "RolledBack", "Refused"].contains(&phase.as_str());
            ended.then(|| format!("{phase} {}", found.data["status"]["message"]))
        })
        .await
    }

    /// Sets an annotation, or takes it away.
    pub(crate) async fn annotate(&self, site: &str, kind: Kind, name: &str, annotation: &str, value: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {annotation: value}}});
        let client = self.client(site).await;
        api(&client, kind, None).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    }

    /// Brings everything back to where tests begin: all powered and linked, all groups at dc-a, both sites ready.
    pub(crate) async fn at_home(&self) {
        self.lab.run(&["heal"]);
        for place in ["dc-a", "dc-b"] {
            self.lab.run(&["power-on", place]);
        }
        for program in ["dc-a/arbiter", "dc-b/arbiter", "witness/arbiter", "dc-a/kube-apiserver"] {
            self.lab.run(&["start", program]);
            self.lab.run(&["resume", program]);
        }
        for site in ["dc-a", "dc-b"] {
            self.operators(site, &["start"]);
            self.operators(site, &["resume"]);
        }
        // A gate that does not answer yet says nothing of where its group is.
        let mut home = true;
        for group in GROUPS {
            home &= self.settled(group).await == "dc-a";
        }
        if !home {
            // Each wish has a key of its own.
            let name = format!("home-{}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis());
            let wish = fixtures::failover(&name, "Failback", "dc-a", &json!({"all": true}));
            self.ask("dc-b", &wish, "Completed").await;
        }
        self.active("dc-a").await;
        for application in ["web", "records"] {
            self.strength("dc-a", application, 2).await;
            self.strength("dc-b", application, 1).await;
            self.protected(&format!("{NAMESPACE}-{application}")).await;
        }
    }

    /// Waits until a group would survive the loss of its site, and could fail over by itself.
    pub(crate) async fn protected(&self, group: &str) {
        let client = self.client("dc-a").await;
        eventually(&format!("{group} to be protected"), PATIENCE, || async {
            let found = api(&client, Kind::FailoverGroup, None).get_opt(group).await.ok()??;
            let status = &found.data["status"];
            let free = status["whyNotAutomatic"].as_array().is_none_or(Vec::is_empty);
            (status["readiness"]["state"] == "Protected" && free && status["execution"].is_null()).then_some(())
        })
        .await;
    }
}
