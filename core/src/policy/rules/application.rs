//! What follows from an application: what it declares of access, what the gateway lets in, its level.

use serde_json::json;
use tandem_crds::{ApplicationRef, Endpoint, Kind};

use super::{list, sorted, within};
use crate::policy::bound::ApplicationBound;
use crate::policy::rule::{Area, Rule, Text};
use crate::sync::ObjectKey;

/// The rules that hold for one application.
pub(in crate::policy) fn application(unit: &str, environment: &str, name: &str, bound: &ApplicationBound) -> Vec<Rule> {
    let key = ObjectKey::namespaced(Kind::Application, environment, name);
    let mut rules = Vec::new();
    if let Some(level) = bound.mlps_level {
        let says = Text::new(
            format!("The system is of MLPS level {level}; it runs only where the profile serves that level."),
            format!("该系统为等保 {level} 级，只能在满足该等级的安全配置下运行。"),
        );
        let id = format!("protection.application.{name}");
        let rule = Rule::new(Area::Protection, id, ("Level of the application", "应用等级"), says, json!(level));
        rules.push(rule.from(&key, "spec.mlpsLevel"));
    }
    let access = bound.access.clone().unwrap_or_default();
    for (field, others) in [("from", &access.from), ("to", &access.to)] {
        let others: std::collections::BTreeSet<(&str, &ApplicationRef)> =
            others.iter().map(|other| (other.environment.as_deref().unwrap_or(environment), other)).collect();
        let mut seen = std::collections::BTreeSet::new();
        for (place, other) in others {
            if seen.insert((place, &other.application)) {
                rules.push(declared(name, field, place, &other.application).from(&key, format!("spec.access.{field}")));
            }
        }
    }
    let public = bound.endpoints.iter().flatten().filter(|endpoint| !endpoint.hosts.is_empty());
    rules.extend(public.map(|endpoint| gateway(name, endpoint).from(&key, "spec.endpoints")));
    within(rules, unit, Some(environment), Some(name))
}

/// An application that this one may be called by, or may call.
fn declared(name: &str, field: &str, environment: &str, other: &str) -> Rule {
    let (title, says) = if field == "from" {
        (
            ("May be called by", "允许来访"),
            Text::new(
                format!("{environment}/{other} may connect to {name}, if it declares so as well."),
                format!("{environment}/{other} 可访问 {name}，但对方也须声明。"),
            ),
        )
    } else {
        (
            ("May call", "允许访问"),
            Text::new(
                format!("{name} may connect to {environment}/{other}, if that one lets it."),
                format!("{name} 可访问 {environment}/{other}，但须对方允许。"),
            ),
        )
    };
    let id = format!("network.access.{name}.{field}.{environment}.{other}");
    Rule::new(Area::Network, id, title, says, json!({"environment": environment, "application": other}))
}

/// What the gateway lets in.
fn gateway(name: &str, endpoint: &Endpoint) -> Rule {
    let hosts = sorted(&endpoint.hosts);
    let (names, path, port) = (list(&hosts), &endpoint.path, endpoint.port);
    let (en, zh) = match &endpoint.tls_secret {
        Some(secret) => (format!("with the certificate in the Secret {secret}"), format!("证书在密钥 {secret} 中")),
        None => ("with no certificate of its own".to_owned(), "未配置专用证书".to_owned()),
    };
    let says = Text::new(
        format!("The gateway passes {} (path {path}) to port {port} of {name}, {en}.", names.en),
        format!("网关将 {}（路径 {path}）转发至 {name} 的 {port} 端口，{zh}。", names.zh),
    );
    let id = format!("network.gateway.{name}.{}", endpoint.name);
    let value = json!({"hosts": hosts, "path": path, "port": port, "tlsSecret": endpoint.tls_secret});
    Rule::new(Area::Network, id, ("Reached from outside", "对外开放"), says, value)
}
