//! What Tandem needs in a cluster before its operators can run: definitions, rights, labelled namespaces.

use crate::node;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tandem_crds::manifests::{RuleSet, files};

const MANAGER: &str = "tandem-lab";
const LOOK: Duration = Duration::from_millis(200);
/// How long a definition may take to be established, and the first objects to be accepted.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why something could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A kubeconfig cannot be used.
    #[error("the kubeconfig {path} cannot be used: {why}")]
    Kubeconfig {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// The API server did not take something.
    #[error("the API server did not take {what}")]
    Api {
        /// What.
        what: String,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// A manifest cannot be read.
    #[error("{path} cannot be read: {why}")]
    Manifest {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// Something did not happen in time.
    #[error("{0} took too long")]
    TooLong(String),
}

/// A client from a kubeconfig.
///
/// # Errors
/// When it cannot be used.
pub async fn client(kubeconfig: &Path) -> Result<Client, InstallError> {
    let unusable = |why: String| InstallError::Kubeconfig { path: kubeconfig.display().to_string(), why };
    let read = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(error.to_string()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(error.to_string()))?;
    Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

/// Waits until an API server is ready; says whether it became so.
pub async fn wait_for_api_server(kubeconfig: &Path, deadline: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < deadline {
        if let Ok(client) = client(kubeconfig).await
            && let Ok(request) = http_get("/readyz")
            && client.request_text(request).await.is_ok_and(|text| text == "ok")
        {
            return true;
        }
        tokio::time::sleep(LOOK).await;
    }
    false
}

fn http_get(path: &str) -> Result<http::Request<Vec<u8>>, http::Error> {
    http::Request::get(path).body(Vec::new())
}

/// A file of `lab/manifests`, compiled in: the folder that this was built in need not be there any more.
macro_rules! manifest {
    ($name:literal) => {
        ($name, include_str!(concat!("../manifests/", $name)))
    };
}

/// What Tandem's programs may do.
const RIGHTS: [(&str, &str); 2] = [manifest!("operator-rbac.yaml"), manifest!("api-rbac.yaml")];

/// What the lab's people may do.
const PEOPLE: (&str, &str) = manifest!("lab-admins.yaml");

/// What belongs to the authority.
const AUTHORITY: [(&str, &str); 2] =
    [manifest!("authority/data-centres.yaml"), manifest!("authority/security-profiles.yaml")];

/// Makes a cluster of a site's control plane: the rights of its node and of the lab's people, the namespaces of what every
/// cluster has, and a few volumes in the node's folder.
///
/// # Errors
/// When the API server does not take something.
pub async fn cluster(kubeconfig: &Path, node_dir: &Path) -> Result<(), InstallError> {
    let client = client(kubeconfig).await?;
    apply_text(&client, node::RBAC, "the node's rights").await?;
    apply_text(&client, PEOPLE.1, PEOPLE.0).await?;
    for (namespace, role) in [("kube-system", "dns"), ("tandem-gateway", "gateway")] {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"tandem.dev/role": role}},
        });
        apply(&client, &object).await?;
    }
    for object in node::offered_volumes(node_dir) {
        apply(&client, &object).await?;
    }
    Ok(())
}

/// Installs what Tandem's programs need in a cluster.
///
/// # Errors
/// When the API server does not take something.
pub async fn tandem(kubeconfig: &Path, minor: u32) -> Result<(), InstallError> {
    let client = client(kubeconfig).await?;
    let set = RuleSet::for_server(minor);
    let definitions = files(set).map_err(|error| InstallError::Manifest {
        path: format!("the definitions ({})", set.folder()),
        why: error.to_string(),
    })?;
    for (name, text) in definitions {
        apply_text(&client, &text, &name).await?;
    }
    for (name, text) in RIGHTS {
        apply_text(&client, text, name).await?;
    }
    established(&client).await
}

/// Applies what belongs to the authority: data centres and security profiles.
///
/// # Errors
/// When the API server does not take something.
pub async fn authority(kubeconfig: &Path) -> Result<(), InstallError> {
    let client = client(kubeconfig).await?;
    for (name, text) in AUTHORITY {
        apply_text(&client, text, name).await?;
    }
    Ok(())
}

