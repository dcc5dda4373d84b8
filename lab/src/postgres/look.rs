//! How the clusters stand, asked of Patroni over the lab's forwards.

use super::{Databases, MEMBERS, PLAIN};
use crate::layout::Layout;
use crate::plan::{Place, Plan};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// A cluster, as far as it was told how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name: that of its group, or `plain`.
    pub name: String,
    /// The place that was asked.
    pub place: String,
    /// The members by their names in Patroni, each with its role and state, such as `leader, running`.
    pub members: BTreeMap<String, String>,
    /// Who leads.
    pub leader: Option<String>,
    /// Who is streamed to by members here.
    pub streaming: BTreeSet<String>,
    /// Who should be there.
    pub wanted: BTreeSet<String>,
}

impl Cluster {
    /// Whether it has a leader whose database runs.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leader.as_ref().and_then(|leader| self.members.get(leader)).is_some_and(|how| how.ends_with("running"))
    }
}

impl std::fmt::Display for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told: Vec<String> = self.members.iter().map(|(name, how)| format!("{name} ({how})")).collect();
        let told = if told.is_empty() { "nobody answers".to_owned() } else { told.join(", ") };
        write!(f, "{} at {}: {told}", self.name, self.place)
    }
}

/// Asks programs of the databases in one place.
#[derive(Clone)]
pub struct Reach {
    client: Client,
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reach").finish_non_exhaustive()
    }
}

impl Reach {
    /// One that asks at a port of the host. `authority` is `database` for what belongs to a site, `plain` for the plain cluster.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub async fn new(layout: &Layout, place: &str, authority: &str, port: u16) -> Result<Self, String> {
        let pki = layout.pki(place);
        let file = |name: &str| pki.join(format!("{authority}-{name}")).display().to_string();
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "current-context": "lab",
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "clusters": [{"name": "lab", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "certificate-authority": file("ca.crt"),
            }}],
            "users": [{"name": "lab", "user": {"client-certificate": file("lab.crt"), "client-key": file("lab.key")}}],
        }))
        .map_err(|error| error.to_string())?;
        let options = KubeConfigOptions::default();
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| error.to_string())?;
        config.default_retry = false;
        for limit in [&mut config.connect_timeout, &mut config.read_timeout, &mut config.write_timeout] {
            *limit = Some(ANSWER);
        }
        Ok(Self { client: Client::try_from(config).map_err(|error| error.to_string())? })
    }

    /// The answer to a question, where there is a good one.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let request = http::Request::get(path).body(Vec::new()).ok()?;
        serde_json::from_str(&self.client.request_text(request).await.ok()?).ok()
    }
}

/// How every cluster stands at the sites, by what their members say. `ports` are the lab's.
pub async fn clusters(
    plan: &Plan,
    layout: &Layout,
    databases: &Databases,
    ports: &BTreeMap<String, u16>,
) -> Vec<Cluster> {
    let mut asked = Vec::new();
    for place in plan.places().into_iter().filter(|place| plan.sites.contains(&place.name)) {
        for group in &databases.groups {
            let members = (0..MEMBERS)
                .map(|number| (format!("patroni-{group}-{number}"), format!("{}-{group}-{number}", place.name)));
            asked.push(cluster(layout, place.clone(), group.clone(), "database", members.collect(), ports));
        }
        if databases.spread_ttl.is_some() {
            let member = (format!("patroni-{PLAIN}"), format!("{}-{PLAIN}", place.name));
            asked.push(cluster(layout, place.clone(), PLAIN.to_owned(), PLAIN, vec![member], ports));
        }
    }
    futures::future::join_all(asked).await
}

/// What the members of one cluster in one place say: each of itself, and of all that its etcd knows.
async fn cluster(
    layout: &Layout,
    place: Place,
    name: String,
    authority: &str,
    members: Vec<(String, String)>,
    ports: &BTreeMap<String, u16>,
) -> Cluster {
    let wanted = members.iter().map(|(_, member)| member.clone()).collect();
    let mut found = Cluster {
        name,
        place: place.name.clone(),
        members: BTreeMap::new(),
        leader: None,
        streaming: BTreeSet::new(),
        wanted,
    };
    for (program, _) in members {
        let Some(port) = ports.get(&format!("{}/{program}", place.name)) else { continue };
        let Ok(reach) = Reach::new(layout, &place.name, authority, *port).await else { continue };
        if let Some(told) = reach.get("/patroni").await {
            found.streaming.extend(streams(&told));
        }
        if let Some(told) = reach.get("/cluster").await {
            take(&mut found, &told);
        }
    }
    found
}

/// Who is streamed to by the member that said this of itself.
fn streams(told: &Value) -> Vec<String> {
    let all = told["replication"].as_array().into_iter().flatten();
    let streaming = all.filter(|one| one["state"] == "streaming");
    streaming.filter_map(|one| one["application_name"].as_str().map(str::to_owned)).collect()
}

/// Takes what a member said of its cluster.
fn take(found: &mut Cluster, told: &Value) {
    found.members.clear();
    found.leader = None;
    for member in told["members"].as_array().into_iter().flatten() {
        let text = |field: &str| member[field].as_str().unwrap_or("unknown");
        let (name, role) = (text("name").to_owned(), text("role"));
        if ["leader", "standby_leader"].contains(&role) {
            found.leader = Some(name.clone());
        }
        found.members.insert(name, format!("{role}, {}", text("state")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(told: &Value) -> Cluster {
        let mut found = Cluster {
            name: "ledger".to_owned(),
            place: "dc-b".to_owned(),
            members: BTreeMap::new(),
            leader: None,
            streaming: BTreeSet::new(),
            wanted: BTreeSet::new(),
        };
        take(&mut found, told);
        found
    }

    #[test]
    fn a_cluster_leads_once_its_leader_runs() {
        let told = |state: &str| {
            json!({"members": [
                {"name": "dc-b-ledger-0", "role": "replica", "state": "running"},
                {"name": "dc-b-ledger-1", "role": "standby_leader", "state": state},
            ]})
        };
        let running = cluster(&told("running"));
        assert!(running.leads());
        assert_eq!(
            running.to_string(),
            "ledger at dc-b: dc-b-ledger-0 (replica, running), dc-b-ledger-1 (standby_leader, running)"
        );
        assert!(!cluster(&told("starting")).leads());
        let nobody = cluster(&json!({"members": []}));
        assert!(!nobody.leads() && nobody.to_string().ends_with("nobody answers"));
    }

    #[test]
    fn only_who_has_caught_up_is_streamed_to() {
        let told = json!({"replication": [
            {"application_name": "dc-a-ledger-1", "state": "streaming"},
            {"application_name": "dc-b-ledger-0", "state": "catchup"},
        ]});
        assert_eq!(streams(&told), ["dc-a-ledger-1"]);
        assert!(streams(&json!({"state": "running"})).is_empty());
    }
}
