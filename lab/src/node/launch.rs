//! From a container's specification to a process that can be started.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret};
use kube::{Api, ResourceExt};
use serde::de::DeserializeOwned;

use super::contain::{Contained, Mount};
use super::env::{self, EnvError, Place, References};
use super::isolate::LABEL;
use super::pods::Context;
use super::process::{Launch, uid_of};
use super::programs::{Programs, beside};
use super::services::{ClusterService, Key};
use super::state::PodDir;
use super::volumes::{VolumeError, Volumes};

/// How long a start waits for the Services to be known, and for each object that it reads.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why a container cannot be started yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    /// The environment cannot be made.
    #[error("the environment cannot be made")]
    Environment(#[from] EnvError),
    /// A volume cannot be had.
    #[error("a volume cannot be had")]
    Volume(#[from] VolumeError),
    /// An object cannot be read.
    #[error("cannot read {kind} `{name}`")]
    Read { kind: &'static str, name: String, source: Box<kube::Error> },
    /// The API server does not answer.
    #[error("the API server has not answered")]
    Silent,
    /// A pod of a drill is not kept apart from the others yet.
    #[error("the pod is of a drill, and is not kept apart from the others yet")]
    NotIsolated,
    /// The program cannot be copied to where all users can execute it, or a file that it needs cannot be written.
    #[error("cannot make the program ready for its user")]
    Prepare(#[from] std::io::Error),
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
    if let Some(drill) = pod.labels().get(LABEL) {
        let mut isolated = context.isolated.clone();
        let apart = isolated.wait_for(|isolated| isolated.get(&ip) == Some(drill));
        let waited = tokio::time::timeout(PATIENCE, apart).await;
        waited.ok().and_then(Result::ok).ok_or(LaunchError::NotIsolated)?;
    }
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
    let command = words(container, &variables);
    let work = dir.work(&container.name);
    if container.volume_mounts.is_none() {
        let command = on_the_machine(&context.programs, program, command)?;
        return Ok(Launch { command, variables, work, uid: Some(uid_of(ip)), contained: None });
    }
    let volumes = Volumes { context, pod, ip, dir };
    let mut mounts = volumes.of(container).await?;
    std::fs::write(dir.hosts(), hosts(pod, ip, &services))?;
    mounts.push(Mount { from: dir.hosts(), to: "/etc/hosts".into(), writable: false });
    let (command, meant) = in_a_container(program, command);
    mounts.extend(meant);
    let contained = Contained { root: dir.root(&container.name), mounts, user: uid_of(ip) };
    Ok(Launch { command, variables, work, uid: None, contained: Some(contained) })
}

/// There is no DNS in the lab: a container with a file system of its own knows the Services that there are at its start.
fn hosts(pod: &Pod, ip: Ipv4Addr, services: &BTreeMap<Key, ClusterService>) -> String {
    let mut text = format!("127.0.0.1 localhost\n{ip} {}\n", pod.name_any());
    // The pod's own come first: the first that has a name counts.
    for alias in pod.spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten()) {
        text += &format!("{} {}\n", alias.ip, alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join(" "));
    }
    for ((namespace, name), service) in services {
        let address = service.address;
        text += &format!("{address} {name}.{namespace}.svc {name}.{namespace}.svc.cluster.local {name}.{namespace}\n");
    }
    text
}

/// The node authorizer answers 403 for a moment after a pod was bound to the node; the start is tried again then.
pub(super) async fn read<K>(
    context: &Context,
    namespace: &str,
    kind: &'static str,
    name: &str,
) -> Result<Option<K>, LaunchError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let answer = tokio::time::timeout(PATIENCE, api.get_opt(name)).await.map_err(|_| LaunchError::Silent)?;
    answer.map_err(|e| LaunchError::Read { kind, name: name.to_owned(), source: Box::new(e) })
}

/// The command and its arguments; without a `command`, the arguments alone.
fn words(container: &Container, variables: &BTreeMap<String, String>) -> (Option<Vec<String>>, Vec<String>) {
    let expand = |text: &String| env::expand(text, variables);
    let command = container.command.as_ref().map(|command| command.iter().map(expand).collect());
    (command, container.args.iter().flatten().map(expand).collect())
}

/// The program that a command means: a `command` takes the place of the image's entry point, which is the program; where it
/// names one of the project's own programs, in whatever directory of the image, that one is meant.
fn meant(program: &Path, command: &[String]) -> Option<PathBuf> {
    match command.first() {
        Some(first) => first.rsplit('/').next().and_then(|name| beside(program, name)),
        None => Some(program.to_owned()),
    }
}

/// The command as the machine runs it.
fn on_the_machine(
    programs: &Programs,
    program: &Path,
    (command, arguments): (Option<Vec<String>>, Vec<String>),
) -> Result<Vec<String>, LaunchError> {
    let mut words = command.unwrap_or_default();
    if let Some(program) = meant(program, &words) {
        let program = programs.executable(&program)?.display().to_string();
        match words.first_mut() {
            Some(first) => *first = program,
            None => words.push(program),
        }
    }
    words.extend(arguments);
    Ok(words)
}

/// The command as a container with a file system of its own runs it, and the program in there.
fn in_a_container(
    program: &Path,
    (command, arguments): (Option<Vec<String>>, Vec<String>),
) -> (Vec<String>, Option<Mount>) {
    let mut words = command.unwrap_or_default();
    let mut mount = None;
    if let Some(from) = meant(program, &words) {
        let name = from.file_name().map(PathBuf::from).unwrap_or_default();
        let to = Path::new("/usr/bin").join(name);
        match words.first_mut() {
            Some(first) => *first = to.display().to_string(),
            None => words.push(to.display().to_string()),
        }
        mount = Some(Mount { from, to, writable: false });
    }
    words.extend(arguments);
    (words, mount)
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
        let programs = Programs::new(dir.path(), dir.path().join("copies"), dir.path().join("images")).unwrap();
        let variables = BTreeMap::from([("PORT".to_owned(), "80".to_owned())]);
        let line = |mut container: serde_json::Value| {
            container["name"] = json!("c");
            let container = serde_json::from_value(container).unwrap();
            let ledger = programs.find("tandem.dev/ledger").unwrap();
            on_the_machine(&programs, &ledger, words(&container, &variables)).unwrap()
        };
        let path = program.canonicalize().unwrap().display().to_string();
        let ledger = path.as_str();
        assert_eq!(line(json!({})), [ledger]);
        assert_eq!(line(json!({"args": ["--port", "$(PORT)"]})), [ledger, "--port", "80"]);
        assert_eq!(line(json!({"command": ["/usr/local/bin/ledger", "serve"], "args": ["x"]})), [ledger, "serve", "x"]);
        assert_eq!(line(json!({"command": ["/bin/sh", "-c", "exit $(PORT)"]})), ["/bin/sh", "-c", "exit 80"]);
    }

    #[test]
    fn a_container_has_its_program_where_images_have_it() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["tandem", "tandem-operator"] {
            let program = dir.path().join(name);
            std::fs::write(&program, "").unwrap();
            std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let program = dir.path().join("tandem");
        let command = Some(vec!["/opt/tandem-operator".to_owned()]);
        let (words, mount) = in_a_container(&program, (command, vec!["--config=c".to_owned()]));
        assert_eq!(words, ["/usr/bin/tandem-operator", "--config=c"]);
        let mount = mount.unwrap();
        assert_eq!((mount.from, mount.writable), (dir.path().join("tandem-operator"), false));
        let (words, mount) = in_a_container(&program, (None, Vec::new()));
        assert_eq!((words, mount.unwrap().from), (vec!["/usr/bin/tandem".to_owned()], program));
    }

    #[test]
    fn a_container_knows_the_services() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}})).unwrap();
        let service = ClusterService { address: Ipv4Addr::new(10, 0, 16, 1), ports: Vec::new() };
        let services = BTreeMap::from([(("default".to_owned(), "kubernetes".to_owned()), service)]);
        let text = hosts(&pod, Ipv4Addr::new(10, 0, 32, 20), &services);
        assert!(text.contains("10.0.32.20 p\n"), "{text}");
        assert!(text.contains("10.0.16.1 kubernetes.default.svc kubernetes.default.svc.cluster.local"), "{text}");
    }
}
