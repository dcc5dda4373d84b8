//! `DataCentre`: each site speaks for itself.

use crate::context::Context;
use crate::status::Report;
use serde_json::json;
use tandem_core::sync::ObjectKey;
use tandem_crds::Kind;
use tandem_crds::quantity::Quantity;
use tandem_crds::status::Reason;

/// Says how a data centre stands. Of another site's, this one only says that it has seen the record.
pub(super) fn reconcile(context: &Context, key: &ObjectKey) -> Report {
    if key.name != context.config.site {
        return Report::ready();
    }
    let (leader, members) = context.site.replicas();
    let detail = json!({"leader": leader, "members": members, "allocatable": allocatable(context)});
    let report = match context.site.brake() {
        Some(message) => Report::not_ready(Reason::BrakeTripped, message),
        None => Report::ready(),
    };
    report.with_detail(detail)
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
