//! Whether a group would survive the loss of the site that runs it.

use std::time::Duration;

use super::{Phase, Reason, Replication, Role, Situation, exposure, rpo_gate};

/// Whether a group would survive the loss of the site that runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It would.
    Protected {
        /// What to know nevertheless, such as that the group has no data that Tandem moves.
        notes: Vec<Reason>,
    },
    /// It would not, because of all of these.
    Unprotected {
        /// Why.
        reasons: Vec<Reason>,
    },
}

/// What can keep a group from surviving, by the codes of [`Reason`]; the last stands for what another release found.
pub const EXPOSING: [&str; 16] = [
    "ReleasedTo",
    "Unconfirmed",
    "Held",
    "NoTolerance",
    "NoOtherSite",
    "TargetSilent",
    "TargetNotReady",
    "NoRoom",
    "RoomUnknown",
    "StandbyNotFollowing",
    "SecretMissing",
    "NoEndpoint",
    "ProviderSilent",
    "RpoExceeded",
    "RpoUnknown",
    "Unknown",
];

/// Whether a group would survive the loss of its active site now. `tolerance`: the arbiter could lose another member.
///
/// Whether the group may move *by itself* is another question ([`automatic`](super::automatic)): dwell, readiness for some
/// time and the number of failovers do not make a group unprotected, since a person can act.
#[must_use]
pub fn readiness(situation: &Situation, tolerance: bool, now: Duration) -> Readiness {
    let s = situation;
    let mut reasons = Vec::new();
    match &s.record.phase {
        Phase::Held => {}
        Phase::Released { to } => reasons.push(Reason::ReleasedTo { site: to.clone() }),
        Phase::Unconfirmed => reasons.push(Reason::Unconfirmed),
    }
    if let Some(scope) = &s.hold {
        reasons.push(Reason::Held { scope: scope.clone() });
    }
    if !tolerance {
        reasons.push(Reason::NoTolerance);
    }
    match s.sites.iter().find(|(name, _)| **name != s.record.active) {
        None => reasons.push(Reason::NoOtherSite),
        Some((site, view)) if !view.heard => reasons.push(Reason::TargetSilent { site: site.clone() }),
        Some((site, view)) => {
            if view.ready_since.is_none() {
                reasons.push(Reason::TargetNotReady { site: site.clone() });
            }
            match view.room {
                Some(true) => {}
                Some(false) => reasons.push(Reason::NoRoom { site: site.clone() }),
                None => reasons.push(Reason::RoomUnknown { site: site.clone() }),
            }
            reasons.extend(data_lost(s, site, now));
        }
    }
    if !reasons.is_empty() {
        return Readiness::Unprotected { reasons };
    }
    let gate_only = s.policy.replication == Replication::NoData;
    Readiness::Protected { notes: if gate_only { vec![Reason::GateOnly] } else { Vec::new() } }
}

/// What is wrong with the data at a site, were the holder lost now.
pub(crate) fn data_lost(s: &Situation, site: &str, now: Duration) -> Option<Reason> {
    if s.policy.replication == Replication::NoData {
        return None;
    }
    // What is wrong with the holder's provider keeps a planned move from beginning, and would be learnt of too late.
    let troubled = [s.record.active.as_str(), site].into_iter().filter_map(|site| s.sites.get(site));
    if let Some(trouble) = troubled.filter_map(|view| view.trouble.clone()).next() {
        return Some(trouble);
    }
    let report = s.data(site);
    if report.is_none_or(|report| report.role != Role::Standby) {
        return Some(Reason::StandbyNotFollowing { site: site.to_owned() });
    }
    // The holder's silence is left out: were it lost now, what its last report leaves open would be open.
    let exposure = exposure(s.policy.replication, report, None, s.policy.timing.fence_after(), now);
    rpo_gate(exposure, s.policy.rpo, None).err()
}
