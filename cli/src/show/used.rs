//! What runs in environments' namespaces at the site that is asked, by their ResourceQuotas.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;
use tandem_core::names::LIMITS;
use tandem_crds::quantity::Quantity;

/// What is used, as a ResourceQuota counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Millicores.
    pub cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub storage: i64,
    /// Pods.
    pub pods: i64,
}

impl Used {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            storage: self.storage.saturating_add(other.storage),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// The cells of a row, in the order CPU, memory, storage, pods.
    pub(super) fn cells(self) -> [String; 4] {
        [
            Quantity::from_millicores(self.cpu).0,
            Quantity::from_bytes(self.memory).0,
            Quantity::from_bytes(self.storage).0,
            self.pods.to_string(),
        ]
    }
}

/// What is used, by namespace; nothing where one may not look, or the cluster does not answer: what is asked for can be shown
/// without it.
pub async fn used(client: &Client) -> Option<BTreeMap<String, Used>> {
    let api: Api<ResourceQuota> = Api::all(client.clone());
    let ours = ListParams::default().fields(&format!("metadata.name={LIMITS}"));
    let found = api.list(&ours).await.ok()?;
    Some(found.items.iter().map(|quota| (quota.namespace().unwrap_or_default(), of(quota))).collect())
}

fn of(quota: &ResourceQuota) -> Used {
    let used = quota.status.as_ref().and_then(|status| status.used.as_ref());
    let amount = |key: &str| used.and_then(|used| used.get(key)).map(|amount| Quantity(amount.0.clone()));
    let units = |key: &str| amount(key).and_then(|amount| amount.units().ok()).unwrap_or(0);
    let cpu = amount("requests.cpu").and_then(|amount| amount.millis().ok());
    Used {
        cpu: cpu.and_then(|millis| i64::try_from(millis).ok()).unwrap_or(0),
        memory: units("requests.memory"),
        storage: units("requests.storage"),
        pods: units("pods"),
    }
}
