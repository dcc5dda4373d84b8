//! What of an application breaks its security profile's rules, and which of it is waived.

use std::fmt;

use jiff::Timestamp;
use kube::ResourceExt;
use tandem_crds::{Application, SecurityProfile, Waiver};

use super::World;

/// A rule of a security profile that applications are held to. Only these can be waived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyRule {
    /// The profile serves the system's MLPS level.
    MlpsLevel,
    /// Labels are there.
    RequiredLabels,
    /// Images come from registries that are allowed.
    Registries,
    /// Images are named by their digests.
    RequireDigest,
    /// Host names end as they must.
    HostNameSuffixes,
}

impl PolicyRule {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::MlpsLevel, Self::RequiredLabels, Self::Registries, Self::RequireDigest, Self::HostNameSuffixes];

    /// The path of its field in a profile's specification, by which profiles name it.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::MlpsLevel => "mlpsLevel",
            Self::RequiredLabels => "requiredLabels",
            Self::Registries => "images.registries",
            Self::RequireDigest => "images.requireDigest",
            Self::HostNameSuffixes => "hostNameSuffixes",
        }
    }

    /// The rule of this path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.path() == path)
    }
}

impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// Something of an application that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule.
    pub rule: PolicyRule,
    /// The application's field, such as `spec.components[0].image`.
    pub path: String,
    /// What of the application breaks it, by a name that stays when a list is put in another order: a component, a label's
    /// key, a host name; empty for the whole application.
    pub part: String,
    /// What is wrong and how to mend it.
    pub message: String,
    /// The same in Chinese.
    pub message_zh: String,
}

/// What of an application breaks a profile's rules, waived or not.
#[must_use]
pub fn breaches(application: &Application, profile: &SecurityProfile) -> Vec<Breach> {
    let mut found = Vec::new();
    level(application, profile, &mut found);
    labels(application, profile, &mut found);
    images(application, profile, &mut found);
    hosts(application, profile, &mut found);
    found
}

/// What of an application breaks the rules of the profile that its environment is under, and is not waived. Empty where
/// there is no environment or no profile: that is another problem.
#[must_use]
pub fn violations(application: &Application, world: &World<'_>) -> Vec<Breach> {
    let namespace = application.namespace().unwrap_or_default();
    let profile = world.environments.get(&namespace).and_then(|environment| world.profile_of(environment));
    let Some(profile) = profile else { return Vec::new() };
    let name = application.name_any();
    let waived = |rule| {
        let waivers = &profile.spec.waivers;
        waivers.iter().any(|waiver| concerns(waiver, rule, &namespace, &name) && in_force(waiver, world.now))
    };
    let mut found = breaches(application, profile);
    found.retain(|breach| !waived(breach.rule));
    found
}

/// Whether a waiver is of this rule and application.
fn concerns(waiver: &Waiver, rule: PolicyRule, environment: &str, application: &str) -> bool {
    waiver.rule == rule.path()
        && waiver.environment == environment
        && waiver.application.as_ref().is_none_or(|named| named == application)
}

/// Whether a waiver has not ended. One whose end is no time waives nothing.
#[must_use]
pub fn in_force(waiver: &Waiver, now: Timestamp) -> bool {
    waiver.until.parse::<Timestamp>().is_ok_and(|until| until > now)
}

fn level(application: &Application, profile: &SecurityProfile, found: &mut Vec<Breach>) {
    let (highest, named) = (profile.spec.mlps_level, profile.name_any());
    if let Some(level) = application.spec.mlps_level.filter(|level| *level > highest) {
        found.push(Breach {
            rule: PolicyRule::MlpsLevel,
            path: "spec.mlpsLevel".to_owned(),
            part: String::new(),
            message: format!(
                "the system is of MLPS level {level}, but security profile {named} serves level {highest} at most; put it \
                 into an environment whose profile serves level {level}"
            ),
            message_zh: format!(
                "该系统的等级保护级别为{level}级，而安全策略 {named} 最高只服务{highest}级；请迁入其安全策略服务{level}级的环境"
            ),
        });
    }
}

fn labels(application: &Application, profile: &SecurityProfile, found: &mut Vec<Breach>) {
    let named = profile.name_any();
    for key in &profile.spec.required_labels {
        let value = application.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        if value.is_none_or(String::is_empty) {
            found.push(Breach {
                rule: PolicyRule::RequiredLabels,
                path: "metadata.labels".to_owned(),
                part: key.clone(),
                message: format!("label {key} is missing: security profile {named} requires it; give it a value"),
                message_zh: format!("缺少标签 {key}：安全策略 {named} 要求必须填写；请补上它的值"),
            });
        }
    }
}

fn images(application: &Application, profile: &SecurityProfile, found: &mut Vec<Breach>) {
    let (rules, named) = (&profile.spec.images, profile.name_any());
    for (n, component) in application.spec.components.iter().flatten().enumerate() {
        let image = &component.image;
        let registries = &rules.registries;
        let mut broken = |rule, message, message_zh| {
            let (path, part) = (format!("spec.components[{n}].image"), component.name.clone());
            found.push(Breach { rule, path, part, message, message_zh });
        };
        if !registries.is_empty() && !registries.iter().any(|registry| comes_from(image, registry)) {
            broken(
                PolicyRule::Registries,
                format!(
                    "'{image}' comes from no registry that security profile {named} allows; take it from {}",
                    registries.join(" or ")
                ),
                format!(
                    "镜像“{image}”不来自安全策略 {named} 允许的镜像仓库；请改用 {} 中的镜像",
                    registries.join(" 或 ")
                ),
            );
        }
        if rules.require_digest && !has_digest(image) {
            broken(
                PolicyRule::RequireDigest,
                format!(
                    "'{image}' has no digest: security profile {named} requires one; write it as <image>@sha256:<64 \
                     hexadecimal digits>"
                ),
                format!("镜像“{image}”没有摘要：安全策略 {named} 要求必须有；请写成 <镜像>@sha256:<64 位十六进制数>"),
            );
        }
    }
}

