//! The start of the databases: the first site's clusters are made, then the other's from them.

use super::{Supervisor, SupervisorError, lock};
use crate::postgres::{self, Cluster, Prepared, Reach};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each part may take.
const READY: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Starts the databases of all places, and waits until each cluster has a leader and streams to everybody else.
    pub(super) async fn start_databases(
        self: Arc<Self>,
        prepared: BTreeMap<String, Prepared>,
    ) -> Result<(), SupervisorError> {
        for programs in prepared.values() {
            self.launch(&programs.stores);
        }
        // A Patroni that finds no etcd waits for seconds before it looks again.
        self.wait_for_stores(&prepared).await?;
        for site in self.settings.plan.sites.clone() {
            let Some(programs) = prepared.get(&site) else { continue };
            self.launch(&programs.members);
            self.wait_for_clusters("leads", |clusters| {
                clusters
                    .iter()
                    .find(|cluster| cluster.place == site && !cluster.leads() && self.is_led_at(cluster))
                    .cloned()
            })
            .await?;
        }
        self.wait_for_clusters("streams to everybody", behind).await
    }

    /// Whether there is to be a leader in the cluster as it is seen from that place: the plain one has one leader for both.
    fn is_led_at(&self, cluster: &Cluster) -> bool {
        cluster.name != postgres::PLAIN || self.settings.plan.sites.first() == Some(&cluster.place)
    }

    async fn wait_for_stores(&self, prepared: &BTreeMap<String, Prepared>) -> Result<(), SupervisorError> {
        let layout = &self.settings.layout;
        let ports = lock(&self.state).ports.clone();
        let started = Instant::now();
        for store in prepared.values().flat_map(|programs| &programs.stores) {
            let not_ready = || SupervisorError::NotReady {
                what: store.full_name(),
                seconds: READY.as_secs(),
                log: layout.log(&store.place, &store.name).display().to_string(),
            };
            let authority = if store.name == postgres::PLAIN_STORE { postgres::PLAIN } else { "database" };
            let port = ports.get(&store.full_name()).copied().unwrap_or_default();
            let reach = Reach::new(layout, &store.place, authority, port).await.map_err(|_| not_ready())?;
            while reach.get("/health").await.is_none_or(|told| told["health"] != "true") {
                if started.elapsed() >= READY {
                    return Err(not_ready());
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Waits until `lacks` finds no cluster that is not as it should be.
    async fn wait_for_clusters(
        &self,
        what: &str,
        lacks: impl Fn(&[Cluster]) -> Option<Cluster>,
    ) -> Result<(), SupervisorError> {
        let super::Settings { plan, layout, databases, .. } = &self.settings;
        let ports = lock(&self.state).ports.clone();
        let started = Instant::now();
        while let Some(cluster) = lacks(&postgres::clusters(plan, layout, databases, &ports).await) {
            if started.elapsed() >= READY {
                return Err(SupervisorError::NotReady {
                    what: format!("a cluster that {what}: {cluster}"),
                    seconds: READY.as_secs(),
                    log: layout.place(&cluster.place).join("log").join("patroni-*.log").display().to_string(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// A cluster of which a member is neither the first leader nor streamed to. A group's clusters at the sites are one chain.
fn behind(clusters: &[Cluster]) -> Option<Cluster> {
    let mut reached: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for cluster in clusters {
        let all = reached.entry(&cluster.name).or_default();
        // The one at the head; the other site's is streamed to.
        if all.is_empty() {
            all.extend(&cluster.leader);
        }
        all.extend(&cluster.streaming);
    }
    let lacks =
        |cluster: &&Cluster| !cluster.wanted.iter().all(|member| reached[cluster.name.as_str()].contains(member));
    clusters.iter().find(lacks).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(place: &str, leader: Option<&str>, streaming: &[&str], wanted: &[&str]) -> Cluster {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Cluster {
            name: "ledger".to_owned(),
            place: place.to_owned(),
            members: BTreeMap::new(),
            leader: leader.map(str::to_owned),
            streaming: set(streaming),
            wanted: set(wanted),
        }
    }

    #[test]
    fn all_must_be_streamed_to_but_the_one_at_the_head() {
        let whole = [
            cluster("dc-a", Some("a0"), &["a1", "b1"], &["a0", "a1"]),
            cluster("dc-b", Some("b1"), &["b0"], &["b0", "b1"]),
        ];
        assert_eq!(behind(&whole), None);
        let unfed =
            [cluster("dc-a", Some("a0"), &["a1"], &["a0", "a1"]), cluster("dc-b", Some("b1"), &["b0"], &["b0", "b1"])];
        assert_eq!(behind(&unfed).unwrap().place, "dc-b", "its leader follows nobody");
        let alone = [cluster("dc-a", Some("a0"), &["b1"], &["a0", "a1"])];
        assert!(behind(&alone).is_some());
        assert!(behind(&[cluster("dc-a", None, &[], &["a0"])]).is_some(), "no leader");
    }
}
