//! Writing to the site's own API server. The operator publishes from there.

use crate::problem::{Fault, FieldFault, Problem};
use crate::trace;
use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ObjectMeta, PostParams, Preconditions};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use tandem_core::sync::ObjectKey;
use tandem_logs::Chain;

/// The field manager of what is written here. What it wrote stands in the audit chain with the person who asked.
pub const MANAGER: &str = tandem_core::audit::API_MANAGER;

/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why something was not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// There is an object of that name.
    Exists,
    /// It was changed by another since it was read, or is gone.
    Moved,
    /// The API server does not take it as it is.
    Invalid(Vec<FieldFault>),
    /// The API server did not take it for another reason; nothing was written.
    Refused,
    /// Nobody knows whether it was written.
    Unknown,
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Exists => Self::Exists,
            WriteError::Moved => Self::KeptChanging,
            WriteError::Invalid(faults) => Self::Invalid(faults),
            WriteError::Refused => Self::NotWritten,
            WriteError::Unknown => Self::NotKnown,
        }
    }
}

/// Which object of Tandem's kinds, at the site's own API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The kind, such as `Failover`.
    pub kind: &'static str,
    /// The kind's plural, such as `failovers`.
    pub plural: &'static str,
    /// The namespace, for what is in one.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// A failover: it is not among the kinds that are published.
    #[must_use]
    pub fn failover(name: &str) -> Self {
        Self { kind: "Failover", plural: "failovers", namespace: None, name: name.to_owned() }
    }
}

impl From<&ObjectKey> for ObjectRef {
    fn from(key: &ObjectKey) -> Self {
        Self {
            kind: key.kind.name(),
            plural: key.kind.plural(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

impl std::fmt::Display for ObjectRef {
    /// As the audit chain names it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.plural, self.name),
            None => write!(f, "{}/{}", self.plural, self.name),
        }
    }
}

/// What an API server answers.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, WriteError>>;

/// Reads and writes objects at the site's own API server, as JSON. Reads are fresh.
pub trait Writer: Send + Sync {
    /// The object as it is now; `None` where there is none.
    fn get<'a>(&'a self, key: &'a ObjectRef) -> Answer<'a, Option<Value>>;
    /// Makes an object.
    fn create<'a>(&'a self, key: &'a ObjectRef, object: Value) -> Answer<'a, Value>;
    /// Replaces an object as it was read, with its `resourceVersion`.
    fn replace<'a>(&'a self, key: &'a ObjectRef, object: Value) -> Answer<'a, Value>;
    /// Asks for an object to be deleted as it was read. What holds it back sees to the rest.
    fn delete<'a>(&'a self, key: &'a ObjectRef, version: Version) -> Answer<'a, ()>;
}

/// Which object of a name, and as it was when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// `metadata.uid`.
    pub uid: Option<String>,
    /// `metadata.resourceVersion`.
    pub resource_version: Option<String>,
}

impl From<&ObjectMeta> for Version {
    fn from(metadata: &ObjectMeta) -> Self {
        Self { uid: metadata.uid.clone(), resource_version: metadata.resource_version.clone() }
    }
}

/// The object as it is now, in its own type.
///
/// # Errors
/// [`WriteError::Refused`] where it cannot be read.
pub async fn fresh<K: DeserializeOwned>(writer: &dyn Writer, key: &ObjectRef) -> Result<Option<K>, WriteError> {
    writer.get(key).await?.map(typed).transpose()
}

/// Makes an object.
///
/// # Errors
/// [`WriteError`].
pub async fn create<K: Serialize + DeserializeOwned>(
    writer: &dyn Writer,
    key: &ObjectRef,
    object: &K,
) -> Result<K, WriteError> {
    typed(writer.create(key, marked(object)?).await?)
}

/// Replaces an object as it was read.
///
/// # Errors
/// [`WriteError`].
pub async fn replace<K: Serialize + DeserializeOwned>(
    writer: &dyn Writer,
    key: &ObjectRef,
    object: &K,
) -> Result<K, WriteError> {
    typed(writer.replace(key, marked(object)?).await?)
}

/// As it is written: with the trace that writes it.
fn marked<K: Serialize>(object: &K) -> Result<Value, WriteError> {
    let mut object = plain(object)?;
    trace::mark(&mut object);
    Ok(object)
}

fn plain<K: Serialize>(object: &K) -> Result<Value, WriteError> {
    serde_json::to_value(object).map_err(|_| WriteError::Refused)
}

fn typed<K: DeserializeOwned>(value: Value) -> Result<K, WriteError> {
    serde_json::from_value(value).map_err(|error| {
        tracing::error!(%error, "an object of this site's cannot be read");
        WriteError::Refused
    })
}

/// The site's API server.
#[derive(Clone)]
pub struct ApiServer {
    client: kube::Client,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiServer")
    }
}

