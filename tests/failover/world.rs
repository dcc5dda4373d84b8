//! What the tests have to work with: two sites, and an agency whose applications move.

use crate::data;
use serde_json::{Value, json};
use std::ops::Deref;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::gates::Answer;
use tandem_tests::runner::Shared;
use tandem_tests::sites::Sites;
pub(crate) use tandem_tests::sites::{PATIENCE, T};
use tandem_tests::{Lab, apply, built_in, eventually, fixtures};

/// The groups of the lab that fail over by themselves.
pub(crate) const GROUPS: [&str; 3] = ["platform", "alpha-prod-web", "alpha-prod-records"];
/// Where the agency's applications are.
pub(crate) const NAMESPACE: &str = "alpha-prod";

/// Two sites with the agency's groups in them.
pub(crate) struct World {
    sites: Sites,
}

impl Deref for World {
    type Target = Sites;

    fn deref(&self) -> &Sites {
        &self.sites
    }
}

impl Shared for World {
    async fn start() -> Self {
        let world = Self { sites: Sites::start("fo", &["--data", data::LEDGER]).await };
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
            let client = self.client("dc-b").await;
            eventually("the way home to be taken", PATIENCE, || async { apply(&client, &wish).await.ok() }).await;
            let ended = self.phase_ended("dc-b", &name).await;
            assert!(ended.starts_with("Completed"), "the way home: {ended}");
        }
        self.active("dc-a").await;
        for application in ["web", "records"] {
            self.strength("dc-a", application, 2).await;
            self.strength("dc-b", application, 1).await;
            self.protected(&format!("{NAMESPACE}-{application}")).await;
        }
    }
}
