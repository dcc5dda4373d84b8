//! A container's environment, command line and the objects that they need.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Container, ObjectFieldSelector, Pod};
use kube::ResourceExt;

use super::services::{ClusterService, Key};

/// Why a container's environment could not be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum EnvError {
    /// A ConfigMap or Secret, or a key in it, is missing.
    #[error("{kind} `{name}` has no key `{key}`, or does not exist")]
    Missing { kind: &'static str, name: String, key: String },
    /// A whole ConfigMap or Secret is missing.
    #[error("{kind} `{name}` does not exist")]
    MissingObject { kind: &'static str, name: String },
    /// A field that the lab node does not know.
    #[error("variable `{name}`: field `{field}` is not known to the lab node")]
    Field { name: String, field: String },
    /// A source that the lab node does not know.
    #[error("variable `{name}`: resourceFieldRef and other rare sources are not known to the lab node")]
    Source { name: String },
}

/// Text values of the ConfigMaps and Secrets that a container names, by name.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) config_maps: BTreeMap<String, BTreeMap<String, String>>,
    pub(super) secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// The names of the ConfigMaps and Secrets that a container names.
pub(super) fn referenced(container: &Container) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        config_maps.extend(source.config_map_key_ref.iter().map(|r| r.name.clone()));
        secrets.extend(source.secret_key_ref.iter().map(|r| r.name.clone()));
    }
    for source in container.env_from.iter().flatten() {
        config_maps.extend(source.config_map_ref.iter().map(|r| r.name.clone()));
        secrets.extend(source.secret_ref.iter().map(|r| r.name.clone()));
    }
    (config_maps, secrets)
}

/// Where a pod is, as far as its environment tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) ip: Ipv4Addr,
    pub(super) host_ip: Ipv4Addr,
}

/// The variables of the Services that a pod sees: those of its namespace, and `kubernetes` of `default`. These are the
/// ones that the kubelet sets, the old Docker links included.
pub(super) fn service_variables(
    services: &BTreeMap<Key, ClusterService>,
    namespace: &str,
    links: bool,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let own = services.iter().filter(|((ns, _), _)| links && ns == namespace);
    let master = services.iter().filter(|((ns, name), _)| ns == "default" && name == "kubernetes");
    for ((_, name), service) in own.chain(master) {
        let prefix = upper(name);
        let Some(first) = service.ports.first() else { continue };
        let address = service.address;
        let url = |p: &super::services::Port| format!("{}://{address}:{}", p.transport.name(), p.number);
        all.insert(format!("{prefix}_SERVICE_HOST"), address.to_string());
        all.insert(format!("{prefix}_SERVICE_PORT"), first.number.to_string());
        all.insert(format!("{prefix}_PORT"), url(first));
        for port in &service.ports {
            if !port.name.is_empty() {
                all.insert(format!("{prefix}_SERVICE_PORT_{}", upper(&port.name)), port.number.to_string());
            }
            let link = format!("{prefix}_PORT_{}_{}", port.number, port.transport.name().to_uppercase());
            all.insert(format!("{link}_PROTO"), port.transport.name().to_owned());
            all.insert(format!("{link}_PORT"), port.number.to_string());
            all.insert(format!("{link}_ADDR"), address.to_string());
            all.insert(link, url(port));
        }
    }
    all
}

fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

/// All variables of a container. `base` are those of Services; `POD_IP` comes on top; the container's own win.
pub(super) fn variables(
    pod: &Pod,
    container: &Container,
    place: Place,
    base: BTreeMap<String, String>,
    references: &References,
) -> Result<BTreeMap<String, String>, EnvError> {
    let mut all = base;
    all.insert("POD_IP".into(), place.ip.to_string());
    all.insert("HOSTNAME".into(), pod.name_any());
    all.insert("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    for source in container.env_from.iter().flatten() {
        let (kind, from, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(r), _) => ("ConfigMap", &references.config_maps, &r.name, r.optional),
            (None, Some(r)) => ("Secret", &references.secrets, &r.name, r.optional),
            (None, None) => continue,
        };
        let prefix = source.prefix.as_deref().unwrap_or_default();
        match from.get(name) {
            Some(values) => all.extend(values.iter().map(|(k, v)| (format!("{prefix}{k}"), v.clone()))),
            None if optional == Some(true) => {}
            None => return Err(EnvError::MissingObject { kind, name: name.clone() }),
        }
    }
    for variable in container.env.iter().flatten() {
        let name = variable.name.clone();
        let Some(source) = &variable.value_from else {
            let value = expand(variable.value.as_deref().unwrap_or_default(), &all);
            all.insert(name, value);
            continue;
        };
        let (kind, from, object, key, optional) =
            match (&source.config_map_key_ref, &source.secret_key_ref, &source.field_ref) {
                (Some(r), _, _) => ("ConfigMap", &references.config_maps, &r.name, &r.key, r.optional),
                (_, Some(r), _) => ("Secret", &references.secrets, &r.name, &r.key, r.optional),
                (_, _, Some(field)) => {
                    all.insert(name.clone(), downward(pod, &name, field, place)?);
                    continue;
                }
                _ => return Err(EnvError::Source { name }),
            };
        match from.get(object).and_then(|values| values.get(key)) {
            Some(value) => {
                all.insert(name, value.clone());
            }
            None if optional == Some(true) => {}
            None => return Err(EnvError::Missing { kind, name: object.clone(), key: key.clone() }),
        }
    }
    Ok(all)
}

