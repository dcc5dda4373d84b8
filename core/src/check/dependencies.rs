//! Dependencies between applications: known ones, and no circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tandem_crds::Application;
use tandem_crds::status::Reason;

use super::Problem;
use super::application::Subject;

/// Namespace and name.
type Key = (String, String);

/// What an application depends on, in the order in which it says so.
fn dependencies_of<'a>(application: &'a Application, namespace: &'a str) -> impl Iterator<Item = Key> + 'a {
    application.spec.dependencies.iter().map(move |other| {
        (other.environment.clone().unwrap_or_else(|| namespace.to_owned()), other.application.clone())
    })
}

pub(super) fn check(subject: &Subject<'_>, problems: &mut Vec<Problem>) {
    let own = (subject.namespace.to_owned(), subject.name.to_owned());
    for (n, key) in dependencies_of(subject.application, subject.namespace).enumerate() {
        if key != own && !subject.world.applications.contains_key(&key) {
            let (namespace, name) = key;
            let message = format!(
                "there is no application {namespace}/{name}: create it first, correct the name, or take the dependency out"
            );
            problems.push(Problem::new(Reason::NotFound, format!("spec.dependencies[{n}]"), message));
        }
    }
    if let Some(circle) = circle(subject, &own) {
        let first = circle.get(1);
        let index = dependencies_of(subject.application, subject.namespace).position(|key| Some(&key) == first);
        let names: Vec<String> = circle.iter().map(|(namespace, name)| format!("{namespace}/{name}")).collect();
        let message = format!(
            "applications would depend on each other in a circle: {}; take one of these dependencies out",
            names.join(" → ")
        );
        problems.push(Problem::new(
            Reason::DependencyCycle,
            format!("spec.dependencies[{}]", index.unwrap_or_default()),
            message,
        ));
    }
}

/// The shortest way from an application back to itself, both ends included. Circles that the application is no part of
/// are others' to mend. Of ways equally short it is the one whose dependencies stand first.
fn circle(subject: &Subject<'_>, own: &Key) -> Option<Vec<Key>> {
    let mut came_from: BTreeMap<Key, Key> = BTreeMap::new();
    let mut seen: BTreeSet<Key> = BTreeSet::new();
    let mut queue = VecDeque::from([own.clone()]);
    while let Some(key) = queue.pop_front() {
        // The application as it is to be, the others as they are published.
        let application = if key == *own { Some(subject.application) } else { subject.world.applications.get(&key) };
        for next in application.into_iter().flat_map(|application| dependencies_of(application, &key.0)) {
            if next == *own {
                let mut way = vec![next];
                let mut at = Some(&key);
                while let Some(step) = at {
                    way.push(step.clone());
                    at = came_from.get(step);
                }
                way.reverse();
                return Some(way);
            }
            if seen.insert(next.clone()) {
                came_from.insert(next.clone(), key.clone());
                queue.push_back(next);
            }
        }
    }
    None
}
