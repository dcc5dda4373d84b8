//! Room at a site that has to take more than it can: high tiers first.

use std::collections::{BTreeMap, BTreeSet};

use super::{Member, plan_waves};
use crate::ledger::Amounts;

/// What a group needs at the site that takes it, beside what it uses there as a standby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The group.
    pub member: Member,
    /// What it needs.
    pub amounts: Amounts,
}

/// Which groups the room is given to: by tier, 0 first, and none whose dependency has to stay behind. A smaller group takes
/// what is left where a greater one of a higher tier does not fit. Groups in a circle of dependencies get none.
#[must_use]
pub fn share_room(room: &Amounts, claims: &[Claim]) -> BTreeMap<String, bool> {
    let members: Vec<Member> = claims.iter().map(|claim| claim.member.clone()).collect();
    let by_name: BTreeMap<&str, &Claim> = claims.iter().map(|claim| (claim.member.name.as_str(), claim)).collect();
    let mut given: BTreeMap<String, bool> = claims.iter().map(|c| (c.member.name.clone(), false)).collect();
    let mut left = *room;
    for name in plan_waves(&members, claims.len().max(1)).waves.iter().flat_map(|wave| &wave.groups) {
        let Some(claim) = by_name.get(name.as_str()) else { continue };
        let behind: BTreeSet<&String> = claim.member.depends_on.iter().filter(|d| *d != name).collect();
        let needs = !claim.member.is_platform() && behind.iter().any(|d| given.get(*d) == Some(&false));
        if !needs && let Some(rest) = left.checked_sub(&claim.amounts) {
            left = rest;
            given.insert(name.clone(), true);
        }
    }
    given
}
