//! `DataCentre`: each site speaks for itself.

use super::ProvisionError;
use crate::cluster::ObjectName;
use crate::config::Config;
use crate::context::Context;
use crate::status::Report;
use serde_json::json;
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

/// What the site's nodes have for pods, summed up.
fn allocatable(context: &Context) -> serde_json::Value {
    let mut cpu = 0_i64;
    let mut memory = 0_i64;
    let mut pods = 0_i64;
    for node in context.cluster.rendered.of_kind("Node") {
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