/// Gives a site's operators what they show to the data service there.
///
/// # Errors
/// When a file cannot be read, or the API server does not take something.
pub async fn shown_to_data(kubeconfig: &Path, pki: &Path) -> Result<(), InstallError> {
    let client = client(kubeconfig).await?;
    let read = |name: &str| {
        let path = pki.join(name);
        let unreadable =
            |error: std::io::Error| InstallError::Manifest { path: path.display().to_string(), why: error.to_string() };
        fs::read_to_string(&path).map_err(unreadable)
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tandem-system"}});
    apply(&client, &namespace).await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": "hook-operator", "namespace": "tandem-system"},
        "stringData": {"tls.crt": read("hook-operator.crt")?, "tls.key": read("hook-operator.key")?},
    });
    apply(&client, &secret).await
}

async fn apply_text(client: &Client, text: &str, from: &str) -> Result<(), InstallError> {
    for object in &documents(text, from)? {
        apply(client, object).await?;
    }
    Ok(())
}

/// The objects of a manifest.
pub(crate) fn documents(text: &str, from: &str) -> Result<Vec<Value>, InstallError> {
    let objects: Result<Vec<Value>, _> = serde_yaml::Deserializer::from_str(text).map(Value::deserialize).collect();
    let mut objects =
        objects.map_err(|error| InstallError::Manifest { path: from.to_owned(), why: error.to_string() })?;
    objects.retain(|object| !object.is_null());
    Ok(objects)
}

pub(crate) async fn apply(client: &Client, object: &Value) -> Result<(), InstallError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("/kind")));
    let name = text("/metadata/name");
    let api: Api<DynamicObject> = match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let started = Instant::now();
    loop {
        match api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await {
            Ok(_) => return Ok(()),
            // A kind is served some moments after its definition is established, a namespace some after the server's start.
            Err(kube::Error::Api(status)) if status.code == 404 && started.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK).await;
            }
            Err(source) => {
                let what = format!("{} {name}", text("/kind"));
                return Err(InstallError::Api { what, source: Box::new(source) });
            }
        }
    }
}

async fn established(client: &Client) -> Result<(), InstallError> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let started = Instant::now();
    loop {
        let list = definitions.list(&ListParams::default()).await.map_err(|source| InstallError::Api {
            what: "a list of definitions".to_owned(),
            source: Box::new(source),
        })?;
        let established = |definition: &&CustomResourceDefinition| {
            let conditions = definition.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|c| c.type_ == "Established" && c.status == "True")
        };
        let own = list.items.iter().filter(|definition| definition.spec.group == tandem_crds::GROUP);
        if own.filter(established).count() == tandem_crds::manifests::definitions().len() {
            return Ok(());
        }
        if started.elapsed() >= PATIENCE {
            return Err(InstallError::TooLong("establishing the definitions".to_owned()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until a site's own DataCentre is Ready: then its operators lead, publish or follow, and report.
///
/// # Errors
/// When that does not happen in time.
pub async fn wait_for_operator(kubeconfig: &Path, site: &str, deadline: Duration) -> Result<(), InstallError> {
    let client = client(kubeconfig).await?;
    let gvk = GroupVersionKind::gvk(tandem_crds::GROUP, tandem_crds::VERSION, "DataCentre");
    let api: Api<DynamicObject> =
        Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&gvk, "datacentres"));
    let namespaces: Api<Namespace> = Api::all(client);
    let started = Instant::now();
    while started.elapsed() < deadline {
        let found = api.get_opt(site).await.ok().flatten();
        let conditions = found.as_ref().and_then(|object| object.data.pointer("/status/conditions")?.as_array());
        if conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"))
            && namespaces.get_opt("default").await.ok().flatten().is_some()
        {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Err(InstallError::TooLong(format!("the operators of {site} (their logs: log/operator-*.log in its folder)")))
}
