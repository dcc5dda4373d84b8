//! Who is asking, as the API server sees it.

use super::api::ApiError;
use crate::args::ClusterArgs;
use crate::import::retry::{RequestError, retrying};
use http::Request;
use kube::config::Kubeconfig;
use kube::{Client, Error};
use serde_json::{Value, json};

/// Versions of SelfSubjectReview, newest first: 1.28, 1.27 and 1.26 brought them.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha1"];

/// Who one is: whoever the API server says, by SelfSubjectReview; where it has none (before 1.26), the kubeconfig's user.
///
/// # Errors
/// When the API server does not answer, or nobody can be named.
pub async fn am_i(client: &Client, cluster: &ClusterArgs) -> Result<String, ApiError> {
    if let Some(name) = reviewed(client).await? {
        return Ok(name);
    }
    kubeconfig_user(cluster).ok_or_else(|| ApiError::Refused {
        what: "say who you are".to_owned(),
        why: "it has no SelfSubjectReview (1.26 or newer), and the kubeconfig names no user; give --by".to_owned(),
    })
}

/// Who the API server says one is; nothing where it cannot say.
///
/// # Errors
/// When it does not answer.
pub async fn reviewed(client: &Client) -> Result<Option<String>, ApiError> {
    for version in VERSIONS {
        let body = json!({"apiVersion": format!("authentication.k8s.io/{version}"), "kind": "SelfSubjectReview"});
        let path = format!("/apis/authentication.k8s.io/{version}/selfsubjectreviews");
        let ask = || async {
            let request = Request::post(&path).header(http::header::CONTENT_TYPE, "application/json");
            let request = request.body(body.to_string().into_bytes()).map_err(Error::HttpError)?;
            client.request::<Value>(request).await
        };
        match retrying(ask).await {
            Ok(answer) => {
                let name = answer.pointer("/status/userInfo/username").and_then(Value::as_str);
                return Ok(name.filter(|name| !name.is_empty()).map(str::to_owned));
            }
            // The version is not there, or this person may not ask: the next one, then the kubeconfig.
            Err(RequestError::Kube(Error::Api(status))) if (400..500).contains(&status.code) => {}
            Err(source) => return Err(ApiError::Request { what: "ask the API server who you are".to_owned(), source }),
        }
    }
    Ok(None)
}

/// The context that the command line chooses: its name, its cluster's and its user's.
pub(super) struct Chosen {
    /// The context's name.
    pub(super) context: String,
    /// The cluster's name.
    pub(super) cluster: String,
    /// The user's name.
    pub(super) user: Option<String>,
}

/// The context that the command line chooses; nothing where there is no kubeconfig.
pub(super) fn chosen(args: &ClusterArgs) -> Option<Chosen> {
    let kubeconfig = match &args.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    }
    .ok()?;
    let context = args.context.clone().or(kubeconfig.current_context)?;
    let found = kubeconfig.contexts.into_iter().find(|named| named.name == context)?.context?;
    Some(Chosen { context, cluster: found.cluster, user: found.user })
}

fn kubeconfig_user(args: &ClusterArgs) -> Option<String> {
    chosen(args)?.user.filter(|user| !user.is_empty())
}
