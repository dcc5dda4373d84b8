//! How a request stands by what was decided: read off the request itself, every time.
//!
//! Nothing is believed because it was checked once. A decision that the rules do not allow counts for nothing here, however
//! it came into the request.

use tandem_crds::{Decision, DecisionOutcome, DecisionRole, EnvironmentRequestSpec, RequestPhase, SecurityProfile};

use super::principal::OWN_NAMES;
use super::rules::RULE;
use crate::check::World;
use crate::sync::spec_hash;

/// How a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits.
    Pending {
        /// For a decision in each of these roles.
        lacking: Vec<DecisionRole>,
    },
    /// Everybody who has to has agreed.
    Approved,
    /// Somebody refused it.
    Rejected {
        /// Who.
        by: String,
        /// In which role.
        role: DecisionRole,
        /// What they had to say.
        note: String,
    },
    /// The agency took it back before it was decided.
    Withdrawn {
        /// Who did.
        by: String,
    },
    /// An approved deletion was called off.
    Undone {
        /// Who did.
        by: String,
    },
}

impl Standing {
    /// The phase that it has while nothing was carried out.
    #[must_use]
    pub fn phase(&self) -> RequestPhase {
        match self {
            Self::Pending { .. } => RequestPhase::Pending,
            Self::Approved => RequestPhase::Approved,
            Self::Rejected { .. } => RequestPhase::Rejected,
            Self::Withdrawn { .. } | Self::Undone { .. } => RequestPhase::Withdrawn,
        }
    }

    /// The standing in Chinese, to stand behind "the request".
    pub(super) fn chinese(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "正在等待审批",
            Self::Approved => "已批准",
            Self::Rejected { .. } => "已被驳回",
            Self::Withdrawn { .. } => "已撤回",
            Self::Undone { .. } => "已撤销",
        }
    }
}

/// The digest of what is asked for: SHA-256 of the specification without what is added to it later. A decision is on this
/// digest, so that an approval of one content never lets another pass.
#[must_use]
pub fn content_digest(request: &EnvironmentRequestSpec) -> String {
    let content = EnvironmentRequestSpec {
        id: None,
        decisions: Vec::new(),
        withdrawn: None,
        undone: None,
        carried_out: None,
        ..request.clone()
    };
    // Cannot fail: the specification is a map with string keys.
    spec_hash(&serde_json::to_value(content).unwrap_or_default())
}

/// Whether the profile that the request's environment is or would be under demands a security decision. Where the profile is
/// not known, it does.
#[must_use]
pub fn demands_security(request: &EnvironmentRequestSpec, world: &World<'_>) -> bool {
    let demands = |profile: Option<&SecurityProfile>| profile.is_none_or(|profile| profile.spec.security_decision);
    let units = || world.units.get(&request.unit).map(|unit| &unit.spec.security_profile);
    match world.environments.get(&request.environment) {
        Some(environment) => demands(world.profile_of(environment)),
        None => demands(request.security_profile.as_ref().or_else(units).and_then(|name| world.profiles.get(name))),
    }
}

/// How a request stands. `demands_security` is what [`demands_security()`] says now.
///
/// What was carried out was approved: a profile that became stricter since does not take that back.
#[must_use]
pub fn standing(request: &EnvironmentRequestSpec, demands_security: bool) -> Standing {
    if request.carried_out.is_none() {
        if let Some(no) = request.decisions.iter().find(|decision| decision.outcome == DecisionOutcome::Reject) {
            return Standing::Rejected { by: no.by.clone(), role: no.role, note: no.note.clone() };
        }
        if let Some(word) = &request.withdrawn {
            return Standing::Withdrawn { by: word.by.clone() };
        }
    }
    if let Some(word) = &request.undone {
        return Standing::Undone { by: word.by.clone() };
    }
    if request.carried_out.is_some() {
        return Standing::Approved;
    }
    let lacking = lacking(request, demands_security);
    if lacking.is_empty() { Standing::Approved } else { Standing::Pending { lacking } }
}

fn lacking(request: &EnvironmentRequestSpec, demands_security: bool) -> Vec<DecisionRole> {
    let platform = approvals(request, DecisionRole::Platform, demands_security);
    if !demands_security {
        return if platform.is_empty() { vec![DecisionRole::Platform] } else { Vec::new() };
    }
    let security = approvals(request, DecisionRole::Security, demands_security);
    let by_two = platform.iter().any(|one| security.iter().any(|other| one.by != other.by));
    match (by_two, platform.is_empty(), security.is_empty()) {
        (true, ..) => Vec::new(),
        (false, true, true) => vec![DecisionRole::Platform, DecisionRole::Security],
        (false, true, false) => vec![DecisionRole::Platform],
        // Both by one person: the second of them is the one that does not count.
        (false, false, _) => vec![DecisionRole::Security],
    }
}

/// The approvals in a role that count.
pub(super) fn approvals(
    request: &EnvironmentRequestSpec,
    role: DecisionRole,
    demands_security: bool,
) -> Vec<&Decision> {
    let digest = content_digest(request);
    let counts = |decision: &&Decision| {
        let somebody = !decision.by.trim().is_empty() && decision.by != request.requested_by.name;
        let person = !decision.by.starts_with(OWN_NAMES);
        let rule = decision.by == RULE && role == DecisionRole::Platform && !demands_security;
        decision.role == role
            && decision.outcome == DecisionOutcome::Approve
            && decision.digest == digest
            && somebody
            && (person || rule)
    };
    request.decisions.iter().filter(counts).collect()
}
