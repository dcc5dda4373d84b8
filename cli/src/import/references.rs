//! From what a row writes under its dependencies to the systems that it means.

use super::known::Known;
use super::rows::Key;
use super::values::Dependency;
use std::collections::{BTreeMap, BTreeSet};

/// A system that a row needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// One of the file, by the index of its row.
    Row(usize),
    /// An application that is in the cluster already.
    Existing {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Finds the system that a dependency means: in the environment it names; else in the row's own; else in the only
/// environment of the unit that has it. The file comes before the cluster.
///
/// # Errors
/// With what is wrong and how to mend it, when there is no such system, or several.
pub fn resolve(
    from: &Key,
    dependency: &Dependency,
    keys: &BTreeMap<&Key, usize>,
    known: &Known,
) -> Result<Target, (String, String)> {
    let unit = dependency.unit.as_ref().unwrap_or(&from.unit);
    let at = |environment: &str| {
        let key = Key { unit: unit.clone(), environment: environment.to_owned(), system: dependency.system.clone() };
        if let Some(index) = keys.get(&key) {
            return Some(Target::Row(*index));
        }
        let object = (key.namespace(), key.system);
        let belongs = known.environments.get(&object.0).is_some_and(|environment| environment.spec.unit == *unit);
        (belongs && known.applications.contains_key(&object))
            .then_some(Target::Existing { namespace: object.0, name: object.1 })
    };
    if let Some(environment) = &dependency.environment {
        return at(environment).ok_or_else(|| missing(unit, dependency, keys, known));
    }
    if let Some(target) = at(&from.environment) {
        return Ok(target);
    }
    let environments = environments_of(unit, keys, known);
    let mut found: Vec<(String, Target)> =
        environments.into_iter().filter_map(|name| at(&name).map(|target| (name, target))).collect();
    match found.len() {
        0 => Err(missing(unit, dependency, keys, known)),
        1 => Ok(found.remove(0).1),
        _ => {
            let names: Vec<String> =
                found.iter().map(|(name, _)| format!("{unit}/{name}/{}", dependency.system)).collect();
            Err((
                format!("'{unit}/{}' is in several environments.", dependency.system),
                format!("Write which one is meant: {}.", names.join(" or ")),
            ))
        }
    }
}

fn environments_of(unit: &str, keys: &BTreeMap<&Key, usize>, known: &Known) -> BTreeSet<String> {
    let prefix = format!("{unit}-");
    let in_file = keys.keys().filter(|key| key.unit == unit).map(|key| key.environment.clone());
    let in_cluster = known
        .environments
        .iter()
        .filter(|(_, environment)| environment.spec.unit == unit)
        .filter_map(|(name, _)| name.strip_prefix(&prefix).map(str::to_owned));
    in_file.chain(in_cluster).collect()
}

fn missing(unit: &str, dependency: &Dependency, keys: &BTreeMap<&Key, usize>, known: &Known) -> (String, String) {
    let system = &dependency.system;
    if !known.units.contains_key(unit) && !keys.keys().any(|key| key.unit == unit) {
        return (format!("there is no unit '{unit}'."), format!("Mend the code of the unit in '{unit}/{system}'."));
    }
    let within = match &dependency.environment {
        Some(environment) => format!("the unit '{unit}' has no system '{system}' in '{environment}'"),
        None => format!("the unit '{unit}' has no system '{system}'"),
    };
    let elsewhere: BTreeSet<String> =
        keys.keys().filter(|key| key.system == *system && key.unit != unit).map(|key| key.unit.clone()).collect();
    let remedy = match elsewhere.first() {
        Some(other) if dependency.unit.is_none() => {
            format!("Name the unit, if another's is meant, such as {other}/{system}; or mend the code.")
        }
        _ => "Mend the code, or add the system's row to the file.".to_owned(),
    };
    (format!("{within}."), remedy)
}
