//! Who acts, and what they may see.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tandem_crds::DecisionRole;

/// Names that begin so are Tandem's own: nobody signs in with one.
pub const OWN_NAMES: &str = "tandem:";

/// What somebody is, as the API has it from the sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Administers the environments of one unit.
    AgencyAdmin,
    /// Looks at the environments of one unit.
    AgencyViewer,
    /// Platform operator (系统管理员).
    Platform,
    /// Security administrator (安全管理员).
    Security,
    /// Auditor (审计管理员): reads everything, writes nothing.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::AgencyAdmin, Self::AgencyViewer, Self::Platform, Self::Security, Self::Auditor];

    /// The name as it stands in requests and in the audit chain.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgencyAdmin => "AgencyAdmin",
            Self::AgencyViewer => "AgencyViewer",
            Self::Platform => "Platform",
            Self::Security => "Security",
            Self::Auditor => "Auditor",
        }
    }

    /// The name in Chinese.
    #[must_use]
    pub fn chinese(self) -> &'static str {
        match self {
            Self::AgencyAdmin => "单位管理员",
            Self::AgencyViewer => "单位查看员",
            Self::Platform => "系统管理员",
            Self::Security => "安全管理员",
            Self::Auditor => "审计管理员",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<DecisionRole> for Role {
    fn from(role: DecisionRole) -> Self {
        match role {
            DecisionRole::Platform => Self::Platform,
            DecisionRole::Security => Self::Security,
        }
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name that they signed in with. One person has one name, however they sign in.
    pub name: String,
    /// The unit of an agency's people.
    pub unit: Option<String>,
    /// What they are.
    pub roles: BTreeSet<Role>,
}

impl Principal {
    /// Whether they have a role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Whether they may know that something of this unit exists. What they may not is `404` to them, not `403`.
    #[must_use]
    pub fn sees(&self, unit: &str) -> bool {
        let everything = [Role::Platform, Role::Security, Role::Auditor].into_iter().any(|role| self.is(role));
        everything || self.of_unit(Role::AgencyAdmin, unit) || self.of_unit(Role::AgencyViewer, unit)
    }

    /// Whether they administer this unit's environments.
    #[must_use]
    pub fn administers(&self, unit: &str) -> bool {
        self.of_unit(Role::AgencyAdmin, unit)
    }

    fn of_unit(&self, role: Role, unit: &str) -> bool {
        self.is(role) && self.unit.as_deref() == Some(unit)
    }
}
