//! What the tests have to work with: two sites, an agency with a ledger on PostgreSQL in both, and clients of it.

use serde_json::{Value, json};
use std::ops::Deref;
use tandem_tests::ledger::{Entry, Ledger, Writers};
use tandem_tests::runner::Shared;
use tandem_tests::sites::Sites;
pub(crate) use tandem_tests::sites::{PATIENCE, T};
use tandem_tests::{Lab, eventually, fixtures};

/// The group, and the lab's PostgreSQL clusters of that name.
pub(crate) const GROUP: &str = "ledger";
/// How many clients write at once.
const CLIENTS: usize = 4;
/// How many accepted writes show that a site takes them.
const SOME: usize = 50;

/// Two sites with the ledger in them.
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
        Self { sites: Sites::start("pg", &["--ledger", GROUP]).await }
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
    /// The ledger by the city's entry.
    pub(crate) fn city(&self) -> Ledger {
        Ledger::new(self.lab.port(&format!("entry/{GROUP}")))
    }

    /// A site's own ledger, with no balancer before it.
    pub(crate) fn inside(&self, site: &str) -> Ledger {
        Ledger::new(self.lab.port(&format!("{site}/entry-{GROUP}")))
    }

    /// Clients that write by the city's entry, under names that begin so.
    pub(crate) fn writers(&self, begins: &str) -> Writers {
        Writers::start(&self.city(), begins, CLIENTS)
    }

    /// Waits until some more writes were accepted.
    pub(crate) async fn accepts(&self, writers: &Writers) {
        let before = writers.accepted();
        eventually("writes to be accepted", PATIENCE, || async { (writers.accepted() >= before + SOME).then_some(()) })
            .await;
    }

    /// What the ledger holds of writers whose names begin so.
    pub(crate) async fn entries(&self, begins: &str) -> Vec<Entry> {
        let city = self.city();
        eventually("the ledger to be read", PATIENCE, || city.entries(begins)).await
    }

    /// Moves the group as planned, and waits until that has ended so.
    pub(crate) async fn go(&self, to: &str, phase: &str) -> Value {
        let name = wish("switchover");
        let wish = fixtures::failover(&name, "Switchover", to, &json!({"groups": [GROUP]}));
        let object = self.ask("dc-b", &wish, phase).await;
        json!({"name": name, "status": object.data["status"]})
    }

    /// Brings everything back to where tests begin: all powered and linked, the ledger at dc-a, its data followed at dc-b.
    pub(crate) async fn at_home(&self) {
        self.lab.run(&["heal"]);
        for place in ["dc-a", "dc-b"] {
            self.lab.run(&["power-on", place]);
            self.operators(place, &["start"]);
            self.operators(place, &["resume"]);
        }
        self.protected(GROUP).await;
        for group in ["platform", GROUP] {
            if self.settled(group).await != "dc-a" {
                let name = wish("home");
                let wish = fixtures::failover(&name, "Switchover", "dc-a", &json!({"groups": [group]}));
                self.ask("dc-b", &wish, "Completed").await;
            }
        }
        self.protected(GROUP).await;
    }

    /// Has every agent of a site do this to a call.
    pub(crate) async fn stage(&self, site: &str, fault: &Value) {
        for agent in self.lab.database_agents(site, GROUP).await {
            let (status, body) =
                eventually("the agent to answer", PATIENCE, || agent.ask("POST", "/v1/faults", Some(fault))).await;
            assert_eq!(status, 204, "{body}");
        }
    }

    /// Lifts what was staged.
    pub(crate) async fn heal_agents(&self, site: &str) {
        for agent in self.lab.database_agents(site, GROUP).await {
            let (status, _) =
                eventually("the agent to answer", PATIENCE, || agent.ask("DELETE", "/v1/faults", None)).await;
            assert_eq!(status, 204);
        }
    }
}

/// A name that no wish had before.
pub(crate) fn wish(begins: &str) -> String {
    format!("{begins}-{}", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis())
}