fn hosts(application: &Application, profile: &SecurityProfile, found: &mut Vec<Breach>) {
    let (suffixes, named) = (&profile.spec.host_name_suffixes, profile.name_any());
    for (n, endpoint) in application.spec.endpoints.iter().flatten().enumerate() {
        for (m, host) in endpoint.hosts.iter().enumerate() {
            if !suffixes.is_empty() && !suffixes.iter().any(|suffix| ends_in(host, suffix)) {
                found.push(Breach {
                    rule: PolicyRule::HostNameSuffixes,
                    path: format!("spec.endpoints[{n}].hosts[{m}]"),
                    // One host name may stand in several endpoints.
                    part: format!("{}/{host}", endpoint.name),
                    message: format!(
                        "{host} is no host name that security profile {named} allows; it must end in {}",
                        suffixes.join(" or ")
                    ),
                    message_zh: format!(
                        "安全策略 {named} 不允许域名 {host}；域名必须以 {} 结尾",
                        suffixes.join(" 或 ")
                    ),
                });
            }
        }
    }
}

/// Whether an image is below a registry, or a path in it. An image that names no registry is the public hub's.
fn comes_from(image: &str, registry: &str) -> bool {
    let first = image.split_once('/').map(|(first, _)| first);
    let named = first.is_some_and(|first| first.contains(['.', ':']) || first == "localhost");
    let full = match (named, first) {
        (true, _) => image.to_owned(),
        (false, Some(_)) => format!("docker.io/{image}"),
        (false, None) => format!("docker.io/library/{image}"),
    };
    let registry = registry.trim_end_matches('/');
    // With a slash, so that `registry.example` does not let in `registry.example.evil`; and a path must not climb out.
    full.strip_prefix(registry).is_some_and(|rest| rest.starts_with('/') && !rest.contains("/.."))
        || full.strip_prefix(registry).is_some_and(|rest| registry.contains('/') && rest.starts_with([':', '@']))
}

fn has_digest(image: &str) -> bool {
    image.rsplit_once("@sha256:").is_some_and(|(name, digest)| {
        !name.is_empty() && digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn ends_in(host: &str, suffix: &str) -> bool {
    let suffix = suffix.trim_start_matches('.');
    host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_one_name() {
        for rule in PolicyRule::ALL {
            assert_eq!(PolicyRule::of(rule.path()), Some(rule));
        }
        assert_eq!(PolicyRule::of("podSecurity"), None);
    }

    #[test]
    fn the_schema_names_the_rules_that_can_be_waived() {
        let schema = serde_json::to_value(schemars::schema_for!(Waiver)).unwrap();
        let named: Vec<&str> =
            schema["properties"]["rule"]["enum"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
        assert_eq!(named, PolicyRule::ALL.map(PolicyRule::path));
    }

    #[test]
    fn a_registry_lets_in_what_is_below_it_only() {
        for (image, registry) in [
            ("registry.example/data/hall:1", "registry.example"),
            ("registry.example/data/hall:1", "registry.example/data"),
            ("registry.example/data/hall:1", "registry.example/data/"),
            ("registry.example/data/hall:1", "registry.example/data/hall"),
            ("registry.example:5000/hall", "registry.example:5000"),
            ("nginx:1.25", "docker.io"),
            ("bitnami/nginx", "docker.io/bitnami"),
        ] {
            assert!(comes_from(image, registry), "{image} {registry}");
        }
        for (image, registry) in [
            ("registry.example.evil/hall", "registry.example"),
            ("registry.example:5000/hall", "registry.example"),
            ("registry.example/database/hall", "registry.example/data"),
            ("registry.example/data/../other/hall", "registry.example/data"),
            ("nginx", "registry.example"),
            ("registry.example", "registry.example"),
        ] {
            assert!(!comes_from(image, registry), "{image} {registry}");
        }
    }

    #[test]
    fn a_digest_is_whole() {
        let digest = "a".repeat(64);
        assert!(has_digest(&format!("r/i@sha256:{digest}")));
        assert!(has_digest(&format!("r/i:1@sha256:{digest}")));
        for image in [
            "r/i:1".to_owned(),
            format!("@sha256:{digest}"),
            "r/i@sha256:abc".to_owned(),
            format!("r/i@sha256:{}", "G".repeat(64)),
        ] {
            assert!(!has_digest(&image), "{image}");
        }
    }

    #[test]
    fn a_host_name_ends_in_a_suffix_at_a_dot() {
        assert!(ends_in("hall.gov.example", "gov.example"));
        assert!(ends_in("hall.gov.example", ".gov.example"));
        assert!(ends_in("gov.example", "gov.example"));
        assert!(!ends_in("evilgov.example", "gov.example"));
    }
}
