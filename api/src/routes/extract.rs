//! What handlers take from requests. Whatever does not fit is a problem of ours, not a bare text of the framework's.

use crate::identity::Principal;
use crate::problem::{Fault, FieldFault, Problem, Refusal};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use kube::Resource;
use serde::de::DeserializeOwned;
use std::sync::Arc;

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Problem;

    /// Who is signed in. Where a route was not put behind the sign-in, nobody is: it refuses rather than to let through.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or(Problem::Unauthenticated(Refusal::Nothing))
    }
}

/// A query as it is written, each parameter as often as it stands there.
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| {
            let fault = Fault::Unknown { known: vec!["limit", "continue"] };
            Problem::Invalid(vec![FieldFault { field: "query".to_owned(), fault }])
        })?;
        Ok(Self(pairs))
    }
}

/// Names in a path. What cannot be a name names nothing.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(names) = Path::<T>::from_request_parts(parts, state).await.map_err(|_| Problem::NotFound)?;
        Ok(Self(names))
    }
}

/// The object of that name.
///
/// # Errors
/// [`Problem::NotFound`] where there is none.
pub(crate) fn find<K: Resource>(all: Vec<Arc<K>>, namespace: Option<&str>, name: &str) -> Result<Arc<K>, Problem> {
    all.into_iter()
        .find(|object| {
            let metadata = object.meta();
            metadata.name.as_deref() == Some(name) && metadata.namespace.as_deref() == namespace
        })
        .ok_or(Problem::NotFound)
}
