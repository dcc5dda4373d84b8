//! Objects to try things with.

use serde_json::{Value, json};

/// An image as the profiles ask for it.
pub const IMAGE: &str =
    "registry.bz.gov.example/test/web@sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// A unit with room for a few environments.
#[must_use]
pub fn unit(name: &str) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Unit", "metadata": {"name": name},
        "spec": {
            "displayName": {"zh": "测试单位", "en": "Test unit"}, "level": "City", "securityProfile": "mlps-2",
            "administrators": [format!("{name}-admins")], "viewers": [format!("{name}-viewers")],
            "budget": {"cpu": "16", "memory": "64Gi", "storage": "1Ti", "pods": 60, "environments": 6},
        },
    })
}

/// An environment of a unit that takes `cpu` cores.
#[must_use]
pub fn environment(unit: &str, name: &str, cpu: u32) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Environment", "metadata": {"name": format!("{unit}-{name}")},
        "spec": {
            "unit": unit, "purpose": "Production",
            "quota": {"cpu": cpu.to_string(), "memory": "16Gi", "storage": "100Gi", "pods": 20},
        },
    })
}

/// An application with one component of `replicas` pods, and one host name of its own.
#[must_use]
pub fn application(namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Application", "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "displayName": {"zh": "测试系统"}, "tier": 2, "standbyClass": "Warm",
            "components": [{
                "name": "web", "image": IMAGE, "replicas": {"active": replicas, "standby": 1},
                "resources": {"cpu": "100m", "memory": "128Mi"}, "ports": [{"name": "http", "port": 8080}],
            }],
            "endpoints": [{
                "name": "http", "component": "web", "port": 8080,
                "hosts": [format!("{name}.{namespace}.bz.gov.example")],
            }],
        },
    })
}

/// A failover group of this mode.
#[must_use]
pub fn group(name: &str, mode: &str) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "FailoverGroup", "metadata": {"name": name},
        "spec": {"displayName": {"zh": "测试组"}, "mode": mode},
    })
}

/// A request to move what a selector names.
#[must_use]
pub fn failover(name: &str, kind: &str, to: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Failover", "metadata": {"name": name},
        "spec": {"type": kind, "to": to, "selector": selector, "reason": "a test"},
    })
}
