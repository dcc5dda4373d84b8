//! Who may do what: one pure table, as the design (api.md) draws it. Handlers ask it first, then act.
//!
//! Agencies see their own unit; for them, what belongs to others is not there (404), so that nobody learns of it by asking.
//! The three offices are kept apart: the platform operator changes no security profile, the security administrator changes
//! nothing else, the auditor changes nothing.

use crate::identity::{Principal, Role};
use crate::problem::Problem;

/// Something that can be asked of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// See units.
    ReadUnits,
    /// Make, change and delete units.
    WriteUnits,
    /// See environments.
    ReadEnvironments,
    /// See what was asked for.
    ReadRequests,
    /// Ask for an environment, or for one to be changed or deleted.
    WriteRequests,
    /// Call approved deletions off.
    UndoRequests,
    /// Decide on requests, for the platform.
    DecideForPlatform,
    /// Decide on requests, for security.
    DecideForSecurity,
    /// See applications.
    ReadApplications,
    /// Make, change and delete applications.
    WriteApplications,
    /// See sites.
    ReadDataCentres,
    /// Change sites, hold them.
    WriteDataCentres,
    /// See failover groups.
    ReadFailoverGroups,
    /// Change failover groups, hold them.
    WriteFailoverGroups,
    /// See failovers.
    ReadFailovers,
    /// See what a failover would do: it names every unit's groups.
    PlanFailovers,
    /// Ask for failovers, approve and abort them.
    WriteFailovers,
    /// See security profiles.
    ReadSecurityProfiles,
    /// Make, change and delete security profiles.
    WriteSecurityProfiles,
    /// See the rules in force.
    ReadPolicies,
    /// See drift, violations and waivers.
    ReadFindings,
    /// Read the audit chain.
    ReadAudit,
    /// Change how audit is kept. Nobody does that over the API.
    WriteAuditSettings,
}

impl Action {
    /// Every one.
    pub const ALL: [Self; 23] = [
        Self::ReadUnits,
        Self::WriteUnits,
        Self::ReadEnvironments,
        Self::ReadRequests,
        Self::WriteRequests,
        Self::UndoRequests,
        Self::DecideForPlatform,
        Self::DecideForSecurity,
        Self::ReadApplications,
        Self::WriteApplications,
        Self::ReadDataCentres,
        Self::WriteDataCentres,
        Self::ReadFailoverGroups,
        Self::WriteFailoverGroups,
        Self::ReadFailovers,
        Self::PlanFailovers,
        Self::WriteFailovers,
        Self::ReadSecurityProfiles,
        Self::WriteSecurityProfiles,
        Self::ReadPolicies,
        Self::ReadFindings,
        Self::ReadAudit,
        Self::WriteAuditSettings,
    ];
}

/// How far a role reaches with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Not at all.
    No,
    /// The own unit's.
    Own,
    /// Everybody's.
    All,
}

/// The table.
#[must_use]
pub fn reach(action: Action, role: Role) -> Reach {
    use Reach::{All, No, Own};
    // In the order of Role::ALL: agency administrator, agency viewer, platform, security, audit.
    let row = match action {
        Action::ReadUnits
        | Action::ReadEnvironments
        | Action::ReadRequests
        | Action::ReadApplications
        | Action::ReadFailoverGroups
        | Action::ReadFailovers
        | Action::ReadSecurityProfiles => [Own, Own, All, All, All],
        Action::WriteRequests | Action::WriteApplications => [Own, No, No, No, No],
        Action::UndoRequests => [Own, No, All, No, No],
        Action::ReadDataCentres | Action::PlanFailovers => [No, No, All, All, All],
        Action::WriteUnits
        | Action::DecideForPlatform
        | Action::WriteDataCentres
        | Action::WriteFailoverGroups
        | Action::WriteFailovers => [No, No, All, No, No],
        Action::DecideForSecurity | Action::WriteSecurityProfiles => [No, No, No, All, No],
        Action::ReadPolicies | Action::ReadFindings => [Own, Own, No, All, All],
        Action::ReadAudit => [No, No, No, No, All],
        Action::WriteAuditSettings => [No, No, No, No, No],
    };
    match role {
        Role::AgencyAdministrator => row[0],
        Role::AgencyViewer => row[1],
        Role::PlatformOperator => row[2],
        Role::SecurityAdministrator => row[3],
        Role::Auditor => row[4],
    }
}

/// Whose objects somebody may act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    All,
    /// This unit's.
    Unit(String),
}

impl Scope {
    /// Whether what belongs to this unit is within.
    #[must_use]
    pub fn covers(&self, unit: &str) -> bool {
        match self {
            Self::All => true,
            Self::Unit(own) => own == unit,
        }
    }
}

