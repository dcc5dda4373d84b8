//! From a container's specification to a process that can be started.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

use super::env::{self, EnvError, Place, References};
use super::pods::Context;
use super::process::{Launch, uid_of};
use super::programs::Programs;
use super::state::PodDir;

/// How long a start waits for the Services to be known, and for each object that it reads.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a container cannot be started yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// The environment cannot be made.
    #[error("the environment cannot be made")]
    Environment(#[from] EnvError),
    /// An object cannot be read.
    #[error("cannot read {kind} `{name}`")]
    Read { kind: &'static str, name: String, source: Box<kube::Error> },
    /// The API server does not answer.
    #[error("the API server has not answered")]
    Silent,
    /// The program cannot be copied to where all users can execute it.
    #[error("cannot copy the program for its user")]
    Copy(#[from] std::io::Error),
}

/// Prepares the launch of a container.
pub(super) async fn launch_of(
    context: &Context,
    pod: &Pod,
    container: &Container,
    program: &Path,
    ip: Ipv4Addr,
    dir: &PodDir,
) -> Result<Launch, LaunchError> {
    let namespace = pod.namespace().unwrap_or_default();
    let mut services = context.services.clone();
    let services = tokio::time::timeout(PATIENCE, services.wait_for(Option::is_some)).await;
    let services = services.ok().and_then(|s| s.ok()?.clone()).ok_or(LaunchError::Silent)?;
    let links = pod.spec.as_ref().and_then(|s| s.enable_service_links) != Some(false);
    let base = env::service_variables(&services, &namespace, links);

    let (config_maps, secrets) = env::referenced(container);
    let mut references = References::default();
    for name in config_maps {
        if let Some(found) = read::<ConfigMap>(context, &namespace, "ConfigMap", &name).await? {
            references.config_maps.insert(name, found.data.unwrap_or_default());
        }
    }
    for name in secrets {
        if let Some(found) = read::<Secret>(context, &namespace, "Secret", &name).await? {
            let text = |(k, v): (String, k8s_openapi::ByteString)| Some((k, String::from_utf8(v.0).ok()?));
            references.secrets.insert(name, found.data.unwrap_or_default().into_iter().filter_map(text).collect());
        }
    }
    let place = Place { ip, host_ip: context.host_ip };
    let variables = env::variables(pod, container, place, base, &references)?;
    let command = command_line(&context.programs, container, program, &variables)?;
    Ok(Launch { command, variables, work: dir.work(&container.name), uid: Some(uid_of(ip)) })
}

/// The node authorizer answers 403 for a moment after a pod was bound to the node; the start is tried again then.
async fn read<K>(context: &Context, namespace: &str, kind: &'static str, name: &str) -> Result<Option<K>, LaunchError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let answer = tokio::time::timeout(PATIENCE, api.get_opt(name)).await.map_err(|_| LaunchError::Silent)?;
    answer.map_err(|e| LaunchError::Read { kind, name: name.to_owned(), source: Box::new(e) })
}

/// The program and its arguments. A `command` takes the place of the image's entry point, which is the program; where it
/// names one of the project's own programs, in whatever directory of the image, that one is meant.
fn command_line(
    programs: &Programs,
    container: &Container,
    program: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<String>, LaunchError> {
    let expand = |text: &String| env::expand(text, variables);
    let mut words: Vec<String> = container.command.iter().flatten().map(expand).collect();
    let meant = match words.first() {
        Some(first) => first.rsplit('/').next().and_then(|name| programs.named(name)),
        None => Some(program.to_owned()),
    };
    if let Some(program) = meant {
        let program = programs.executable(&program)?.display().to_string();
        match words.first_mut() {
            Some(first) => *first = program,
            None => words.push(program),
        }
    }
    words.extend(container.args.iter().flatten().map(expand));
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn commands() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let program = dir.path().join("ledger");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let programs = Programs::new(dir.path(), dir.path().join("copies")).unwrap();
        let variables = BTreeMap::from([("PORT".to_owned(), "80".to_owned())]);
        let line = |mut container: serde_json::Value| {
            container["name"] = json!("c");
            let container = serde_json::from_value(container).unwrap();
            command_line(&programs, &container, &programs.find("tandem.dev/ledger").unwrap(), &variables).unwrap()
        };
        let path = program.canonicalize().unwrap().display().to_string();
        let ledger = path.as_str();
        assert_eq!(line(json!({})), [ledger]);
        assert_eq!(line(json!({"args": ["--port", "$(PORT)"]})), [ledger, "--port", "80"]);
        assert_eq!(line(json!({"command": ["/usr/local/bin/ledger", "serve"], "args": ["x"]})), [ledger, "serve", "x"]);
        assert_eq!(line(json!({"command": ["/bin/sh", "-c", "exit $(PORT)"]})), ["/bin/sh", "-c", "exit 80"]);
    }
}
