//! What somebody is by the groups that units name, and what nobody may be at once. Pure.

use super::{Claims, Principal, Role};
use crate::problem::Problem;
use std::collections::BTreeSet;
use std::sync::Arc;
use tandem_crds::Unit;

/// Adds what the units' groups make of somebody. Where the token names a unit, only that one counts.
///
/// # Errors
/// When the groups belong to several units and the token names none: whose objects are to be shown would be a guess.
pub fn with_groups(claims: Claims, units: &[Arc<Unit>]) -> Result<Principal, Problem> {
    let Claims { mut principal, groups } = claims;
    let mut found: Vec<(&str, BTreeSet<Role>)> = Vec::new();
    for unit in units {
        let Some(name) = unit.metadata.name.as_deref() else { continue };
        if principal.unit.as_deref().is_some_and(|named| named != name) {
            continue;
        }
        let mut roles = BTreeSet::new();
        if unit.spec.administrators.iter().any(|group| groups.contains(group)) {
            roles.insert(Role::AgencyAdministrator);
        }
        if unit.spec.viewers.iter().any(|group| groups.contains(group)) {
            roles.insert(Role::AgencyViewer);
        }
        if !roles.is_empty() {
            found.push((name, roles));
        }
    }
    match found.as_slice() {
        [] => {}
        [(name, roles)] => {
            principal.unit = Some((*name).to_owned());
            principal.roles.extend(roles);
        }
        _ => return Err(Problem::UnitUnclear),
    }
    Ok(principal)
}

/// Whether one person bears offices that are to be kept apart.
#[must_use]
pub fn offices_conflict(principal: &Principal) -> bool {
    principal.roles.iter().filter(|role| role.is_office()).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Via;
    use crate::objects::testing::unit;

    fn claims(unit: Option<&str>, groups: &[&str]) -> Claims {
        Claims {
            principal: Principal {
                name: "li".to_owned(),
                unit: unit.map(str::to_owned),
                roles: BTreeSet::new(),
                via: Via::Token,
            },
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    fn units() -> Vec<Arc<Unit>> {
        let with = |name: &str| {
            let mut unit = unit(name);
            unit.spec.administrators = vec![format!("{name}-admins")];
            unit.spec.viewers = vec![format!("{name}-viewers"), "city-viewers".to_owned()];
            Arc::new(unit)
        };
        vec![with("health"), with("water")]
    }

    #[test]
    fn groups_give_a_unit_and_what_one_is_there() {
        let li = with_groups(claims(None, &["health-admins", "other"]), &units()).unwrap();
        assert_eq!(li.unit.as_deref(), Some("health"));
        assert_eq!(li.roles, BTreeSet::from([Role::AgencyAdministrator]));
        let nobody = with_groups(claims(None, &["other"]), &units()).unwrap();
        assert_eq!((nobody.unit, nobody.roles.len()), (None, 0));
    }

    #[test]
    fn the_named_unit_alone_counts() {
        let groups = ["health-admins", "water-viewers"];
        let li = with_groups(claims(Some("water"), &groups), &units()).unwrap();
        assert_eq!(li.roles, BTreeSet::from([Role::AgencyViewer]));
        let stranger = with_groups(claims(Some("fire"), &groups), &units()).unwrap();
        assert!(stranger.roles.is_empty());
    }

    #[test]
    fn several_units_and_none_named_is_no_guess() {
        for groups in [&["city-viewers"] as &[&str], &["health-admins", "water-admins"]] {
            assert_eq!(with_groups(claims(None, groups), &units()), Err(Problem::UnitUnclear));
        }
    }

    #[test]
    fn two_offices_are_not_one_persons() {
        let mut li = claims(None, &[]).principal;
        li.roles = BTreeSet::from([Role::PlatformOperator, Role::AgencyAdministrator]);
        assert!(!offices_conflict(&li));
        li.roles.insert(Role::Auditor);
        assert!(offices_conflict(&li));
    }
}
