//! Whether a deletion that is seen here is a person's wish for that object.
//!
//! An API server deletes objects by itself with the CustomResourceDefinition, and with the namespace, that they belong to.

use super::SyncError;
use crate::cluster::REQUEST_TIMEOUT;
use crate::context::Context;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use tandem_core::sync::{ObjectKey, Restraint};

/// Asks the API server whether deletions of this kind, in this namespace, are meant. What cannot be asked is an error: a
/// deletion is never taken for meant on a guess.
pub(super) async fn restraint(context: &Context, key: &ObjectKey) -> Result<Restraint, SyncError> {
    let asked = tokio::time::timeout(REQUEST_TIMEOUT, ask(context, key)).await;
    asked.unwrap_or_else(|_| Err(SyncError::TooSlow(key.clone())))
}

async fn ask(context: &Context, key: &ObjectKey) -> Result<Restraint, SyncError> {
    let failed = |source| SyncError::Cluster { key: key.clone(), source };
    let definitions: Api<CustomResourceDefinition> = Api::all(context.cluster.client.clone());
    let name = format!("{}.{}", key.kind.plural(), tandem_crds::GROUP);
    let Some(definition) = definitions.get_opt(&name).await.map_err(failed)? else {
        return Ok(Restraint::CrdUnsettled);
    };
    let conditions = definition.status.and_then(|status| status.conditions).unwrap_or_default();
    let established = conditions.iter().any(|c| c.type_ == "Established" && c.status == "True");
    if !established || definition.metadata.deletion_timestamp.is_some() {
        return Ok(Restraint::CrdUnsettled);
    }
    if let Some(namespace) = &key.namespace {
        let namespaces: Api<Namespace> = Api::all(context.cluster.client.clone());
        let found = namespaces.get_opt(namespace).await.map_err(failed)?;
        if found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()) {
            return Ok(Restraint::CrdUnsettled);
        }
    }
    Ok(Restraint::None)
}
