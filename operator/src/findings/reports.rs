//! Report objects: only what differs is written, and nothing of somebody else's.

use super::Wanted;
use crate::cluster::{ApplyError, Cluster, REQUEST_TIMEOUT};
use kube::ResourceExt;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::GroupVersionKind;
use tandem_core::drift;
use tandem_core::findings::ReportKind;
use tandem_core::names::{ANNOTATION_RENDERED, FINDINGS, LABEL_MANAGED, LABEL_MANAGED_BY, MANAGER};
use tandem_core::render::Manifest;
use tandem_logs::Chain;

/// The field manager of reports.
const FIELD_MANAGER: &str = "tandem/findings";
/// How many reports are read at once: each may be large.
const PAGE: u32 = 50;

/// Why the reports are not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReportError {
    /// The API server does not list them, or does not take a write.
    #[error("the API server did not {0}")]
    Unavailable(&'static str, #[source] kube::Error),
    /// The API server took too long.
    #[error("the API server took longer than {seconds} s to {0}", seconds = REQUEST_TIMEOUT.as_secs())]
    TooSlow(&'static str),
    /// This replica does not lead the site (any more).
    #[error(transparent)]
    NotLeader(#[from] ApplyError),
}

/// Makes, changes and deletes the reports of a kind so that they are as wanted. One that the API server refuses is told and
/// does not hold up the others. Gives back how many were written or deleted.
pub(super) async fn keep(cluster: &Cluster, kind: ReportKind, mut wanted: Wanted) -> Result<usize, ReportError> {
    let resource = resource(kind);
    let mut written = 0;
    // By name, and not by label: somebody else's object of that name must be seen before it is written over.
    let mut page = ListParams::default().fields(&format!("metadata.name={FINDINGS}")).limit(PAGE);
    loop {
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, cluster.api(&resource, None).list(&page)).await;
        let list = asked.map_err(|_| ReportError::TooSlow("list reports"))?;
        let list = list.map_err(|error| ReportError::Unavailable("list reports", error))?;
        for there in list.items {
            // What is not wanted is of an environment of which nothing is known: nothing is concluded from that.
            let Some(wanted) = there.namespace().and_then(|namespace| wanted.remove(&namespace)) else { continue };
            written += usize::from(settle(cluster, &resource, &there, wanted.as_ref()).await?);
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    for manifest in wanted.values().flatten() {
        written += usize::from(apply(cluster, &resource, manifest).await?);
    }
    Ok(written)
}

/// How the API server calls a kind of reports.
fn resource(kind: ReportKind) -> ApiResource {
    let (group, version) = kind.api_version().split_once('/').unwrap_or(("", kind.api_version()));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.name()), kind.plural())
}

/// Brings a report that is there to what is wanted. Says whether that took a write.
async fn settle(
    cluster: &Cluster,
    resource: &ApiResource,
    there: &DynamicObject,
    wanted: Option<&Manifest>,
) -> Result<bool, ReportError> {
    let bears = |label: &str, value: &str| there.labels().get(label).is_some_and(|found| found == value);
    if !bears(LABEL_MANAGED, "true") || !bears(LABEL_MANAGED_BY, MANAGER) {
        if wanted.is_some() {
            let namespace = there.namespace().unwrap_or_default();
            tracing::warn!(
                namespace,
                kind = resource.kind,
                "a report of the name {FINDINGS} is somebody else's; it stays"
            );
        }
        return Ok(false);
    }
    let Some(manifest) = wanted else { return delete(cluster, resource, there).await };
    let rendered = there.annotations().get(ANNOTATION_RENDERED).map(String::as_str);
    let value = serde_json::to_value(there).unwrap_or_default();
    if rendered == Some(manifest.hash()) && drift::covers(manifest.value(), &value) {
        return Ok(false);
    }
    apply(cluster, resource, manifest).await
}

async fn apply(cluster: &Cluster, resource: &ApiResource, manifest: &Manifest) -> Result<bool, ReportError> {
    cluster.may_write()?;
    cluster.metrics.writes.with_label_values(&["apply"]).inc();
    let api = cluster.api(resource, manifest.namespace());
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(manifest.value()));
    let sent = tokio::time::timeout(REQUEST_TIMEOUT, api.patch(manifest.name(), &parameters, &patch)).await;
    let namespace = manifest.namespace().unwrap_or_default();
    told("write a report", namespace, sent.map_err(|_| ReportError::TooSlow("write a report"))?.map(drop))
}

async fn delete(cluster: &Cluster, resource: &ApiResource, there: &DynamicObject) -> Result<bool, ReportError> {
    if there.metadata.deletion_timestamp.is_some() {
        return Ok(false);
    }
    cluster.may_write()?;
    cluster.metrics.writes.with_label_values(&["delete"]).inc();
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: there.uid(), resource_version: None }),
        ..DeleteParams::background()
    };
    let namespace = there.namespace().unwrap_or_default();
    let api = cluster.api(resource, Some(&namespace));
    let sent = tokio::time::timeout(REQUEST_TIMEOUT, api.delete(FINDINGS, &parameters)).await;
    told("delete a report", &namespace, sent.map_err(|_| ReportError::TooSlow("delete a report"))?.map(drop))
}

/// Whether a write was taken. What the API server refuses of one report is told, and the others go on; what it could not
/// answer is an error, and all is tried again later.
fn told(what: &'static str, namespace: &str, sent: Result<(), kube::Error>) -> Result<bool, ReportError> {
    match sent {
        Ok(()) => Ok(true),
        Err(error @ kube::Error::Api(_)) => {
            tracing::warn!(namespace, error = %Chain(&error), "the API server did not {what}");
            Ok(false)
        }
        Err(error) => Err(ReportError::Unavailable(what, error)),
    }
}
