//! Applications.

use kube::ResourceExt;
use tandem_crds::status::Reason;
use tandem_crds::{Application, ApplicationRef, Environment};

use super::{Problem, World, breach, budget, components, dependencies, endpoints, fields};
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
                Some(_) => policy(&subject, &mut problems),
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

/// What breaks the security profile's rules and is not waived.
fn policy(subject: &Subject<'_>, problems: &mut Vec<Problem>) {
    let broken = breach::violations(subject.application, subject.world).into_iter();
    problems.extend(broken.map(|breach| Problem::new(Reason::PolicyViolation, breach.path, breach.message)));
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