/// A field of the pod itself (downward API).
fn downward(pod: &Pod, variable: &str, field: &ObjectFieldSelector, place: Place) -> Result<String, EnvError> {
    let path = field.field_path.as_str();
    let quoted = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
    if let Some(key) = quoted("metadata.labels['") {
        return Ok(pod.labels().get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = quoted("metadata.annotations['") {
        return Ok(pod.annotations().get(key).cloned().unwrap_or_default());
    }
    let spec = |f: fn(&k8s_openapi::api::core::v1::PodSpec) -> Option<&String>| {
        pod.spec.as_ref().and_then(f).cloned().unwrap_or_default()
    };
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => spec(|s| s.node_name.as_ref()),
        "spec.serviceAccountName" => spec(|s| s.service_account_name.as_ref()),
        "status.podIP" | "status.podIPs" => place.ip.to_string(),
        "status.hostIP" | "status.hostIPs" => place.host_ip.to_string(),
        _ => return Err(EnvError::Field { name: variable.to_owned(), field: path.to_owned() }),
    })
}

/// Puts variables in for `$(NAME)`; `$$` is a dollar; what is not known stays as it is (as in Kubernetes).
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|t| t.split_once(')')) {
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&rest[at..at + name.len() + 3]),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::services::{Port, Transport};
    use super::*;

    const PLACE: Place = Place { ip: Ipv4Addr::new(10, 0, 0, 20), host_ip: Ipv4Addr::new(10, 0, 0, 1) };

    fn make(container: Value, references: &References) -> Result<BTreeMap<String, String>, EnvError> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"tandem.dev/unit": "police"}},
            "spec": {"nodeName": "node", "containers": []}}))
        .unwrap();
        let mut container = container;
        container["name"] = json!("c");
        variables(&pod, &serde_json::from_value(container).unwrap(), PLACE, BTreeMap::new(), references)
    }

    #[test]
    fn values_and_fields() {
        let all = make(
            json!({"env": [
                {"name": "A", "value": "1"},
                {"name": "B", "value": "$(A)-$(POD_IP)-$(NO)-$$(A)-$"},
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "U", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
                {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tandem.dev/unit']"}}}]}),
            &References::default(),
        )
        .unwrap();
        assert_eq!(all["B"], "1-10.0.0.20-$(NO)-$(A)-$");
        assert_eq!((all["N"].as_str(), all["U"].as_str(), all["NODE"].as_str()), ("p", "u", "node"));
        assert_eq!(
            (all["HOST"].as_str(), all["L"].as_str(), all["POD_IP"].as_str()),
            ("10.0.0.1", "police", "10.0.0.20")
        );
        let unknown = make(
            json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}),
            &References::default(),
        );
        assert_eq!(unknown, Err(EnvError::Field { name: "A".into(), field: "spec.x".into() }));
    }

    #[test]
    fn objects_are_needed_unless_optional() {
        let container = json!({"envFrom": [{"prefix": "P_", "configMapRef": {"name": "all"}}], "env": [
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
            {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "o", "key": "k", "optional": true}}}]});
        let typed: Container =
            serde_json::from_value(json!({"name": "c", "env": container["env"], "envFrom": container["envFrom"]}))
                .unwrap();
        let (config_maps, secrets) = referenced(&typed);
        assert_eq!(config_maps.into_iter().collect::<Vec<_>>(), ["all", "o"]);
        assert_eq!(secrets.into_iter().collect::<Vec<_>>(), ["s"]);

        let mut references = References::default();
        references.config_maps.insert("all".into(), BTreeMap::from([("X".into(), "y".into())]));
        let missing = make(container.clone(), &references).unwrap_err();
        assert_eq!(missing.to_string(), "Secret `s` has no key `password`, or does not exist");
        references.secrets.insert("s".into(), BTreeMap::from([("password".into(), "p".into())]));
        let all = make(container, &references).unwrap();
        assert_eq!((all["P_X"].as_str(), all["S"].as_str(), all.get("O")), ("y", "p", None));
    }

    #[test]
    fn services_of_the_namespace_and_the_api_server() {
        let port = |name: &str, number| Port { name: name.into(), transport: Transport::Tcp, number };
        let service = |n, ports| ClusterService { address: Ipv4Addr::new(10, 1, 0, n), ports };
        let services = BTreeMap::from([
            (("default".into(), "kubernetes".into()), service(1, vec![port("https", 443)])),
            (("ns".into(), "my-db".into()), service(2, vec![port("", 5432)])),
            (("other".into(), "x".into()), service(3, vec![port("", 1)])),
        ]);
        let all = service_variables(&services, "ns", true);
        assert_eq!(all["KUBERNETES_SERVICE_HOST"], "10.1.0.1");
        assert_eq!(all["KUBERNETES_SERVICE_PORT_HTTPS"], "443");
        assert_eq!(all["MY_DB_SERVICE_PORT"], "5432");
        assert_eq!(all["MY_DB_PORT_5432_TCP_ADDR"], "10.1.0.2");
        assert_eq!(all["MY_DB_PORT"], "tcp://10.1.0.2:5432");
        assert!(!all.contains_key("X_SERVICE_HOST"));
        assert!(!service_variables(&services, "ns", false).contains_key("MY_DB_SERVICE_HOST"));
    }
}
