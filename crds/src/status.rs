//! Status that every kind has: conditions, and what each site says.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The condition that says whether an object is in order everywhere it has to be.
pub const READY: &str = "Ready";
/// The condition that says whether the desired state is in the arbiter.
pub const PUBLISHED: &str = "Published";

/// Why a condition is as it is. Closed, so that alerts and translations can name every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub enum Reason {
    /// All is as it should be.
    Ready,
    /// The arbiter holds this specification.
    Published,
    /// Work is under way that needs nobody.
    Progressing,
    /// A rule of the resource's schema is broken.
    Invalid,
    /// The object names something that is not there.
    NotFound,
    /// The unit's budget has no room for it.
    OverBudget,
    /// The security profile does not allow it.
    PolicyViolation,
    /// Applications depend on each other in a circle.
    DependencyCycle,
    /// Another application has the host name.
    HostNameTaken,
    /// A Secret that the application names is not in this site.
    SecretMissing,
    /// A namespace or object of that name belongs to somebody else.
    NotOurs,
    /// A workload that the application adopts is not in this site.
    WorkloadMissing,
    /// Pods are not ready.
    PodsNotReady,
    /// Not every site has reported.
    SiteNotReported,
    /// Some site is not ready.
    SiteNotReady,
    /// The arbiter does not answer.
    ArbiterUnreachable,
    /// This site has no authority to publish.
    NotAuthority,
    /// Both sites changed the object; the arbiter's version was kept and the other saved.
    Conflict,
    /// The object bears a revision of the arbiter that the arbiter does not know.
    Quarantined,
    /// Deletion is not allowed as things are.
    DeletionRefused,
    /// Deletion was asked for and waits.
    Deleting,
    /// The mass-change brake holds the follower until a person confirms.
    BrakeTripped,
    /// The unit is suspended: what runs goes on, nothing new is admitted.
    Suspended,
    /// The site is held or under maintenance.
    Maintenance,
    /// The site is paused: it observes and writes nothing.
    Paused,
    /// The API server refused what Tandem sent.
    ApplyFailed,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 26] = [
        Self::Ready,
        Self::Published,
        Self::Progressing,
        Self::Invalid,
        Self::NotFound,
        Self::OverBudget,
        Self::PolicyViolation,
        Self::DependencyCycle,
        Self::HostNameTaken,
        Self::SecretMissing,
        Self::NotOurs,
        Self::WorkloadMissing,
        Self::PodsNotReady,
        Self::SiteNotReported,
        Self::SiteNotReady,
        Self::ArbiterUnreachable,
        Self::NotAuthority,
        Self::Conflict,
        Self::Quarantined,
        Self::DeletionRefused,
        Self::Deleting,
        Self::BrakeTripped,
        Self::Suspended,
        Self::Maintenance,
        Self::Paused,
        Self::ApplyFailed,
    ];

    /// The reason of that name; `None` where this release has none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// The name as it stands in a condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Published => "Published",
            Self::Progressing => "Progressing",
            Self::Invalid => "Invalid",
            Self::NotFound => "NotFound",
            Self::OverBudget => "OverBudget",
            Self::PolicyViolation => "PolicyViolation",
            Self::DependencyCycle => "DependencyCycle",
            Self::HostNameTaken => "HostNameTaken",
            Self::SecretMissing => "SecretMissing",
            Self::NotOurs => "NotOurs",
            Self::WorkloadMissing => "WorkloadMissing",
            Self::PodsNotReady => "PodsNotReady",
            Self::SiteNotReported => "SiteNotReported",
            Self::SiteNotReady => "SiteNotReady",
            Self::ArbiterUnreachable => "ArbiterUnreachable",
            Self::NotAuthority => "NotAuthority",
            Self::Conflict => "Conflict",
            Self::Quarantined => "Quarantined",
            Self::DeletionRefused => "DeletionRefused",
            Self::Deleting => "Deleting",
            Self::BrakeTripped => "BrakeTripped",
            Self::Suspended => "Suspended",
            Self::Maintenance => "Maintenance",
            Self::Paused => "Paused",
            Self::ApplyFailed => "ApplyFailed",
        }
    }
}

/// What one site says of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// The site.
    #[schemars(length(max = 63))]
    pub site: String,
    /// Whether the object is in order there.
    pub ready: bool,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence. Empty when the site is ready.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The arbiter's revision of the specification that the site has applied.
    #[serde(default)]
    pub revision: i64,
    /// Pods ready at the site, of those wanted there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodCount>,
}

/// Pods ready of pods wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodCount {
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that are wanted.
    pub wanted: i32,
}

/// The part of a status that every kind has.
pub trait HasConditions {
    /// The conditions, by type.
    fn conditions(&self) -> &[Condition];
    /// The generation that the status speaks of.
    fn observed_generation(&self) -> Option<i64>;
}

/// What a condition should say now; [`merge`] turns it into the stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionValue {
    /// Such as [`READY`].
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
}

/// Merges what should be said now into the conditions that stand, keeping the time of the last transition where the
/// status did not change and leaving conditions of other types alone.
#[must_use]
pub fn merge(standing: &[Condition], wanted: &[ConditionValue], generation: i64, now: Timestamp) -> Vec<Condition> {
    let mut merged: Vec<Condition> = standing.to_vec();
    for value in wanted {
        let status = if value.holds { "True" } else { "False" };
        let before = standing.iter().find(|c| c.type_ == value.kind);
        let since = match before {
            Some(before) if before.status == status => before.last_transition_time.clone(),
            _ => Time(now),
        };
        let condition = Condition {
            type_: value.kind.to_owned(),
            status: status.to_owned(),
            reason: value.reason.as_str().to_owned(),
            message: value.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: since,
        };
        match merged.iter_mut().find(|c| c.type_ == value.kind) {
            Some(slot) => *slot = condition,
            None => merged.push(condition),
        }
    }
    merged.sort_by(|a, b| a.type_.cmp(&b.type_));
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(holds: bool, reason: Reason) -> ConditionValue {
        ConditionValue { kind: READY, holds, reason, message: String::new() }
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let at = |s: i64| Timestamp::from_second(s).unwrap();
        let first = merge(&[], &[ready(false, Reason::Progressing)], 1, at(10));
        let second = merge(&first, &[ready(false, Reason::OverBudget)], 2, at(20));
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(second[0].reason, "OverBudget");
        assert_eq!(second[0].observed_generation, Some(2));
        let third = merge(&second, &[ready(true, Reason::Ready)], 2, at(30));
        assert_eq!(third[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn what_others_say_is_left_alone() {
        let other = merge(
            &[],
            &[ConditionValue { kind: PUBLISHED, ..ready(true, Reason::Published) }],
            1,
            Timestamp::UNIX_EPOCH,
        );
        let merged = merge(&other, &[ready(true, Reason::Ready)], 1, Timestamp::UNIX_EPOCH);
        assert_eq!(merged.len(), 2);
    }

    #[test]
    fn a_reason_is_written_as_serde_writes_it() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(Reason::named(reason.as_str()), Some(reason));
        }
        let schema = serde_json::to_value(schemars::schema_for!(Reason)).unwrap();
        assert_eq!(schema["oneOf"].as_array().unwrap().len(), Reason::ALL.len(), "none is forgotten");
    }
}
