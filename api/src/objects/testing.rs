//! A site's objects in memory, for tests.

use super::{Objects, Read};
use crate::problem::Problem;
use serde_json::{Value, json};
use std::sync::Arc;
use tandem_crds::{
    Application, DataCentre, Environment, EnvironmentRequest, Failover, FailoverGroup, SecurityProfile, Unit,
};

/// Objects in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) units: Vec<Arc<Unit>>,
    pub(crate) environments: Vec<Arc<Environment>>,
    pub(crate) requests: Vec<Arc<EnvironmentRequest>>,
    pub(crate) applications: Vec<Arc<Application>>,
    pub(crate) data_centres: Vec<Arc<DataCentre>>,
    pub(crate) failover_groups: Vec<Arc<FailoverGroup>>,
    pub(crate) failovers: Vec<Arc<Failover>>,
    pub(crate) security_profiles: Vec<Arc<SecurityProfile>>,
    /// Changes.
    pub(crate) changed: Arc<tokio::sync::watch::Sender<u64>>,
    /// Nothing has been read yet.
    pub(crate) unread: bool,
}

impl Memory {
    pub(crate) fn with_unit(mut self, unit: Unit) -> Self {
        self.units.push(Arc::new(unit));
        self
    }

    fn read<K>(&self, all: &[Arc<K>]) -> Read<K> {
        if self.unread { Err(Problem::NotRead) } else { Ok(all.to_vec()) }
    }
}

impl Objects for Memory {
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }
    fn units(&self) -> Read<Unit> {
        self.read(&self.units)
    }
    fn environments(&self) -> Read<Environment> {
        self.read(&self.environments)
    }
    fn requests(&self) -> Read<EnvironmentRequest> {
        self.read(&self.requests)
    }
    fn applications(&self) -> Read<Application> {
        self.read(&self.applications)
    }
    fn data_centres(&self) -> Read<DataCentre> {
        self.read(&self.data_centres)
    }
    fn failover_groups(&self) -> Read<FailoverGroup> {
        self.read(&self.failover_groups)
    }
    fn failovers(&self) -> Read<Failover> {
        self.read(&self.failovers)
    }
    fn security_profiles(&self) -> Read<SecurityProfile> {
        self.read(&self.security_profiles)
    }
}

fn object<K: serde::de::DeserializeOwned>(kind: &str, metadata: impl Into<Value>, spec: impl Into<Value>) -> K {
    let (metadata, spec) = (metadata.into(), spec.into());
    let object = json!({"apiVersion": "tandem.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
    serde_json::from_value(object).unwrap()
}

pub(crate) fn unit(name: &str) -> Unit {
    let budget = json!({"cpu": "8", "memory": "16Gi", "storage": "1Ti", "pods": 50, "environments": 4});
    let spec = json!({"displayName": {"zh": "单位"}, "level": "City", "budget": budget, "securityProfile": "level-2"});
    object("Unit", json!({"name": name, "generation": 3, "resourceVersion": "7"}), spec)
}

pub(crate) fn environment(unit: &str, name: &str) -> Environment {
    let quota = json!({"cpu": "4", "memory": "8Gi", "storage": "100Gi", "pods": 20});
    object("Environment", json!({"name": format!("{unit}-{name}")}), json!({"unit": unit, "quota": quota}))
}

pub(crate) fn request(unit: &str, name: &str) -> EnvironmentRequest {
    let spec = json!({"type": "Extend", "unit": unit, "environment": format!("{unit}-prod"), "reason": "the works last longer",
                      "until": "2027-01-01T00:00:00Z", "requestedBy": {"name": "li"}, "submittedAt": "2026-01-01T00:00:00Z"});
    object("EnvironmentRequest", json!({"name": format!("{unit}-{name}")}), spec)
}

pub(crate) fn application(environment: &str, name: &str, group: &str) -> Application {
    let adopt = json!([{"kind": "Deployment", "name": name}]);
    let spec = json!({"displayName": {"zh": "应用"}, "adopt": adopt, "failoverGroup": group});
    object("Application", json!({"namespace": environment, "name": name}), spec)
}

pub(crate) fn data_centre(name: &str) -> DataCentre {
    object("DataCentre", json!({"name": name}), json!({"displayName": {"zh": "机房"}, "preference": "Primary"}))
}

pub(crate) fn failover_group(name: &str, depends_on: &[&str]) -> FailoverGroup {
    let mut group: FailoverGroup = object("FailoverGroup", json!({"name": name}), json!({"dependsOn": depends_on}));
    let why = json!([{"reason": "WaitsFor", "message": format!("wait for {}", depends_on.join(", "))}]);
    let status = json!({"readiness": {"state": "Protected", "reasons": why}, "whyNotAutomatic": why});
    group.status = Some(serde_json::from_value(status).unwrap());
    group
}

/// Asked for by the platform's Wang, of all groups, and under way for these.
pub(crate) fn failover(name: &str, groups: &[&str]) -> Failover {
    let spec = json!({"type": "Switchover", "selector": {"all": true}, "reason": "power works", "requestedBy": "wang"});
    let mut failover: Failover = object("Failover", json!({"name": name}), spec);
    let moves: Vec<Value> = groups.iter().map(|group| json!({"name": group})).collect();
    let status = json!({"phase": "Running", "message": format!("{groups:?} move"), "groups": moves,
                        "waves": [{"number": 0, "groups": groups}]});
    failover.status = Some(serde_json::from_value(status).unwrap());
    failover
}

pub(crate) fn security_profile(name: &str) -> SecurityProfile {
    let spec = json!({"displayName": {"zh": "等保"}, "mlpsLevel": 2, "podSecurity": "Baseline", "images": {}});
    object("SecurityProfile", json!({"name": name}), spec)
}

/// Two units, `health` and `water`, with an environment, an application, a group and a profile each; one more profile; one
/// site; a failover of both groups and one of each.
pub(crate) fn city() -> Memory {
    let mut city = Memory::default();
    for (name, profile) in [("health", "level-2"), ("water", "level-3")] {
        let mut unit = unit(name);
        profile.clone_into(&mut unit.spec.security_profile);
        city.units.push(Arc::new(unit));
        city.environments.push(Arc::new(environment(name, "prod")));
        city.requests.push(Arc::new(request(name, "longer")));
        city.applications.push(Arc::new(application(&format!("{name}-prod"), "portal", &format!("{name}-group"))));
        city.failovers.push(Arc::new(failover(&format!("{name}-move"), &[&format!("{name}-group")])));
    }
    city.failover_groups =
        vec![Arc::new(failover_group("health-group", &["water-group"])), Arc::new(failover_group("water-group", &[]))];
    city.failovers.push(Arc::new(failover("both-move", &["health-group", "water-group"])));
    for profile in ["level-2", "level-3", "level-4"] {
        city.security_profiles.push(Arc::new(security_profile(profile)));
    }
    city.data_centres.push(Arc::new(data_centre("dc-a")));
    city
}

/// The same, and the profile of `health` waives the digest for three environments: its own, that of `water`, and one that is
/// not there.
pub(crate) fn waived(mut city: Memory) -> Memory {
    let profile = Arc::make_mut(&mut city.security_profiles[0]);
    for (environment, reason) in [
        ("health-prod", "the vendor's next release"),
        ("water-prod", "the water works' pumps"),
        ("fire-prod", "the fire brigade's radio"),
    ] {
        let waiver = json!({"rule": "images.requireDigest", "environment": environment, "reason": reason,
                            "until": "2100-01-01T00:00:00Z"});
        profile.spec.waivers.push(serde_json::from_value(waiver).unwrap());
    }
    city
}
