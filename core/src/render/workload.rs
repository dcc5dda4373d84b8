//! What runs: Deployments, their configuration and their disruption budgets.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tandem_crds::{Component, PodSecurityLevel, Probe};

use super::manifest::unless_empty;
use super::{Manifest, RenderError, amounts};
use crate::names;
use crate::sync::spec_hash;

const CONFIG_DIRECTORY: &str = "/etc/tandem/config";

/// A component and where it belongs.
pub(super) struct Workload<'a> {
    pub(super) component: &'a Component,
    /// Where the component stands in the application, for paths in errors.
    pub(super) index: usize,
    pub(super) namespace: &'a str,
    pub(super) application: &'a str,
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) security: PodSecurityLevel,
}

/// The labels that a component's pods are known by. A Deployment's selector can't be changed, so nothing else is in it.
pub(super) fn selector(application: &str, component: &str) -> BTreeMap<String, String> {
    super::environment::labels(&[(names::LABEL_APPLICATION, application), (names::LABEL_COMPONENT, component)])
}

impl Workload<'_> {
    fn name(&self) -> String {
        names::workload(self.application, &self.component.name)
    }

    fn all_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.insert(names::LABEL_COMPONENT.to_owned(), self.component.name.clone());
        labels
    }

    fn manifest(&self, api_version: &str, kind: &str, body: Value) -> Manifest {
        Manifest::new(api_version, kind, Some(self.namespace), &self.name(), &self.all_labels(), body)
    }

    /// The configuration files, if there are any.
    pub(super) fn config_map(&self) -> Option<Manifest> {
        let config = &self.component.config;
        (!config.is_empty()).then(|| self.manifest("v1", "ConfigMap", json!({ "data": config })))
    }

    /// At most one pod at a time is taken away on purpose. `policy/v1beta1` is gone in 1.25, `policy/v1` comes with 1.21.
    pub(super) fn disruption_budget(&self, server_minor: u32) -> Manifest {
        let version = if server_minor < 21 { "policy/v1beta1" } else { "policy/v1" };
        let body = json!({ "spec": {
            "maxUnavailable": 1,
            "selector": { "matchLabels": selector(self.application, &self.component.name) },
        } });
        self.manifest(version, "PodDisruptionBudget", body)
    }

    /// The Deployment. Only `spec.replicas` depends on the strength, so that a failover starts and stops pods and rolls
    /// none.
    pub(super) fn deployment(&self, replicas: i32) -> Result<Manifest, RenderError> {
        let body = json!({ "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "selector": { "matchLabels": selector(self.application, &self.component.name) },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" },
            },
            "template": self.template()?,
        } });
        Ok(self.manifest("apps/v1", "Deployment", body))
    }

    fn template(&self) -> Result<Value, RenderError> {
        let config = &self.component.config;
        let files = !config.is_empty();
        let restricted = self.security == PodSecurityLevel::Restricted;
        Ok(json!({
            "metadata": {
                "labels": self.all_labels(),
                "annotations":
                    files.then(|| json!({ names::ANNOTATION_CONFIG: &spec_hash(&json!(config))[..32] })),
            },
            "spec": {
                "automountServiceAccountToken": false,
                "containers": [self.container()?],
                "securityContext": restricted.then(|| json!({
                    "runAsNonRoot": true,
                    "seccompProfile": { "type": "RuntimeDefault" },
                })),
                "serviceAccountName": names::SERVICE_ACCOUNT,
                "volumes": files.then(|| json!([{
                    "name": "config",
                    "configMap": { "name": self.name(), "defaultMode": 420 },
                }])),
            },
        }))
    }

    fn container(&self) -> Result<Value, RenderError> {
        let component = self.component;
        let path = |field: &str| format!("spec.components[{}].resources.{field}", self.index);
        let resources = json!({
            "cpu": amounts::cpu(&path("cpu"), &component.resources.cpu)?,
            "memory": amounts::bytes(&path("memory"), &component.resources.memory)?,
        });
        let ports = component
            .ports
            .iter()
            .map(|port| json!({ "name": port.name, "containerPort": port.port, "protocol": port.protocol }))
            .collect();
        let env = component.env.iter().map(|var| json!({ "name": var.name, "value": var.value })).collect();
        let secrets = component
            .secrets
            .iter()
            .enumerate()
            // A later Secret's keys win; one that is named twice counts where it is named last.
            .filter(|(n, secret)| !component.secrets[n + 1..].contains(secret))
            .map(|(_, secret)| json!({ "secretRef": { "name": secret } }))
            .collect();
        let probes = component.probes.clone().unwrap_or_default();
        let files = !component.config.is_empty();
        let restricted = self.security == PodSecurityLevel::Restricted;
        Ok(json!({
            "name": component.name,
            "image": component.image,
            "command": texts(&component.command),
            "args": texts(&component.args),
            "ports": unless_empty(ports),
            "env": unless_empty(env),
            "envFrom": unless_empty(secrets),
            "resources": { "limits": resources, "requests": resources },
            "readinessProbe": probes.readiness.as_ref().and_then(probe),
            "livenessProbe": probes.liveness.as_ref().and_then(probe),
            "securityContext": restricted.then(|| json!({
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
            })),
            "volumeMounts": files.then(|| json!([{
                "name": "config",
                "mountPath": CONFIG_DIRECTORY,
                "readOnly": true,
            }])),
        }))
    }
}

fn texts(texts: &[String]) -> Value {
    unless_empty(texts.iter().map(|text| json!(text)).collect())
}

/// A probe with neither way of asking is none; the schema's rules refuse it.
fn probe(probe: &Probe) -> Option<Value> {
    let http = probe.http_get.as_ref().map(|get| json!({ "path": get.path, "port": get.port, "scheme": "HTTP" }));
    let tcp = probe.tcp_port.filter(|_| http.is_none()).map(|port| json!({ "port": port }));
    (http.is_some() || tcp.is_some()).then(|| {
        json!({
            "httpGet": http,
            "tcpSocket": tcp,
            "failureThreshold": probe.failure_threshold,
            "periodSeconds": probe.period_seconds,
            "successThreshold": 1,
            "timeoutSeconds": probe.timeout_seconds,
        })
    })
}
