//! Why a move goes on, waits or is refused: one enum for decisions, status and metrics, with a sentence for people.

mod chinese;
mod english;
#[cfg(test)]
pub(super) mod examples;

use serde::{Deserialize, Serialize};

use super::Step;

/// A language that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    English,
    /// Chinese, in simplified characters.
    Chinese,
}

/// Why a move goes on, waits or is refused.
///
/// Stands in journals, which the other site may read under another release: a code that a release does not know is read as
/// [`Reason::Unknown`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    /// Nothing stands in the way of what follows.
    Going {
        /// The step it is at.
        step: Step,
    },
    /// The execution has ended.
    Over,
    /// The reader's site has no part in it.
    NotConcerned {
        /// The site.
        site: String,
    },
    /// Another replica acts for the site.
    NotLeader,
    /// Another site drives at this point.
    NotDriver {
        /// The site that drives.
        site: String,
    },
    /// The site has fenced itself.
    Fenced {
        /// The site.
        site: String,
    },
    /// A transaction was sent and its outcome is not known.
    AnswerOutstanding,
    /// The records that are seen are older than others that are seen.
    StaleView,
    /// A provider has seen a higher token.
    TokenRefused,
    /// Record and journal contradict each other.
    Contradiction,
    /// The arbiter was restored and the group is held by nobody.
    Unconfirmed,
    /// The record names no execution although this one had begun.
    NotBegun,
    /// Another execution moves the group.
    OtherExecution {
        /// Its id.
        execution: String,
    },
    /// The group went on without this execution.
    Superseded {
        /// The epoch that the group has now.
        epoch: u64,
    },
    /// The group's epoch is another one than the asker saw.
    EpochMoved {
        /// What the asker saw.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// Somebody asked to take it back.
    AbortAsked,
    /// Somebody asked it to wait.
    PauseAsked,
    /// The source took the group back.
    Reclaimed,
    /// More people have to agree.
    ApprovalsLacking {
        /// How many different people have.
        given: u64,
        /// How many have to.
        wanted: u64,
    },
    /// A hold covers the group.
    Held {
        /// The hold's scope.
        scope: String,
    },
    /// Clones of a drill have to be taken away first.
    DrillRunning,
    /// A drill has a machine of its own.
    DrillIsElsewhere,
    /// Other groups come first.
    WaitsFor {
        /// Which.
        groups: Vec<String>,
    },
    /// It depends on groups that do not go on by themselves.
    DependsOnStuck {
        /// Which.
        groups: Vec<String>,
    },
    /// The source is not healthy, as a planned move needs.
    SourceNotReady {
        /// The source.
        site: String,
    },
    /// The source is not heard.
    SourceSilent {
        /// The source.
        site: String,
    },
    /// The former source does not follow yet.
    SourceNotFollowing {
        /// The former source.
        site: String,
    },
    /// The group is not ready at the target.
    TargetNotReady {
        /// The target.
        site: String,
    },
    /// The target is not heard.
    TargetSilent {
        /// The target.
        site: String,
    },
    /// The target has not got everything yet.
    TargetBehind {
        /// The target.
        site: String,
    },
    /// The data at the standby does not follow.
    StandbyNotFollowing {
        /// The standby.
        site: String,
    },
    /// No other site is known.
    NoOtherSite,
    /// The target has no room.
    NoRoom {
        /// The target.
        site: String,
    },
    /// Nobody can tell whether the target has room.
    RoomUnknown {
        /// The target.
        site: String,
    },
    /// Nobody can tell how far the target is behind.
    LagUnknown {
        /// The target.
        site: String,
    },
    /// The target is too far behind for a planned move.
    LagTooGreat {
        /// The target.
        site: String,
        /// How far, in seconds.
        lag: u64,
        /// How far it may be, in seconds.
        most: u64,
    },
    /// More could be lost than the RPO allows.
    RpoExceeded {
        /// How much, in seconds.
        exposure: u64,
        /// The RPO, in seconds.
        rpo: u64,
    },
    /// Nobody can tell how much could be lost.
    RpoUnknown {
        /// The RPO, in seconds.
        rpo: u64,
    },
    /// More could be lost than was consented to.
    MoreThanAccepted {
        /// How much, in seconds.
        exposure: u64,
        /// What was consented to, in seconds.
        accepted: u64,
    },
    /// The holder's heartbeats have not been silent for long enough.
    HolderAlive {
        /// The holder.
        site: String,
        /// For how long, in seconds.
        silent: u64,
        /// For how long they have to be, in seconds.
        least: u64,
    },
    /// The holder's heartbeats are not watched.
    HolderUnwatched {
        /// The holder.
        site: String,
    },
    /// The holder was heard again before anything was done.
    HolderReturned {
        /// The holder.
        site: String,
    },
    /// The reader's site holds the group.
    HeldHere,
    /// The group was released and is not claimed yet.
    ReleasedTo {
        /// Who may claim it.
        site: String,
    },
    /// The group moves by hand only.
    NotAutomatic,
    /// The target has not been ready for long enough.
    NotReadyLongEnough {
        /// The target.
        site: String,
        /// For how long, in seconds.
        ready: u64,
        /// For how long it has to be, in seconds.
        least: u64,
    },
    /// The group has not been where it is for long enough.
    Dwelling {
        /// For how long, in seconds.
        here: u64,
        /// For how long it has to be, in seconds.
        least: u64,
    },
    /// The group has failed over by itself too often.
    TooManyFailovers {
        /// How often within a day.
        lately: u32,
        /// How often it may.
        most: u32,
    },
    /// A step has passed its deadline.
    TooLong {
        /// The step.
        step: Step,
    },
    /// A call failed; it is tried again.
    CallFailed {
        /// Which call.
        what: String,
        /// What went wrong, in one line.
        why: String,
    },
    /// The target did not claim in time.
    ClaimTooLate {
        /// The target.
        site: String,
    },
    /// The group is released, and the target may claim it.
    AwaitsClaim {
        /// The target.
        site: String,
    },
    /// Not every replica of the source has seen the release.
    ReleaseNotSeen {
        /// The source.
        site: String,
    },
    /// No proof that the source is fenced is recorded.
    NoFenceProof,
    /// The arbiter cannot lose another member.
    NoTolerance,
    /// The group has no data that Tandem moves.
    GateOnly,
    /// What the operators show the group's data service is not there, or is of no use.
    SecretMissing {
        /// The site.
        site: String,
        /// The Secret's name.
        secret: String,
    },
    /// No data service is named for a site.
    NoEndpoint {
        /// The site.
        site: String,
    },
    /// A data service does not say how its data stands.
    ProviderSilent {
        /// The site.
        site: String,
        /// What went wrong, in one line.
        why: String,
    },
    /// A setting is below the platform's floor.
    BelowFloor {
        /// The field.
        field: String,
        /// What it says, in seconds.
        seconds: u64,
        /// The floor, in seconds.
        least: u64,
    },
    /// A setting is above the platform's ceiling.
    AboveCeiling {
        /// The field.
        field: String,
        /// What it says.
        value: u32,
        /// The ceiling.
        most: u32,
    },
    /// An automatic failover could never keep the RPO.
    RpoTooStrictForAutomatic {
        /// The RPO, in seconds.
        rpo: u64,
        /// What it has to be, in seconds.
        least: u64,
    },
    /// A reason that this release does not know.
    #[serde(other)]
    Unknown,
}

