//! `DataCentre`: each site speaks for itself.

use super::ProvisionError;
use crate::cluster::ObjectName;
use crate::config::Config;
use crate::context::Context;
use crate::status::Report;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use tandem_core::names::{LABEL_ROLE, ROLE_DNS, ROLE_GATEWAY};
use tandem_core::sync::ObjectKey;
use tandem_crds::Kind;
use tandem_crds::quantity::Quantity;
use tandem_crds::status::Reason;

/// Says how a data centre stands. Of another site's, this one only says that it has seen the record.
pub(super) async fn reconcile(context: &Context, key: &ObjectKey) -> Result<Report, ProvisionError> {
    if key.name != context.config.site {
        return Ok(Report::ready());
    }
    let missing = mark_shared_namespaces(context).await?;
    let (leader, members) = context.site.replicas();
    let detail = json!({"leader": leader, "members": members, "allocatable": allocatable(context)});
    let report = match context.site.brake() {
        Some(message) => Report::not_ready(Reason::BrakeTripped, message),
        None if missing.is_empty() => Report::ready(),
        None => Report::not_ready(Reason::NotFound, missing.join("; ")),
    };
    Ok(report.with_detail(detail))
}

/// The namespaces that every environment may talk with are known to its policies by a label of Tandem's, since an old
/// cluster does not label namespaces with their names. Says which of them are not there.
async fn mark_shared_namespaces(context: &Context) -> Result<Vec<String>, ProvisionError> {
    let mut missing = Vec::new();
    for (name, role, setting) in shared_namespaces(&context.config) {
        let object = ObjectName { kind: "Namespace".to_owned(), namespace: None, name: name.to_owned() };
        match context.cluster.rendered.get(&object) {
            Some(found) => context.cluster.label(&object, &found, LABEL_ROLE, role).await?,
            None => missing.push(format!(
                "there is no namespace {name}; create it, or name the one that is there in the operator's {setting}"
            )),
        }
    }
    Ok(missing)
}

/// The namespaces that environments share: name, role, and the setting that names them.
fn shared_namespaces(config: &Config) -> [(&str, &'static str, &'static str); 2] {
    [(&config.dns_namespace, ROLE_DNS, "dnsNamespace"), (&config.gateway_namespace, ROLE_GATEWAY, "gatewayNamespace")]
}

/// Whether a namespace is one that every environment may talk with.
#[must_use]
pub fn is_shared_namespace(config: &Config, name: &str) -> bool {
    shared_namespaces(config).iter().any(|(shared, ..)| *shared == name)
}

/// Whether new pods may come to a node: it is Ready, and not cordoned.
fn takes_pods(node: &DynamicObject) -> bool {
    let cordoned = node.data.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true);
    let conditions = node.data.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    ready && !cordoned
}

/// What the site's nodes have for pods, summed up over those that take any. A site whose nodes are lost or cordoned has no
/// room, whatever they had.
fn allocatable(context: &Context) -> Value {
    let mut cpu = 0_i64;
    let mut memory = 0_i64;
    let mut pods = 0_i64;
    for node in context.cluster.rendered.of_kind("Node").iter().filter(|node| takes_pods(node)) {
        let amount = |resource: &str| {
            let text = node.data.pointer(&format!("/status/allocatable/{resource}"))?.as_str()?;
            Some(Quantity(text.to_owned()))
        };
        let millicores = amount("cpu").and_then(|q| q.millis().ok()).and_then(|m| i64::try_from(m).ok());
        cpu = cpu.saturating_add(millicores.unwrap_or(0));
        memory = memory.saturating_add(amount("memory").and_then(|q| q.units().ok()).unwrap_or(0));
        pods = pods.saturating_add(amount("pods").and_then(|q| q.units().ok()).unwrap_or(0));
    }
    json!({"cpu": Quantity::from_millicores(cpu), "memory": Quantity::from_bytes(memory), "pods": pods})
}

/// The key of this site's own data centre.
#[must_use]
pub fn own_data_centre(site: &str) -> ObjectKey {
    ObjectKey::cluster(Kind::DataCentre, site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_cordoned_or_not_ready_takes_no_pods() {
        let node = |unschedulable: bool, ready: &str| {
            let conditions = json!([{"type": "DiskPressure", "status": "False"}, {"type": "Ready", "status": ready}]);
            serde_json::from_value::<DynamicObject>(json!({
                "metadata": {"name": "n"}, "spec": {"unschedulable": unschedulable}, "status": {"conditions": conditions},
            }))
            .unwrap()
        };
        assert!(takes_pods(&node(false, "True")));
        assert!(!takes_pods(&node(true, "True")));
        assert!(!takes_pods(&node(false, "Unknown")));
        let silent = serde_json::from_value(json!({"metadata": {"name": "n"}})).unwrap();
        assert!(!takes_pods(&silent), "one that says nothing");
    }
}
