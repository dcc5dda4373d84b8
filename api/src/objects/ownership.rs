//! What belongs to a unit. Pure, from what is known of the objects; what cannot be traced to a unit belongs to none.

use super::Objects;
use crate::authorise::Scope;
use crate::problem::Problem;
use std::collections::BTreeSet;
use tandem_core::names::default_group;
use tandem_crds::{Application, Environment, EnvironmentRequest, Failover, FailoverGroup, SecurityProfile, Unit};

/// The names of what somebody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Everything.
    All,
    /// One unit's.
    Unit {
        /// The unit.
        unit: String,
        /// Its environments, which are namespaces too.
        environments: BTreeSet<String>,
        /// The groups that its applications are in.
        groups: BTreeSet<String>,
        /// The profiles that hold for it.
        profiles: BTreeSet<String>,
    },
}

impl Owned {
    /// What is within a scope.
    ///
    /// # Errors
    /// [`Problem::NotRead`] until all has been read that this follows from.
    pub fn within(scope: &Scope, objects: &dyn Objects) -> Result<Self, Problem> {
        let Scope::Unit(unit) = scope else { return Ok(Self::All) };
        let (mut environments, mut groups, mut profiles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for own in objects.units()?.iter().filter(|other| other.metadata.name.as_ref() == Some(unit)) {
            profiles.insert(own.spec.security_profile.clone());
        }
        for environment in objects.environments()?.iter().filter(|environment| environment.spec.unit == *unit) {
            environments.extend(environment.metadata.name.clone());
            profiles.extend(environment.spec.security_profile.clone());
        }
        for application in objects.applications()?.iter() {
            if application.metadata.namespace.as_ref().is_some_and(|namespace| environments.contains(namespace)) {
                groups.extend(group_of(application));
            }
        }
        Ok(Self::Unit { unit: unit.clone(), environments, groups, profiles })
    }

    /// Whether it may see the unit.
    #[must_use]
    pub fn has_unit(&self, other: &Unit) -> bool {
        self.has(other.metadata.name.as_deref(), |own, name| own.0 == name)
    }

    /// Whether it may see the environment.
    #[must_use]
    pub fn has_environment(&self, environment: &Environment) -> bool {
        self.has(environment.metadata.name.as_deref(), |own, name| own.1.contains(name))
    }

    /// Whether it may see the request: it goes by the unit that asks, since there may be no environment yet.
    #[must_use]
    pub fn has_request(&self, request: &EnvironmentRequest) -> bool {
        self.has(Some(&request.spec.unit), |own, unit| own.0 == unit)
    }

    /// Whether it may see the application.
    #[must_use]
    pub fn has_application(&self, application: &Application) -> bool {
        self.has(application.metadata.namespace.as_deref(), |own, namespace| own.1.contains(namespace))
    }

    /// Whether it may see the group: it may where one of its applications is in it.
    #[must_use]
    pub fn has_group(&self, group: &FailoverGroup) -> bool {
        self.has(group.metadata.name.as_deref(), |own, name| own.2.contains(name))
    }

    /// Whether it may see the profile.
    #[must_use]
    pub fn has_profile(&self, profile: &SecurityProfile) -> bool {
        self.has(profile.metadata.name.as_deref(), |own, name| own.3.contains(name))
    }

    /// What it may see of a profile, where it may see it: of waivers, a unit is told its own environments'.
    #[must_use]
    pub fn part_of_profile(&self, profile: &SecurityProfile) -> Option<SecurityProfile> {
        let mut part = self.has_profile(profile).then(|| profile.clone())?;
        if let Self::Unit { environments, .. } = self {
            part.spec.waivers.retain(|waiver| environments.contains(&waiver.environment));
        }
        Some(part)
    }

    /// What it may see of a group, where it may see it: a unit is not told the names of others' groups.
    #[must_use]
    pub fn part_of_group(&self, group: &FailoverGroup) -> Option<FailoverGroup> {
        let mut part = self.has_group(group).then(|| group.clone())?;
        if let Self::Unit { groups, .. } = self {
            part.spec.depends_on.retain(|other| groups.contains(other));
            if let Some(status) = &mut part.status {
                let readiness = status.readiness.iter_mut().flat_map(|readiness| &mut readiness.reasons);
                for why in readiness.chain(&mut status.why_not_automatic) {
                    if names_groups(&why.reason) {
                        why.message.clear();
                        why.message_zh.clear();
                    }
                }
            }
        }
        Some(part)
    }

    /// What it may see of a failover: for a unit, what concerns its own groups and no other name; nothing where none is
    /// concerned.
    #[must_use]
    pub fn part_of(&self, failover: &Failover) -> Option<Failover> {
        let Self::Unit { unit, groups, .. } = self else { return Some(failover.clone()) };
        let mut part = failover.clone();
        let selector = &mut part.spec.selector;
        selector.groups.retain(|group| groups.contains(group));
        let named = !selector.groups.is_empty() || selector.unit.as_ref() == Some(unit);
        if selector.unit.as_ref() != Some(unit) {
            selector.unit = None;
        }
        part.spec.expected_epochs.retain(|group, _| groups.contains(group));
        let mut moved = false;
        if let Some(status) = &mut part.status {
            status.groups.retain(|group| groups.contains(&group.name));
            for wave in &mut status.waves {
                wave.groups.retain(|group| groups.contains(group));
            }
            status.waves.retain(|wave| !wave.groups.is_empty());
            moved = !status.groups.is_empty();
            // The sentences of the whole may name others' groups; each group has its own.
            status.message.clear();
            status.message_zh.clear();
            status.conditions.clear();
        }
        // Who of the platform's people asked and agreed, and why, in their own words, is not the agencies' to read.
        part.spec.approvals.clear();
        part.spec.requested_by = None;
        part.spec.reason.clear();
        for group in part.status.iter_mut().flat_map(|status| &mut status.groups) {
            group.steps.clear();
            if names_groups(&group.reason) {
                group.message.clear();
                group.message_zh.clear();
            }
        }
        (named || moved).then_some(part)
    }

    fn has<'a>(
        &'a self,
        name: Option<&str>,
        own: impl FnOnce((&'a str, &'a BTreeSet<String>, &'a BTreeSet<String>, &'a BTreeSet<String>), &str) -> bool,
    ) -> bool {
        match (self, name) {
            (Self::All, _) => true,
            (Self::Unit { unit, environments, groups, profiles }, Some(name)) => {
                own((unit, environments, groups, profiles), name)
            }
            (Self::Unit { .. }, None) => false,
        }
    }
}