/// How many groups a sentence names at most.
const NAMED_MOST: usize = 5;

/// The groups that a sentence names, and how many it leaves out.
fn first(groups: &[String]) -> (&[String], usize) {
    let shown = groups.len().min(NAMED_MOST);
    (&groups[..shown], groups.len() - shown)
}

impl Reason {
    /// The sentence for people.
    #[must_use]
    pub fn sentence(&self, language: Language) -> String {
        match language {
            Language::English => english::sentence(self),
            Language::Chinese => chinese::sentence(self),
        }
    }

    /// The name, as it stands in journals and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Going { .. } => "Going",
            Self::Over => "Over",
            Self::NotConcerned { .. } => "NotConcerned",
            Self::NotLeader => "NotLeader",
            Self::NotDriver { .. } => "NotDriver",
            Self::Fenced { .. } => "Fenced",
            Self::AnswerOutstanding => "AnswerOutstanding",
            Self::StaleView => "StaleView",
            Self::TokenRefused => "TokenRefused",
            Self::Contradiction => "Contradiction",
            Self::Unconfirmed => "Unconfirmed",
            Self::NotBegun => "NotBegun",
            Self::OtherExecution { .. } => "OtherExecution",
            Self::Superseded { .. } => "Superseded",
            Self::EpochMoved { .. } => "EpochMoved",
            Self::AbortAsked => "AbortAsked",
            Self::PauseAsked => "PauseAsked",
            Self::Reclaimed => "Reclaimed",
            Self::ApprovalsLacking { .. } => "ApprovalsLacking",
            Self::Held { .. } => "Held",
            Self::DrillRunning => "DrillRunning",
            Self::DrillIsElsewhere => "DrillIsElsewhere",
            Self::WaitsFor { .. } => "WaitsFor",
            Self::DependsOnStuck { .. } => "DependsOnStuck",
            Self::SourceNotReady { .. } => "SourceNotReady",
            Self::SourceSilent { .. } => "SourceSilent",
            Self::SourceNotFollowing { .. } => "SourceNotFollowing",
            Self::TargetNotReady { .. } => "TargetNotReady",
            Self::TargetSilent { .. } => "TargetSilent",
            Self::TargetBehind { .. } => "TargetBehind",
            Self::StandbyNotFollowing { .. } => "StandbyNotFollowing",
            Self::NoOtherSite => "NoOtherSite",
            Self::NoRoom { .. } => "NoRoom",
            Self::RoomUnknown { .. } => "RoomUnknown",
            Self::LagUnknown { .. } => "LagUnknown",
            Self::LagTooGreat { .. } => "LagTooGreat",
            Self::RpoExceeded { .. } => "RpoExceeded",
            Self::RpoUnknown { .. } => "RpoUnknown",
            Self::MoreThanAccepted { .. } => "MoreThanAccepted",
            Self::HolderAlive { .. } => "HolderAlive",
            Self::HolderUnwatched { .. } => "HolderUnwatched",
            Self::HolderReturned { .. } => "HolderReturned",
            Self::HeldHere => "HeldHere",
            Self::ReleasedTo { .. } => "ReleasedTo",
            Self::NotAutomatic => "NotAutomatic",
            Self::NotReadyLongEnough { .. } => "NotReadyLongEnough",
            Self::Dwelling { .. } => "Dwelling",
            Self::TooManyFailovers { .. } => "TooManyFailovers",
            Self::TooLong { .. } => "TooLong",
            Self::CallFailed { .. } => "CallFailed",
            Self::ClaimTooLate { .. } => "ClaimTooLate",
            Self::AwaitsClaim { .. } => "AwaitsClaim",
            Self::ReleaseNotSeen { .. } => "ReleaseNotSeen",
            Self::NoFenceProof => "NoFenceProof",
            Self::NoTolerance => "NoTolerance",
            Self::GateOnly => "GateOnly",
            Self::SecretMissing { .. } => "SecretMissing",
            Self::NoEndpoint { .. } => "NoEndpoint",
            Self::ProviderSilent { .. } => "ProviderSilent",
            Self::BelowFloor { .. } => "BelowFloor",
            Self::AboveCeiling { .. } => "AboveCeiling",
            Self::RpoTooStrictForAutomatic { .. } => "RpoTooStrictForAutomatic",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether it is the same reason, whatever its figures, which move by themselves.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Step {
    /// The step's name for people.
    #[must_use]
    pub fn name(self, language: Language) -> &'static str {
        match language {
            Language::English => english::step(self),
            Language::Chinese => chinese::step(self),
        }
    }
}
