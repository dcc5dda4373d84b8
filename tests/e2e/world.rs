//! What the tests have to work with.

use kube::api::DynamicObject;
use serde_json::Value;
use std::time::Duration;
use tandem_crds::Kind;
use tandem_tests::runner::Shared;
use tandem_tests::{Lab, api, apply, condition, eventually, fixtures, is_ready};

/// How long provisioning in both sites may take at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Two sites and clients for them.
pub(crate) struct World {
    pub(crate) lab: Lab,
    /// The authority.
    pub(crate) a: kube::Client,
    /// The site that follows.
    pub(crate) b: kube::Client,
}

impl Shared for World {
    async fn start() -> Self {
        let lab = Lab::start("e2e");
        let (a, b) = (lab.client("dc-a").await, lab.client("dc-b").await);
        Self { lab, a, b }
    }

    fn lab(&self) -> &Lab {
        &self.lab
    }
}

impl World {
    pub(crate) fn both(&self) -> [&kube::Client; 2] {
        [&self.a, &self.b]
    }

    /// Applies an object at the authority.
    pub(crate) async fn apply(&self, object: &Value) -> DynamicObject {
        apply(&self.a, object).await.unwrap()
    }

    /// Waits until an object is Ready at both sites.
    pub(crate) async fn ready(&self, kind: Kind, namespace: Option<&str>, name: &str) {
        for client in self.both() {
            let api = api(client, kind, namespace);
            let last = std::sync::Mutex::new(String::new());
            let waited = tokio::time::timeout(PATIENCE, async {
                loop {
                    match api.get_opt(name).await.unwrap() {
                        Some(object) if is_ready(&object) => return,
                        Some(object) => *last.lock().unwrap() = format!("{:?}", condition(&object, "Ready")),
                        None => "not there".clone_into(&mut last.lock().unwrap()),
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
            assert!(waited.await.is_ok(), "{kind} {name} is not Ready: {}", last.lock().unwrap());
        }
    }

    /// Waits until an object at the authority says that it is not Ready for this reason; gives back the message.
    pub(crate) async fn refused(&self, kind: Kind, namespace: Option<&str>, name: &str, reason: &str) -> String {
        let api = api(&self.a, kind, namespace);
        eventually(&format!("{kind} {name} to be refused as {reason}"), PATIENCE, || async {
            let object = api.get_opt(name).await.unwrap()?;
            let (holds, found, message) = condition(&object, "Ready")?;
            (!holds && found == reason).then_some(message)
        })
        .await
    }

    /// What `tandem status` says at a site: whether all is ready, and its text.
    pub(crate) fn status(&self, site: &str) -> (bool, String) {
        let output = self.lab.tandem(site, &["status", "--limit", "0"]);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A unit, an environment `prod` of it and an application `web` in that, Ready at both sites. Gives back the namespace.
    pub(crate) async fn agency(&self, unit: &str) -> String {
        let namespace = format!("{unit}-prod");
        self.apply(&fixtures::unit(unit)).await;
        self.apply(&fixtures::environment(unit, "prod", 4)).await;
        self.ready(Kind::Environment, None, &namespace).await;
        self.apply(&fixtures::application(&namespace, "web", 2)).await;
        self.ready(Kind::Application, Some(&namespace), "web").await;
        namespace
    }
}
