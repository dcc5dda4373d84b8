//! Requests: whether what is asked for could be, as things are.

use std::collections::BTreeSet;

use kube::ResourceExt;
use tandem_crds::status::Reason;
use tandem_crds::{
    Application, DecisionOutcome, Environment, EnvironmentRequest, EnvironmentRequestSpec, Kind, RequestType,
};

use super::fields;
use super::{Problem, World, application, deletion, environment};
use crate::requests::{new_environment, requested_application};

/// Everything that is wrong with a request. A request that was carried out, refused, taken back or called off is history:
/// nothing is wrong with it any more, and what was said of it can be published.
#[must_use]
pub fn environment_request(request: &EnvironmentRequest, world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let spec = &request.spec;
    let name = request.name_any();
    fields::name(Some(&name), &mut problems);
    let standing = world.environments.get(&spec.environment);
    let carried_out = standing.is_some_and(|environment| environment.spec.request.as_ref() == Some(&name));
    let refused = spec.decisions.iter().any(|decision| decision.outcome == DecisionOutcome::Reject);
    let over = refused || spec.carried_out.is_some() || spec.withdrawn.is_some() || spec.undone.is_some();
    if over || carried_out {
        return problems;
    }
    if !world.units.contains_key(&spec.unit) {
        let message = format!("there is no Unit {}: create it first or correct the name", spec.unit);
        problems.push(Problem::new(Reason::NotFound, "spec.unit", message));
        return problems;
    }
    match (spec.kind, standing) {
        (RequestType::Create, Some(_)) => {
            let message =
                format!("there is an environment {} already: ask for another name, or for a Resize", spec.environment);
            problems.push(Problem::new(Reason::Invalid, "spec.environment", message));
        }
        (RequestType::Create, None) => {
            if let Some(wanted) = new_environment(&name, spec) {
                as_it_would_be(&wanted, spec, world, &mut problems);
            }
        }
        (_, None) => {
            let message =
                format!("there is no environment {}: correct the name, or ask to create it", spec.environment);
            problems.push(Problem::new(Reason::NotFound, "spec.environment", message));
        }
        (kind, Some(standing)) => existing(kind, standing, spec, world, &mut problems),
    }
    problems
}

fn existing(
    kind: RequestType,
    standing: &Environment,
    spec: &EnvironmentRequestSpec,
    world: &World<'_>,
    problems: &mut Vec<Problem>,
) {
    if standing.spec.unit != spec.unit {
        let message = format!("there is no environment {} of unit {}", spec.environment, spec.unit);
        problems.push(Problem::new(Reason::NotFound, "spec.environment", message));
        return;
    }
    if let Some(after) = &standing.spec.delete_after {
        let message = format!("environment {} is marked for deletion at {after}: undo that first", spec.environment);
        problems.push(Problem::new(Reason::Deleting, "spec.environment", message));
        return;
    }
    match kind {
        RequestType::Create => {}
        RequestType::Resize => {
            let mut wanted = standing.clone();
            if let Some(quota) = &spec.quota {
                wanted.spec.quota = quota.clone();
            }
            as_it_would_be(&wanted, spec, world, problems);
        }
        RequestType::Extend => extension(standing, spec, problems),
        RequestType::Delete => problems.extend(deletion(Kind::Environment, None, &spec.environment, world)),
    }
}

/// A time to which an environment is kept is a time, and no earlier one than it has.
fn extension(standing: &Environment, spec: &EnvironmentRequestSpec, problems: &mut Vec<Problem>) {
    let Some(until) = &spec.until else { return };
    let Ok(at) = until.parse::<jiff::Timestamp>() else {
        let message = format!("'{until}' is no time: write it like 2027-06-30T00:00:00+08:00");
        problems.push(Problem::new(Reason::Invalid, "spec.until", message));
        return;
    };
    let now = standing.spec.expires_at.as_ref();
    match now.map(|now| (now, now.parse::<jiff::Timestamp>())) {
        None => {
            let message = format!("environment {} does not expire: there is nothing to extend", spec.environment);
            problems.push(Problem::new(Reason::Invalid, "spec.until", message));
        }
        Some((now, Ok(before))) if at <= before => {
            let message = format!("environment {} is kept until {now} already: name a later time", spec.environment);
            problems.push(Problem::new(Reason::Invalid, "spec.until", message));
        }
        // An expiry that cannot be read is mended by one that can.
        Some(_) => {}
    }
}

/// The environment and the applications are looked at as they would stand.
fn as_it_would_be(wanted: &Environment, spec: &EnvironmentRequestSpec, world: &World<'_>, problems: &mut Vec<Problem>) {
    problems.extend(environment(wanted, world).into_iter().map(moved));
    if spec.applications.is_empty() {
        return;
    }
    let mut environments = world.environments.clone();
    environments.insert(spec.environment.clone(), wanted.clone());
    let mut applications = world.applications.clone();
    let mut hosts = world.hosts.clone();
    let mut names = BTreeSet::new();
    for (n, asked) in spec.applications.iter().enumerate() {
        let key = (spec.environment.clone(), asked.name.clone());
        if !names.insert(&asked.name) {
            let message = format!("application {} is asked for twice: take one of them out", asked.name);
            problems.push(Problem::new(Reason::Invalid, format!("spec.applications[{n}].name"), message));
            continue;
        }
        if world.applications.contains_key(&key) {
            let message =
                format!("there is an application {} already: take it out here, and change the Application", asked.name);
            problems.push(Problem::new(Reason::Invalid, format!("spec.applications[{n}].name"), message));
            continue;
        }
        let built: Application = requested_application(&spec.environment, asked);
        let as_it_would_be =
            World { environments: &environments, applications: &applications, hosts: &hosts, ..*world };
        let inner = application(&built, &as_it_would_be).into_iter();
        problems.extend(inner.map(|problem| Problem { path: path(n, &problem.path), ..problem }));
        // The next one is held to this one too.
        for host in built.spec.endpoints.iter().flatten().flat_map(|endpoint| &endpoint.hosts) {
            hosts.entry(host.clone()).or_insert_with(|| key.clone());
        }
        applications.insert(key, built);
    }
}

/// A field of the environment, as a field of the request.
fn moved(problem: Problem) -> Problem {
    let path = match problem.path.as_str() {
        "metadata.name" => "spec.environment".to_owned(),
        "spec.expiresAt" => "spec.until".to_owned(),
        _ => problem.path,
    };
    Problem { path, ..problem }
}

/// A field of an application, as a field of the request.
fn path(n: usize, inner: &str) -> String {
    match inner {
        "" => format!("spec.applications[{n}]"),
        "metadata.name" => format!("spec.applications[{n}].name"),
        "metadata.labels" => format!("spec.applications[{n}].labels"),
        "metadata.namespace" => "spec.environment".to_owned(),
        inner => format!("spec.applications[{n}].{inner}"),
    }
}