/// Whether the sentence of a reason names groups, which may be others'. The word remains.
fn names_groups(reason: &str) -> bool {
    matches!(reason, "WaitsFor" | "DependsOnStuck")
}

/// The group that an application is in: the one it is found in; before that the one it names, or its own.
pub(crate) fn group_of(application: &Application) -> Option<String> {
    let found = application.status.as_ref().and_then(|status| status.failover_group.clone());
    let named = || application.spec.failover_group.clone();
    let own = || {
        let metadata = &application.metadata;
        Some(default_group(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
    };
    found.or_else(named).or_else(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::testing::{application, city, waived};

    fn health() -> Owned {
        Owned::within(&Scope::Unit("health".to_owned()), &city()).unwrap()
    }

    #[test]
    fn a_unit_has_what_follows_from_its_environments() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let wanted = Owned::Unit {
            unit: "health".to_owned(),
            environments: set(&["health-prod"]),
            groups: set(&["health-group"]),
            profiles: set(&["level-2"]),
        };
        assert_eq!(health(), wanted);
        assert_eq!(Owned::within(&Scope::All, &city()).unwrap(), Owned::All);
    }

    #[test]
    fn what_has_not_been_read_is_not_guessed() {
        let mut city = city();
        city.unread = true;
        assert_eq!(Owned::within(&Scope::Unit("health".to_owned()), &city), Err(Problem::NotRead));
    }

    #[test]
    fn an_application_in_a_namespace_of_no_environment_belongs_to_nobody() {
        assert!(!health().has_application(&application("health-other", "portal", "g")));
        assert!(health().has_application(&application("health-prod", "portal", "g")));
        assert!(Owned::All.has_application(&application("health-other", "portal", "g")));
    }

    #[test]
    fn an_application_that_names_no_group_is_in_its_own() {
        let mut application = application("health-prod", "portal", "g");
        assert_eq!(group_of(&application).as_deref(), Some("g"));
        application.spec.failover_group = None;
        assert_eq!(group_of(&application), Some(default_group("health-prod", "portal")));
    }

    #[test]
    fn of_a_failover_a_unit_sees_its_own_part_and_no_other_name() {
        let city = city();
        let seen: Vec<Failover> = city.failovers.iter().filter_map(|failover| health().part_of(failover)).collect();
        let names: Vec<&str> = seen.iter().filter_map(|failover| failover.metadata.name.as_deref()).collect();
        assert_eq!(names, ["health-move", "both-move"]);
        let text = serde_json::to_string(&seen).unwrap();
        assert!(!text.contains("water") && !text.contains("wang") && !text.contains("power works"), "{text}");
        let all = city.failovers.iter().filter_map(|failover| Owned::All.part_of(failover));
        assert!(serde_json::to_string(&all.collect::<Vec<_>>()).unwrap().contains("wang"));
    }

    #[test]
    fn of_a_profile_a_unit_is_not_told_what_is_waived_for_others() {
        let city = waived(city());
        let seen: Vec<SecurityProfile> =
            city.security_profiles.iter().filter_map(|profile| health().part_of_profile(profile)).collect();
        let waivers: Vec<&str> = seen[0].spec.waivers.iter().map(|waiver| waiver.reason.as_str()).collect();
        assert_eq!((seen.len(), waivers.as_slice()), (1, ["the vendor's next release"].as_slice()));
        let all = city.security_profiles.iter().filter_map(|profile| Owned::All.part_of_profile(profile));
        assert_eq!(all.map(|profile| profile.spec.waivers.len()).collect::<Vec<_>>(), [3, 0, 0]);
    }

    #[test]
    fn of_a_group_a_unit_is_not_told_whose_it_depends_on() {
        let city = city();
        let seen: Vec<FailoverGroup> =
            city.failover_groups.iter().filter_map(|group| health().part_of_group(group)).collect();
        assert_eq!(seen.len(), 1);
        let text = serde_json::to_string(&seen).unwrap();
        assert!(!text.contains("water") && text.contains("WaitsFor"), "{text}");
        assert!(serde_json::to_string(&*city.failover_groups[0]).unwrap().contains("wait for water-group"));
    }
}
