//! Reading and writing objects of one site.

use crate::import::retry::{RequestError, retrying};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, TypeMeta};
use kube::core::{NamespaceResourceScope, Resource};
use kube::{Client, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

/// The field manager that owns what the command line writes.
pub const FIELD_MANAGER: &str = "tandem-cli";

/// Why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Tandem's kinds are not there.
    #[error("the cluster does not know Tandem's {0}: install Tandem's CustomResourceDefinitions first")]
    NotInstalled(String),
    /// There is no such object.
    #[error("there is no {kind} named {name} at this site: `kubectl get {plural}` lists them")]
    NotFound {
        /// The kind.
        kind: String,
        /// The kind's plural.
        plural: String,
        /// The object's name.
        name: String,
    },
    /// The API server refused what was asked.
    #[error("the API server refused to {what}: {why}")]
    Refused {
        /// What was to be done.
        what: String,
        /// What the API server said.
        why: String,
    },
    /// It could not be read or written.
    #[error("cannot {what}")]
    Request {
        /// What was to be done.
        what: String,
        /// Why.
        source: RequestError,
    },
}

/// A resource of Tandem's or of Kubernetes'.
pub trait Readable: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug {}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug> Readable for K {}

/// Every object of a kind.
///
/// # Errors
/// When the kind is not there, or cannot be listed.
pub async fn list<K: Readable>(client: &Client) -> Result<Vec<K>, ApiError> {
    let api: Api<K> = Api::all(client.clone());
    let kind = K::plural(&());
    match retrying(|| async { api.list(&ListParams::default()).await }).await {
        Ok(found) => Ok(found.items),
        Err(RequestError::Kube(Error::Api(status))) if status.code == 404 => Err(ApiError::NotInstalled(kind.into())),
        Err(source) => Err(failed(format!("list the cluster's {kind}"), source)),
    }
}

/// One object that lives in no namespace.
///
/// # Errors
/// When it is not there, or cannot be read.
pub async fn get<K: Readable>(client: &Client, name: &str) -> Result<K, ApiError> {
    let api: Api<K> = Api::all(client.clone());
    match retrying(|| async { api.get(name).await }).await {
        Ok(found) => Ok(found),
        Err(RequestError::Kube(Error::Api(status))) if status.code == 404 => Err(not_found::<K>(name)),
        Err(source) => Err(failed(format!("read {} {name}", K::plural(&())), source)),
    }
}

/// Changes one object that lives in no namespace by a merge patch. `Ok(None)`: it was changed in between, and the patch
/// named the version that it was made for.
///
/// # Errors
/// When it is not there, or the API server refuses.
pub async fn merge<K: Readable>(client: &Client, name: &str, patch: &Value) -> Result<Option<K>, ApiError> {
    let api: Api<K> = Api::all(client.clone());
    let how = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    // A conflict is the caller's affair: it has to look again.
    let sent = retrying(|| async {
        match api.patch(name, &how, &Patch::Merge(patch)).await {
            Err(Error::Api(status)) if status.code == 409 => Ok(None),
            other => other.map(Some),
        }
    });
    match sent.await {
        Ok(answer) => Ok(answer),
        Err(RequestError::Kube(Error::Api(status))) if status.code == 404 => Err(not_found::<K>(name)),
        Err(source) => Err(failed(format!("change {} {name}", K::plural(&())), source)),
    }
}

/// Makes an object that lives in no namespace. `Ok(None)`: there is one of that name already.
///
/// # Errors
/// When the kind is not there, or the API server refuses.
pub async fn create<K: Readable + Serialize>(client: &Client, object: &K) -> Result<Option<K>, ApiError> {
    let api: Api<K> = Api::all(client.clone());
    let how = kube::api::PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..Default::default() };
    let sent = retrying(|| async {
        match api.create(&how, object).await {
            Err(Error::Api(status)) if status.code == 409 => Ok(None),
            other => other.map(Some),
        }
    });
    match sent.await {
        Ok(answer) => Ok(answer),
        Err(RequestError::Kube(Error::Api(status))) if status.code == 404 => {
            Err(ApiError::NotInstalled(K::plural(&()).into()))
        }
        Err(source) => Err(failed(format!("make a {}", K::kind(&())), source)),
    }
}

/// Every object of a kind that lives in namespaces.
///
/// # Errors
/// When the kind is not there, or cannot be listed.
pub async fn list_everywhere<K>(client: &Client) -> Result<Vec<K>, ApiError>
where
    K: Readable + Resource<Scope = NamespaceResourceScope>,
{
    list(client).await
}

/// Every object of a kind as the cluster has it, with fields that this release does not know.
///
/// # Errors
/// When the kind is not there, or cannot be listed.
pub async fn list_whole<K: Readable>(client: &Client) -> Result<Vec<DynamicObject>, ApiError> {
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let kind = K::plural(&());
    match retrying(|| async { api.list(&ListParams::default()).await }).await {
        Ok(found) => Ok(found.items.into_iter().map(|object| typed(object, &resource)).collect()),
        Err(RequestError::Kube(Error::Api(status))) if status.code == 404 => Err(ApiError::NotInstalled(kind.into())),
        Err(source) => Err(failed(format!("list the cluster's {kind}"), source)),
    }
}

/// One object as the cluster has it, with fields that this release does not know.
///
/// # Errors
/// When it is not there, or cannot be read.
pub async fn get_whole<K: Readable>(
    client: &Client,
    namespace: Option<&str>,
    name: &str,
) -> Result<DynamicObject, ApiError> {
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    match retrying(|| async { api.get(name).await }).await {
        Ok(found) => Ok(typed(found, &resource)),
        Err(RequestError::Kube(Error::Api(status))) if status.code == 404 => Err(not_found::<K>(name)),
        Err(source) => Err(failed(format!("read {} {name}", K::plural(&())), source)),
    }
}

/// The items of a list do not say what they are.
fn typed(mut object: DynamicObject, resource: &ApiResource) -> DynamicObject {
    object.types = Some(TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() });
    object
}

fn not_found<K: Readable>(name: &str) -> ApiError {
    ApiError::NotFound { kind: K::kind(&()).into(), plural: K::plural(&()).into(), name: name.to_owned() }
}

/// What the API server gave as its reason is the point; anything else is an error of the way to it.
fn failed(what: String, source: RequestError) -> ApiError {
    match source {
        RequestError::Kube(Error::Api(status)) if (400..500).contains(&status.code) => {
            ApiError::Refused { what, why: status.message.clone() }
        }
        source => ApiError::Request { what, source },
    }
}
