//! How much of a site is free, and what groups need there.

use tandem_core::ledger::Amounts;
use tandem_core::render::{Strength, replicas};
use tandem_crds::{Application, Capacity};

/// What an application takes at a site at this strength. Of workloads that it adopts only the pods are known.
#[must_use]
pub(super) fn demand(application: &Application, strength: Strength) -> Amounts {
    let class = application.spec.standby_class;
    let count = |given| u64::try_from(replicas(class, given, strength)).unwrap_or(0);
    let mut sum = Amounts::default();
    for component in application.spec.components.iter().flatten() {
        let pods = count(component.replicas);
        let millis = component.resources.cpu.millis().ok().and_then(|m| u64::try_from(m).ok()).unwrap_or(0);
        let bytes = component.resources.memory.units().ok().and_then(|m| u64::try_from(m).ok()).unwrap_or(0);
        sum = sum.saturating_add(&Amounts {
            cpu_millis: millis.saturating_mul(pods),
            memory_bytes: bytes.saturating_mul(pods),
            pods,
            ..Amounts::default()
        });
    }
    for adopted in application.spec.adopt.iter().flatten() {
        sum = sum.saturating_add(&Amounts { pods: count(adopted.replicas), ..Amounts::default() });
    }
    sum
}

/// What a site says that its nodes have; `None` where that is not whole.
#[must_use]
pub(super) fn allocatable(capacity: &Capacity) -> Option<Amounts> {
    let millis = capacity.cpu.as_ref()?.millis().ok()?;
    let bytes = capacity.memory.as_ref()?.units().ok()?;
    Some(Amounts {
        cpu_millis: u64::try_from(millis).ok()?,
        memory_bytes: u64::try_from(bytes).ok()?,
        pods: u64::try_from(capacity.pods?).ok()?,
        ..Amounts::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_standby_takes_what_its_class_says() {
        let application: Application = serde_json::from_value(json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "Application", "metadata": {"name": "a", "namespace": "n"},
            "spec": {
                "displayName": {"zh": "x"}, "standbyClass": "Warm",
                "components": [{
                    "name": "web", "image": "i", "replicas": {"active": 4, "standby": 1},
                    "resources": {"cpu": "500m", "memory": "1Gi"},
                }],
            },
        }))
        .unwrap();
        let active = demand(&application, Strength::Active);
        assert_eq!((active.cpu_millis, active.memory_bytes, active.pods), (2_000, 4 << 30, 4));
        assert_eq!(demand(&application, Strength::Standby).pods, 1);
    }

    #[test]
    fn a_site_that_says_only_half_says_nothing() {
        let capacity = |value| serde_json::from_value::<Capacity>(value).unwrap();
        assert!(allocatable(&capacity(json!({"cpu": "4", "memory": "8Gi"}))).is_none());
        let all = allocatable(&capacity(json!({"cpu": "4", "memory": "8Gi", "pods": 100}))).unwrap();
        assert_eq!((all.cpu_millis, all.pods), (4_000, 100));
    }
}
