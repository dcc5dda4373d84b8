//! Units, environments, security profiles, failover groups and data centres.

use std::net::IpAddr;

use kube::ResourceExt;
use tandem_crds::status::Reason;
use tandem_crds::{DataCentre, Environment, FailoverGroup, SecurityProfile, Unit, Waiver};

use super::fields::{self, Zero};
use super::{PolicyRule, Problem, World, budget};
use crate::names;

/// Everything that is wrong with a unit.
#[must_use]
pub fn unit(unit: &Unit, world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = unit.name_any();
    fields::name(Some(&name), &mut problems);
    parents(unit, &name, world, &mut problems);
    profile_exists(&unit.spec.security_profile, world, &mut problems);
    budget::of_budget(&unit.spec.budget, &mut problems);
    for (field, groups) in [("administrators", &unit.spec.administrators), ("viewers", &unit.spec.viewers)] {
        for (n, group) in groups.iter().enumerate() {
            fields::group(&format!("spec.{field}[{n}]"), group, &mut problems);
        }
    }
    problems
}

/// The parent is there, and nobody is his own ancestor.
fn parents(unit: &Unit, name: &str, world: &World<'_>, problems: &mut Vec<Problem>) {
    let Some(parent) = unit.spec.parent.as_deref() else { return };
    let mut way = vec![name];
    let mut at = Some(parent);
    while let Some(next) = at {
        let seen_before = way.contains(&next);
        way.push(next);
        if next == name {
            let message = format!(
                "units would be above each other in a circle: {}; name another parent for one of them",
                way.join(" → ")
            );
            problems.push(Problem::new(Reason::Invalid, "spec.parent", message));
            return;
        }
        // A circle further up, of which this unit is no part, is for those to mend.
        if seen_before {
            return;
        }
        at = world.units.get(next).and_then(|unit| unit.spec.parent.as_deref());
    }
    if !world.units.contains_key(parent) {
        let message = format!("there is no Unit {parent}: create it first, correct the name, or leave the parent out");
        problems.push(Problem::new(Reason::NotFound, "spec.parent", message));
    }
}

fn profile_exists(profile: &str, world: &World<'_>, problems: &mut Vec<Problem>) {
    if !world.profiles.contains_key(profile) {
        let message = format!("there is no SecurityProfile {profile}: create it first or correct the name");
        problems.push(Problem::new(Reason::NotFound, "spec.securityProfile", message));
    }
}

/// Everything that is wrong with an environment.
#[must_use]
pub fn environment(environment: &Environment, world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = environment.name_any();
    let spec = &environment.spec;
    fields::name(Some(&name), &mut problems);
    let quota = budget::of_quota(&spec.quota, &mut problems);
    match world.units.get(&spec.unit) {
        None => {
            let message = format!("there is no Unit {}: create it first or correct the name", spec.unit);
            problems.push(Problem::new(Reason::NotFound, "spec.unit", message));
        }
        Some(unit) => {
            if unit.spec.suspended && !world.environments.contains_key(&name) {
                let message = format!(
                    "unit {} is suspended: what runs goes on, but no environment is admitted; set the Unit's spec.suspended \
                     to false first",
                    spec.unit
                );
                problems.push(Problem::new(Reason::Suspended, "spec.unit", message));
            }
            if let Some(quota) = &quota {
                budget::environment_fits(quota, &spec.unit, &unit.spec.budget, &mut problems);
            }
            if spec.security_profile.is_none() && world.profile_of(environment).is_none() {
                let message = format!(
                    "the unit's security profile {} is not there: create it first, or name another here",
                    unit.spec.security_profile
                );
                problems.push(Problem::new(Reason::NotFound, "spec.securityProfile", message));
            }
        }
    }
    if let Some(profile) = &spec.security_profile {
        profile_exists(profile, world, &mut problems);
    }
    for (n, member) in spec.members.iter().enumerate() {
        fields::group(&format!("spec.members[{n}].group"), &member.group, &mut problems);
    }
    if let Some(expiry) = spec.expires_at.as_ref().filter(|expiry| expiry.parse::<jiff::Timestamp>().is_err()) {
        let message = format!("'{expiry}' is no time: write it like 2027-06-30T00:00:00+08:00");
        problems.push(Problem::new(Reason::Invalid, "spec.expiresAt", message));
    }
    problems
}

