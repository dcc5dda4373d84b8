//! Applications.

use kube::ResourceExt;
use tandem_crds::status::Reason;
use tandem_crds::{Application, ApplicationRef, Environment, SecurityProfile};

use super::{Problem, World, budget, components, dependencies, endpoints, fields};
use crate::names;

/// An application and what it is held to.
pub(super) struct Subject<'a> {
    pub(super) application: &'a Application,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) world: &'a World<'a>,
}

impl Subject<'_> {
    /// The other published applications of the same namespace.
    pub(super) fn neighbours(&self) -> impl Iterator<Item = &Application> {
        let first = (self.namespace.to_owned(), String::new());
        self.world
            .applications
            .range(first..)
            .take_while(|((namespace, _), _)| namespace == self.namespace)
            .filter(|((_, name), _)| name != self.name)
            .map(|(_, application)| application)
    }
}

/// Everything that is wrong with an application.
#[must_use]
pub fn application(application: &Application, world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (namespace, name) = (application.namespace().unwrap_or_default(), application.name_any());
    fields::name(Some(&name), &mut problems);
    let subject = Subject { application, namespace: &namespace, name: &name, world };
    let environment = world.environments.get(&namespace);
    match environment {
        None => {
            let message = format!(
                "the namespace {namespace} is no environment's: create the application in the namespace of an \
                 Environment, or create the Environment {namespace} first"
            );
            problems.push(Problem::new(Reason::NotFound, "metadata.namespace", message));
        }
        Some(environment) => {
            suspended(&subject, environment, &mut problems);
            marked(&subject, environment, &mut problems);
            match world.profile_of(environment) {
                Some(profile) => policy(&subject, profile, &mut problems),
                None => problems.push(Problem::new(
                    Reason::NotFound,
                    "",
                    format!(
                        "environment {namespace} has no security profile that exists: name one in the Environment's or \
                         its Unit's spec.securityProfile"
                    ),
                )),
            }
        }
    }
    budget::application_fits(application, environment.map(|found| (namespace.as_str(), found)), &mut problems);
    components::check(&subject, &mut problems);
    endpoints::check(&subject, &mut problems);
    group(&subject, &mut problems);
    access(application, &mut problems);
    dependencies::check(&subject, &mut problems);
    problems
}

/// What is there already goes on in a suspended unit.
fn suspended(subject: &Subject<'_>, environment: &Environment, problems: &mut Vec<Problem>) {
    let unit = &environment.spec.unit;
    let is_new = !subject.world.applications.contains_key(&(subject.namespace.to_owned(), subject.name.to_owned()));
    if is_new && subject.world.units.get(unit).is_some_and(|unit| unit.spec.suspended) {
        let message = format!(
            "unit {unit} is suspended: what runs goes on, but no application is admitted; set the Unit's spec.suspended to \
             false first"
        );
        problems.push(Problem::new(Reason::Suspended, "metadata.namespace", message));
    }
}

/// Nothing new comes into an environment that is about to be deleted.
fn marked(subject: &Subject<'_>, environment: &Environment, problems: &mut Vec<Problem>) {
    let is_new = !subject.world.applications.contains_key(&(subject.namespace.to_owned(), subject.name.to_owned()));
    if let Some(after) = environment.spec.delete_after.as_ref().filter(|_| is_new) {
        let message = format!(
            "environment {} is marked for deletion at {after}: no application is admitted; undo the deletion first, or use \
             another environment",
            subject.namespace
        );
        problems.push(Problem::new(Reason::Deleting, "metadata.namespace", message));
    }
}

