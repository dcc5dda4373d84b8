//! Whether clones fit beside what runs.

use serde_json::Value;
use tandem_crds::Quantity;

use crate::ledger::{Amounts, Resource};

/// What an environment's ResourceQuota, as the cluster has it, leaves; `None` where the cluster does not say.
#[must_use]
pub fn quota(object: &Value) -> Option<Amounts> {
    let read = |part: &str, resource: &str| {
        let text = object.pointer(&format!("/status/{part}"))?.get(resource)?.as_str()?;
        Some(Quantity::from(text))
    };
    let left = |resource: &str, size: fn(&Quantity) -> Option<u64>| {
        let (hard, used) = (size(&read("hard", resource)?)?, size(&read("used", resource)?)?);
        Some(hard.saturating_sub(used))
    };
    let millis = |quantity: &Quantity| quantity.millis().ok().and_then(|millis| u64::try_from(millis).ok());
    let units = |quantity: &Quantity| quantity.units().ok().and_then(|units| u64::try_from(units).ok());
    Some(Amounts {
        cpu_millis: left("limits.cpu", millis)?.min(left("requests.cpu", millis)?),
        memory_bytes: left("limits.memory", units)?.min(left("requests.memory", units)?),
        pods: left("pods", units)?,
        ..Amounts::default()
    })
}

/// What is short, for people; `None` where nothing is.
#[must_use]
pub fn lacking(needs: &Amounts, left: &Amounts) -> Option<String> {
    let short: Vec<String> = Resource::ALL
        .into_iter()
        .filter(|resource| needs.get(*resource) > left.get(*resource))
        .map(|resource| {
            let [needs, left] = [needs, left].map(|amounts| resource.human(amounts.get(resource)));
            format!("{resource}: {needs} needed, {left} left")
        })
        .collect();
    (!short.is_empty()).then(|| short.join("; "))
}