/// Everything that is wrong with a security profile.
#[must_use]
pub fn security_profile(profile: &SecurityProfile, _world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let spec = &profile.spec;
    let mut invalid = |path: String, message: String| problems.push(Problem::new(Reason::Invalid, path, message));
    for (n, rule) in spec.egress.iter().enumerate() {
        if !is_cidr(&rule.cidr) {
            let message = format!("'{}' is no address range: write it like 10.20.0.0/16 or fd00:20::/32", rule.cidr);
            invalid(format!("spec.egress[{n}].cidr"), message);
        }
    }
    for (n, registry) in spec.images.registries.iter().enumerate() {
        if registry.contains("://") || registry.contains(char::is_whitespace) || registry.trim_matches('/').is_empty() {
            let message =
                format!("'{registry}' is no registry: write it like registry.gov.example or with a path below it");
            invalid(format!("spec.images.registries[{n}]"), message);
        }
    }
    for (n, suffix) in spec.host_name_suffixes.iter().enumerate() {
        if !suffix.trim_start_matches('.').split('.').all(names::is_dns_label) {
            let message = format!("'{suffix}' cannot end a host name: write it like gov.example");
            invalid(format!("spec.hostNameSuffixes[{n}]"), message);
        }
    }
    for (n, key) in spec.required_labels.iter().enumerate() {
        if !fields::is_label_key(key) {
            let message = format!("'{key}' is no label's key: write it like owner or gov.example/owner");
            invalid(format!("spec.requiredLabels[{n}]"), message);
        } else if key
            .split_once('/')
            .is_some_and(|(domain, _)| domain == "tandem.dev" || domain.ends_with(".tandem.dev"))
        {
            let message = format!("'{key}' is one of Tandem's own labels, which people do not set: take another key");
            invalid(format!("spec.requiredLabels[{n}]"), message);
        }
    }
    waivers(&spec.waivers, &mut problems);
    problems
}

/// Waivers are of rules that there are, end at a time, and are not said twice: of two, only one would be taken back. The
/// environment and the application need not be there yet.
fn waivers(waivers: &[Waiver], problems: &mut Vec<Problem>) {
    let mut invalid = |n: usize, field: &str, message: String| {
        problems.push(Problem::new(Reason::Invalid, format!("spec.waivers[{n}]{field}"), message));
    };
    for (n, waiver) in waivers.iter().enumerate() {
        if PolicyRule::of(&waiver.rule).is_none() {
            let known = PolicyRule::ALL.map(PolicyRule::path).join(", ");
            let message = format!("'{}' is no rule that can be waived: name one of {known}", waiver.rule);
            invalid(n, ".rule", message);
        }
        for (field, name) in [("environment", Some(&waiver.environment)), ("application", waiver.application.as_ref())]
        {
            if let Some(name) = name.filter(|name| !names::is_dns_label(name)) {
                let message = format!(
                    "'{name}' cannot be the name of an {field}: give lower-case letters, digits and dashes, as in \
                     health-prod"
                );
                invalid(n, &format!(".{field}"), message);
            }
        }
        if waiver.reason.trim().is_empty() {
            let message = "a waiver needs a reason: say who asked, and what is done meanwhile".to_owned();
            invalid(n, ".reason", message);
        }
        if waiver.until.parse::<jiff::Timestamp>().is_err() {
            let message = format!("'{}' is no time: write it like 2027-06-30T00:00:00+08:00", waiver.until);
            invalid(n, ".until", message);
        }
        let same = |other: &Waiver| {
            (&other.rule, &other.environment, &other.application)
                == (&waiver.rule, &waiver.environment, &waiver.application)
        };
        if let Some(first) = waivers.get(..n).and_then(|before| before.iter().position(same)) {
            let message = format!("is spec.waivers[{first}] once more: change that one's end, or take one of them out");
            invalid(n, "", message);
        }
    }
}

/// Whether a text is an address range in the form in which an API server of any version takes it: no bit is set past the
/// prefix.
fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(prefix)) = (address.parse::<IpAddr>(), prefix.parse::<u32>()) else { return false };
    match address {
        IpAddr::V4(address) => prefix <= 32 && address.to_bits().checked_shl(prefix).unwrap_or(0) == 0,
        IpAddr::V6(address) => prefix <= 128 && address.to_bits().checked_shl(prefix).unwrap_or(0) == 0,
    }
}

/// Everything that is wrong with a failover group.
#[must_use]
pub fn failover_group(group: &FailoverGroup, _world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    fields::name(group.metadata.name.as_deref(), &mut problems);
    if let Some(Err(error)) = group.spec.drills.as_ref().map(crate::drill::parse) {
        problems.push(Problem::new(Reason::Invalid, "spec.drills.schedule", error.to_string()));
    }
    problems
}

/// Everything that is wrong with a data centre.
#[must_use]
pub fn data_centre(data_centre: &DataCentre, _world: &World<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    fields::name(data_centre.metadata.name.as_deref(), &mut problems);
    let capacity = &data_centre.spec.capacity;
    let amounts = [("cpu", &capacity.cpu), ("memory", &capacity.memory), ("storage", &capacity.storage)];
    for (field, quantity) in amounts {
        if let Some(quantity) = quantity {
            fields::millis(&format!("spec.capacity.{field}"), quantity, Zero::Refused, &mut problems);
        }
    }
    if let Some(pods) = capacity.pods.filter(|pods| *pods <= 0) {
        let message = format!("{pods} pods: give at least one, or leave it out to take what the cluster reports");
        problems.push(Problem::new(Reason::Invalid, "spec.capacity.pods", message));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::is_cidr;

    #[test]
    fn address_ranges_are_known() {
        for good in ["10.20.0.0/16", "10.0.0.1/32", "0.0.0.0/0", "fd00:20::/32", "::/0", "::1/128"] {
            assert!(is_cidr(good), "{good}");
        }
        for bad in ["10.20.0.0", "10.20.0.0/33", "10.20.0.1/16", "999.0.0.0/8", "::1/64", "fd00::/129", "10.0/8", "a/8"]
        {
            assert!(!is_cidr(bad), "{bad}");
        }
    }
}
