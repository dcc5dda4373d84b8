//! The Node object and its Lease.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::status::seconds;

/// Pods that the node takes.
const PODS: u32 = 3000;
/// How often the Lease is renewed. The node controller gives a node up after 40 s.
const LEASE_EVERY: Duration = Duration::from_secs(10);
const LEASE_SECONDS: u32 = 40;
/// How often the node's status is written though nothing changed.
const STATUS_EVERY: Duration = Duration::from_secs(300);

/// What a Node says of itself.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) site: String,
    pub(super) address: Ipv4Addr,
    /// Version of the API server.
    pub(super) version: String,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Identity {
    fn labels(&self) -> Value {
        json!({
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture(),
            "topology.kubernetes.io/zone": self.site,
        })
    }

    /// The status. `known` is what the API server has, for the times of conditions.
    fn status(&self, known: Option<&Node>, now: Timestamp) -> Value {
        let conditions = known.and_then(|n| n.status.as_ref()?.conditions.as_deref()).unwrap_or_default();
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            let since = conditions
                .iter()
                .find(|c| c.type_ == kind && c.status == status)
                .and_then(|c| c.last_transition_time.as_ref())
                .map_or(now, |t| t.0);
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": seconds(now), "lastTransitionTime": seconds(since)})
        };
        let resources = json!({"cpu": "4096", "memory": "16Ti", "ephemeral-storage": "64Ti", "pods": PODS.to_string()});
        let release = read("/etc/os-release");
        let system = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=")).unwrap_or("Linux").trim_matches('"');
        json!({
            "capacity": resources,
            "allocatable": resources,
            "addresses": [{"type": "InternalIP", "address": self.address}],
            "conditions": [
                condition("MemoryPressure", "False", "LabNode", "the lab node does not measure memory"),
                condition("DiskPressure", "False", "LabNode", "the lab node does not measure disks"),
                condition("PIDPressure", "False", "LabNode", "the lab node does not count processes"),
                condition("Ready", "True", "LabNodeReady", "the lab node takes pods"),
            ],
            "nodeInfo": {
                "architecture": architecture(),
                "bootID": read("/proc/sys/kernel/random/boot_id"),
                "containerRuntimeVersion": concat!("tandem-lab://", env!("CARGO_PKG_VERSION")),
                "kernelVersion": read("/proc/sys/kernel/osrelease"),
                "kubeProxyVersion": self.version,
                "kubeletVersion": self.version,
                "machineID": read("/etc/machine-id"),
                "operatingSystem": "linux",
                "osImage": system,
                "systemUUID": self.name,
            },
        })
    }
}

/// Registers the Node, or takes over one that is there from before. The result is the object as the API server has it.
///
/// # Errors
/// What the API server answered.
pub(super) async fn register(client: &Client, identity: &Identity) -> kube::Result<Node> {
    let nodes: Api<Node> = Api::all(client.clone());
    let body = json!({"metadata": {"name": identity.name, "labels": identity.labels()},
        "status": identity.status(None, Timestamp::now())});
    let node = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
    match nodes.create(&PostParams::default(), &node).await {
        Ok(node) => {
            tracing::info!(node = identity.name, "registered");
            return Ok(node);
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(error),
    }
    let found = nodes.get(&identity.name).await?;
    let wanted: Value = identity.labels();
    let lacks = |(key, value): (&String, &Value)| found.labels().get(key).map(String::as_str) != value.as_str();
    if wanted.as_object().is_some_and(|w| w.iter().any(lacks)) {
        let patch = json!({"metadata": {"labels": wanted}});
        nodes.patch(&identity.name, &PatchParams::default(), &Patch::Strategic(&patch)).await?;
    }
    tracing::info!(node = identity.name, "took over the registered node");
    write_status(&nodes, identity, &found).await
}

async fn write_status(nodes: &Api<Node>, identity: &Identity, known: &Node) -> kube::Result<Node> {
    let patch = json!({"status": identity.status(Some(known), Timestamp::now())});
    nodes.patch_status(&identity.name, &PatchParams::default(), &Patch::Strategic(&patch)).await
}

/// Renews the Lease and, when it is due, the status, for ever. A failure is logged and tried again at the next turn.
pub(super) async fn heartbeat(client: Client, identity: Identity, node: Node) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let mut tick = tokio::time::interval(LEASE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written = tokio::time::Instant::now();
    loop {
        tick.tick().await;
        let turn = async {
            renew(&leases, &identity, &node).await?;
            refresh(&client, &identity, written.elapsed() >= STATUS_EVERY).await
        };
        match tokio::time::timeout(LEASE_EVERY, turn).await {
            Ok(Ok(true)) => written = tokio::time::Instant::now(),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot renew the node's Lease or status"),
            Err(_) => tracing::warn!("no answer to the renewal of the node's Lease and status"),
        }
    }
}

/// Writes the status if it is `due`, or not what it should be: the node controller may have called the node unreachable, or
/// somebody may have deleted it. Says whether it was written.
async fn refresh(client: &Client, identity: &Identity, due: bool) -> kube::Result<bool> {
    let nodes: Api<Node> = Api::all(client.clone());
    let Some(found) = nodes.get_opt(&identity.name).await? else {
        register(client, identity).await?;
        return Ok(true);
    };
    let conditions = found.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
    if due || !ready {
        write_status(&nodes, identity, &found).await?;
    }
    Ok(due || !ready)
}

async fn renew(leases: &Api<Lease>, identity: &Identity, node: &Node) -> kube::Result<()> {
    let time = |t: Timestamp| Timestamp::from_microsecond(t.as_microsecond()).unwrap_or(t);
    let spec = json!({"holderIdentity": identity.name, "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": format!("{:.6}", time(Timestamp::now()))});
    let patch = json!({"spec": spec});
    match leases.patch_metadata(&identity.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => return Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let owner = json!([{"apiVersion": "v1", "kind": "Node", "name": identity.name, "uid": node.uid()}]);
    let body = json!({"metadata": {"name": identity.name, "ownerReferences": owner}, "spec": spec});
    let lease = serde_json::from_value(body).map_err(kube::Error::SerdeError)?;
    leases.create(&PostParams::default(), &lease).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            name: "node-a".into(),
            site: "dc-a".into(),
            address: [10, 0, 0, 1].into(),
            version: "v1.20.2".into(),
        }
    }

    #[test]
    fn a_node_is_ready_and_large() {
        let status = identity().status(None, Timestamp::now());
        let node: Node = serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
        let status = node.status.unwrap();
        assert_eq!(status.allocatable.unwrap()["pods"].0, "3000");
        let ready = status.conditions.unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(ready.status, "True");
        assert_eq!(identity().labels()["topology.kubernetes.io/zone"], "dc-a");
    }

    #[test]
    fn a_takeover_keeps_transition_times_only_of_the_same_status() {
        let old = "2026-01-01T00:00:00Z";
        let known: Node = serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [
            {"type": "Ready", "status": "Unknown", "lastTransitionTime": old},
            {"type": "DiskPressure", "status": "False", "lastTransitionTime": old}]}}))
        .unwrap();
        let status = identity().status(Some(&known), "2026-02-02T00:00:00Z".parse().unwrap());
        let time = |kind: &str| {
            let all = status["conditions"].as_array().unwrap();
            all.iter().find(|c| c["type"] == kind).unwrap()["lastTransitionTime"].clone()
        };
        assert_eq!(time("DiskPressure"), old);
        assert_eq!(time("Ready"), "2026-02-02T00:00:00Z");
    }
}