/// What the security profile says.
fn policy(subject: &Subject<'_>, profile: &SecurityProfile, problems: &mut Vec<Problem>) {
    let spec = &subject.application.spec;
    let profile_name = profile.name_any();
    let mut broken =
        |path: String, message: String| problems.push(Problem::new(Reason::PolicyViolation, path, message));
    if let Some(level) = spec.mlps_level.filter(|level| *level > profile.spec.mlps_level) {
        let highest = profile.spec.mlps_level;
        broken(
            "spec.mlpsLevel".to_owned(),
            format!(
                "the system is of MLPS level {level}, but security profile {profile_name} serves level {highest} at most; \
                 put it into an environment whose profile serves level {level}"
            ),
        );
    }
    for key in &profile.spec.required_labels {
        let value = subject.application.metadata.labels.as_ref().and_then(|labels| labels.get(key));
        if value.is_none_or(String::is_empty) {
            broken(
                "metadata.labels".to_owned(),
                format!("label {key} is missing: security profile {profile_name} requires it; give it a value"),
            );
        }
    }
    for (n, component) in spec.components.iter().flatten().enumerate() {
        let path = || format!("spec.components[{n}].image");
        let image = &component.image;
        let registries = &profile.spec.images.registries;
        if !registries.is_empty() && !registries.iter().any(|registry| comes_from(image, registry)) {
            broken(
                path(),
                format!(
                    "'{image}' comes from no registry that security profile {profile_name} allows; take it from {}",
                    registries.join(" or ")
                ),
            );
        }
        if profile.spec.images.require_digest && !has_digest(image) {
            broken(
                path(),
                format!(
                    "'{image}' has no digest: security profile {profile_name} requires one; write it as \
                     <image>@sha256:<64 hexadecimal digits>"
                ),
            );
        }
    }
    let suffixes = &profile.spec.host_name_suffixes;
    for (n, endpoint) in spec.endpoints.iter().flatten().enumerate() {
        for (m, host) in endpoint.hosts.iter().enumerate() {
            if !suffixes.is_empty() && !suffixes.iter().any(|suffix| ends_in(host, suffix)) {
                broken(
                    format!("spec.endpoints[{n}].hosts[{m}]"),
                    format!(
                        "{host} is no host name that security profile {profile_name} allows; it must end in {}",
                        suffixes.join(" or ")
                    ),
                );
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

/// The failover group: one that is named must be there; one that is not must be the application's alone.
fn group(subject: &Subject<'_>, problems: &mut Vec<Problem>) {
    let path = "spec.failoverGroup";
    match subject.application.spec.failover_group.as_deref() {
        Some("platform") => {
            let message = "platform is Tandem's own group: it decides which site publishes; name another";
            problems.push(Problem::new(Reason::Invalid, path, message));
        }
        Some(named) if !subject.world.groups.contains_key(named) => {
            let message = format!(
                "there is no FailoverGroup {named}: create it first, or leave the field out for a group of the \
                 application's own"
            );
            problems.push(Problem::new(Reason::NotFound, path, message));
        }
        Some(_) => {}
        None => {
            let own = names::default_group(subject.namespace, subject.name);
            // Only where the names are joined otherwise can two be the same: a-b and c, a and b-c.
            let other = subject.world.applications.iter().find(|((namespace, name), other)| {
                (namespace.as_str(), name.as_str()) != (subject.namespace, subject.name)
                    && other.spec.failover_group.is_none()
                    && names::default_group(namespace, name) == own
            });
            if let Some(((namespace, name), _)) = other {
                let message = format!(
                    "the application's own group would be {own}, which is also that of {namespace}/{name}: the two would \
                     move together; name a group in spec.failoverGroup or choose another name"
                );
                problems.push(Problem::new(Reason::Invalid, path, message));
            }
        }
    }
}

fn access(application: &Application, problems: &mut Vec<Problem>) {
    let access = application.spec.access.iter();
    for (field, others) in access.flat_map(|access| [("from", &access.from), ("to", &access.to)]) {
        for (n, other) in others.iter().enumerate() {
            reference(&format!("spec.access.{field}[{n}]"), other, problems);
        }
    }
    for (n, other) in application.spec.dependencies.iter().enumerate() {
        reference(&format!("spec.dependencies[{n}]"), other, problems);
    }
}

/// Both names become labels' values. The application need not be there: access may be declared before it comes.
fn reference(path: &str, other: &ApplicationRef, problems: &mut Vec<Problem>) {
    let parts = [("environment", other.environment.as_ref()), ("application", Some(&other.application))];
    for (field, name) in parts {
        if let Some(name) = name.filter(|name| !names::is_dns_label(name)) {
            let message = format!(
                "'{name}' cannot be the name of an {field}: give lower-case letters, digits and dashes, as in \
                 {{environment: health-prod, application: hall}}"
            );
            problems.push(Problem::new(Reason::Invalid, format!("{path}.{field}"), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