impl ApiServer {
    /// By this client.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    fn api(&self, key: &ObjectRef) -> Api<DynamicObject> {
        let resource = resource(key);
        match &key.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }
}

fn resource(key: &ObjectRef) -> ApiResource {
    ApiResource {
        group: "tandem.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "tandem.dev/v1alpha1".to_owned(),
        kind: key.kind.to_owned(),
        plural: key.plural.to_owned(),
    }
}

impl Writer for ApiServer {
    fn get<'a>(&'a self, key: &'a ObjectRef) -> Answer<'a, Option<Value>> {
        async move {
            let api = self.api(key);
            let found = within(api.get_opt(&key.name)).await.map_err(|_| WriteError::Refused)?;
            found.map(|object| plain(&object)).transpose()
        }
        .boxed()
    }

    fn create<'a>(&'a self, key: &'a ObjectRef, object: Value) -> Answer<'a, Value> {
        async move {
            let object: DynamicObject = typed(object)?;
            let api = self.api(key);
            let made = within(api.create(&parameters(), &object)).await?;
            plain(&made)
        }
        .boxed()
    }

    fn replace<'a>(&'a self, key: &'a ObjectRef, object: Value) -> Answer<'a, Value> {
        async move {
            let object: DynamicObject = typed(object)?;
            let api = self.api(key);
            let written = within(api.replace(&key.name, &parameters(), &object)).await?;
            plain(&written)
        }
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a ObjectRef, version: Version) -> Answer<'a, ()> {
        async move {
            let Version { uid, resource_version } = version;
            let as_read = DeleteParams::background().preconditions(Preconditions { uid, resource_version });
            let api = self.api(key);
            within(api.delete(&key.name, &as_read)).await.map(drop)
        }
        .boxed()
    }
}

fn parameters() -> PostParams {
    PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) }
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    match tokio::time::timeout(PATIENCE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(judged(&error)),
        Err(_) => {
            tracing::warn!("the API server did not answer in time");
            Err(WriteError::Unknown)
        }
    }
}

/// What an error of the API server's means. What it says is shown to the asker only where it is about the fields.
fn judged(error: &kube::Error) -> WriteError {
    let kube::Error::Api(status) = error else {
        tracing::warn!(error = %Chain(error), "the API server cannot be reached, or broke off");
        return WriteError::Unknown;
    };
    match (status.code, status.reason.as_str()) {
        (409, "AlreadyExists") => WriteError::Exists,
        (409, _) | (404, "NotFound") => WriteError::Moved,
        (422, _) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let faults: Vec<FieldFault> = causes
                .map(|cause| FieldFault { field: field(&cause.field), fault: Fault::Said(cause.message.clone()) })
                .collect();
            if !faults.is_empty() {
                return WriteError::Invalid(faults);
            }
            let fault = Fault::Said(status.message.clone());
            WriteError::Invalid(vec![FieldFault { field: "body".to_owned(), fault }])
        }
        (500..=599, _) => {
            tracing::warn!(error = %Chain(error), "the API server failed");
            WriteError::Unknown
        }
        _ => {
            tracing::warn!(error = %Chain(error), "the API server did not take what was written");
            WriteError::Refused
        }
    }
}

/// A field of the object, as a field of the body: that has no `spec` around it.
#[must_use]
pub fn field(path: &str) -> String {
    path.strip_prefix("spec.").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn api_error(code: u16, reason: &str, causes: &[(&str, &str)]) -> kube::Error {
        let causes: Vec<Value> =
            causes.iter().map(|(field, message)| json!({"field": field, "message": message})).collect();
        let details = json!({"causes": causes});
        let status = json!({"status": "Failure", "code": code, "reason": reason, "message": "no", "details": details});
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn errors_say_whether_anything_was_written() {
        for (code, reason, wanted) in [
            (409, "AlreadyExists", WriteError::Exists),
            (409, "Conflict", WriteError::Moved),
            (404, "NotFound", WriteError::Moved),
            (403, "Forbidden", WriteError::Refused),
            (500, "InternalError", WriteError::Unknown),
            (504, "Timeout", WriteError::Unknown),
        ] {
            assert_eq!(judged(&api_error(code, reason, &[])), wanted, "{code}");
        }
    }

    #[test]
    fn fields_that_are_wrong_are_named_as_they_stand_in_the_body() {
        let error = api_error(422, "Invalid", &[("spec.quota.cpu", "is no amount")]);
        let fault = FieldFault { field: "quota.cpu".to_owned(), fault: Fault::Said("is no amount".to_owned()) };
        assert_eq!(judged(&error), WriteError::Invalid(vec![fault]));
    }
}