/// Whether somebody may do something, and on whose objects. The furthest of their roles counts.
///
/// # Errors
/// [`Problem::Forbidden`] where no role allows it, or the only ones that do are for a unit and there is none.
pub fn authorise(principal: &Principal, action: Action) -> Result<Scope, Problem> {
    let furthest = principal.roles.iter().map(|role| reach(action, *role)).max().unwrap_or(Reach::No);
    match (furthest, &principal.unit) {
        (Reach::All, _) => Ok(Scope::All),
        (Reach::Own, Some(unit)) => Ok(Scope::Unit(unit.clone())),
        (Reach::Own, None) | (Reach::No, _) => Err(Problem::Forbidden),
    }
}

/// As [`authorise`], for one object by its name: for agencies, what they may not see is not there.
///
/// # Errors
/// [`Problem::NotFound`] for agencies, [`Problem::Forbidden`] for the platform's own people.
pub fn authorise_named(principal: &Principal, action: Action) -> Result<Scope, Problem> {
    authorise(principal, action).map_err(|problem| {
        let office = principal.roles.iter().any(|role| role.is_office());
        if office || principal.roles.is_empty() { problem } else { Problem::NotFound }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Via;
    use std::collections::BTreeSet;

    fn somebody(unit: Option<&str>, roles: &[Role]) -> Principal {
        Principal {
            name: "li".to_owned(),
            unit: unit.map(str::to_owned),
            roles: roles.iter().copied().collect(),
            via: Via::Token,
        }
    }

    /// The table once more, as a person would draw it: A all, o own, - no.
    const DRAWN: &str = "
        ReadUnits              o o A A A
        WriteUnits             - - A - -
        ReadEnvironments       o o A A A
        ReadRequests           o o A A A
        WriteRequests          o - - - -
        UndoRequests           o - A - -
        DecideForPlatform      - - A - -
        DecideForSecurity      - - - A -
        ReadApplications       o o A A A
        WriteApplications      o - - - -
        ReadDataCentres        - - A A A
        WriteDataCentres       - - A - -
        ReadFailoverGroups     o o A A A
        WriteFailoverGroups    - - A - -
        ReadFailovers          o o A A A
        PlanFailovers          - - A A A
        WriteFailovers         - - A - -
        ReadSecurityProfiles   o o A A A
        WriteSecurityProfiles  - - - A -
        ReadPolicies           o o - A A
        ReadFindings           o o - A A
        ReadAudit              - - - - A
        WriteAuditSettings     - - - - -";

    #[test]
    fn the_whole_table() {
        let mut drawn = BTreeSet::new();
        for line in DRAWN.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            let action = Action::ALL.into_iter().find(|action| format!("{action:?}") == name).unwrap();
            for (role, cell) in Role::ALL.into_iter().zip(words) {
                let wanted = match cell {
                    "A" => Reach::All,
                    "o" => Reach::Own,
                    _ => Reach::No,
                };
                assert_eq!(reach(action, role), wanted, "{action:?} {role:?}");
                let scope = authorise(&somebody(Some("health"), &[role]), action);
                let wanted = match wanted {
                    Reach::All => Ok(Scope::All),
                    Reach::Own => Ok(Scope::Unit("health".to_owned())),
                    Reach::No => Err(Problem::Forbidden),
                };
                assert_eq!(scope, wanted, "{action:?} {role:?}");
            }
            drawn.insert(action);
        }
        assert_eq!(drawn.len(), Action::ALL.len());
    }

    #[test]
    fn the_auditor_writes_nothing_and_nobody_has_all_offices_by_one_role() {
        for action in Action::ALL {
            let name = format!("{action:?}");
            let writes = name.starts_with("Write") || name.starts_with("Undo") || name.starts_with("Decide");
            if writes {
                assert_eq!(reach(action, Role::Auditor), Reach::No, "{action:?}");
                assert_eq!(reach(action, Role::AgencyViewer), Reach::No, "{action:?}");
            } else {
                assert_ne!(reach(action, Role::Auditor), Reach::No, "{action:?}");
            }
        }
    }

    #[test]
    fn the_furthest_role_counts_and_an_agency_role_needs_a_unit() {
        let both = somebody(Some("health"), &[Role::AgencyViewer, Role::PlatformOperator]);
        assert_eq!(authorise(&both, Action::ReadUnits), Ok(Scope::All));
        let without = somebody(None, &[Role::AgencyAdministrator]);
        assert_eq!(authorise(&without, Action::ReadUnits), Err(Problem::Forbidden));
        assert_eq!(authorise(&somebody(Some("health"), &[]), Action::ReadUnits), Err(Problem::Forbidden));
    }

    #[test]
    fn a_unit_covers_itself_alone() {
        let own = Scope::Unit("health".to_owned());
        assert!(own.covers("health") && !own.covers("water") && !own.covers("health-2") && !own.covers(""));
        assert!(Scope::All.covers("water"));
    }
}
