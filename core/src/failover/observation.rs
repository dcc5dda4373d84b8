//! What a replica knows when it decides.
//!
//! Times are readings of the reader's own boot clock. Where a field says *since*, it is when **this** replica first saw
//! it, so that no other clock is trusted; a replica that starts anew starts counting anew.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Approval, Dropped, Effect, EffectKind, Failures, Policy, Reason, Token, Turn};

/// The time, as the caller reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Boot-time monotonic clock: every decision is made by it.
    pub boot: Duration,
    /// Wall clock: written down for people, never decided by.
    pub wall: jiff::Timestamp,
}

/// Where a group's record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The active site holds it.
    Held,
    /// The active site has let go.
    Released {
        /// The only site that may claim it.
        to: String,
    },
    /// The arbiter was restored; nobody holds it.
    Unconfirmed,
}

/// A group's record, as this replica applied it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// The site that is active, or was last.
    pub active: String,
    /// The epoch.
    pub epoch: u64,
    /// Where it stands.
    pub phase: Phase,
    /// The execution that is moving the group.
    pub execution: Option<String>,
    /// Automatic failovers within the last day.
    pub failovers_lately: u32,
    /// Since when this revision of the record is seen.
    pub since: Duration,
    /// Since when this epoch is seen.
    pub epoch_since: Duration,
}

impl GroupView {
    /// Whether the site holds the group by this record.
    #[must_use]
    pub fn held_by(&self, site: &str) -> bool {
        self.phase == Phase::Held && self.active == site
    }
}

/// How long the holder's heartbeats have been silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Newest revision among the holder's `members/`.
    pub newest: i64,
    /// Since when that revision is seen and no newer one.
    pub since: Duration,
}

/// What a provider says its data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "DataRole")]
pub enum Role {
    /// Takes writes.
    Active,
    /// Was active; refuses writers.
    Quiesced,
    /// Follows the other site.
    Standby,
    /// Cut off from writers, follows nobody.
    Fenced,
    /// Cannot be told.
    Unknown,
}

/// A provider's report on a group's data at one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// What it is.
    pub role: Role,
    /// How far it has come, in the provider's own unit; positions of both sites compare. A standby whose position is
    /// not below the final one of the active has everything.
    pub position: Option<u64>,
    /// How far it is behind the active data at the time of the report; `None` where that is not known.
    pub lag: Option<Duration>,
    /// Nothing was acknowledged that this standby has not got, and the active cannot stop waiting for it by itself.
    pub synchronous: bool,
    /// Since when this report is seen.
    pub since: Duration,
    /// What it dropped to follow, where it can tell.
    pub dropped: Option<Dropped>,
}

/// What is known of a group at one site: at the reader's own from itself, at the other from the arbiter's `status/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteView {
    /// The site's heartbeats move; for the reader's own site: it is not fenced.
    pub heard: bool,
    /// Since when the group has been ready there, for the part that it has there, without a break; `None`: it is not.
    pub ready_since: Option<Duration>,
    /// Whether the site could run the group as active now; `None` where that is not known.
    pub room: Option<bool>,
    /// The provider's newest report; `None` where there is none.
    pub data: Option<Data>,
    /// Why there is none although there should be; `None` where that is not known, or nothing is wrong.
    pub trouble: Option<Reason>,
}

/// What a replica knows of one group, apart from any execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The reader's site.
    pub me: String,
    /// This replica leads its site.
    pub leads: bool,
    /// This site is fenced by its own deadline.
    pub fenced: bool,
    /// The arbiter's generation.
    pub generation: u64,
    /// The group's record.
    pub record: GroupView,
    /// The scope of a hold that covers the group (`group/…`, `site/…`, `all`). A reader that cannot tell says it is held.
    pub hold: Option<String>,
    /// Heartbeats of the record's active site; `None` where they were not watched.
    pub silence: Option<Silence>,
    /// Both sites, by name. A site that is not here is not known, and nothing moves to it.
    pub sites: BTreeMap<String, SiteView>,
    /// A drill of this group may have clones, here or at the other site.
    pub drill: bool,
    /// The group's settings.
    pub policy: Policy,
}

impl Situation {
    /// Whether the holder has been silent for `T`, by the reader's boot clock: the first half of the take-over rule. The
    /// transaction compares the other half.
    #[must_use]
    pub fn holder_expired(&self, now: Duration) -> bool {
        self.silence.is_some_and(|s| now.saturating_sub(s.since) >= self.policy.timing.take_over)
    }

    /// Whether a site is heard.
    #[must_use]
    pub fn heard(&self, site: &str) -> bool {
        self.sites.get(site).is_some_and(|view| view.heard)
    }

    /// Whether the group is ready at a site.
    #[must_use]
    pub fn ready(&self, site: &str) -> bool {
        self.sites.get(site).is_some_and(|view| view.heard && view.ready_since.is_some())
    }

    /// The provider's report at a site.
    #[must_use]
    pub fn data(&self, site: &str) -> Option<&Data> {
        self.sites.get(site)?.data.as_ref()
    }
}

/// Consent to losing what was not replicated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptDataLoss {
    /// The most that may be lost, in seconds. Absent: whatever it is, also where nobody can tell how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
}

/// What people asked for. Immutable but for approvals and the two wishes at the end; an abort is never withdrawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Tandem itself began it, when the newest revision among the holder's heartbeats was this one.
    pub automatic: Option<i64>,
    /// The epoch that the asker saw; another one refuses.
    pub expected_epoch: Option<u64>,
    /// How many people have to agree, where nothing asks for more.
    pub approvals_wanted: u8,
    /// Consent to a loss of data; needs two people.
    pub accept_data_loss: Option<AcceptDataLoss>,
    /// Move although the target does not report ready (unplanned only); needs two people.
    pub despite_not_ready: bool,
    /// Who has agreed.
    pub approvals: Vec<Approval>,
    /// Somebody asked to take it back.
    pub abort: bool,
    /// Somebody asked it to wait.
    pub paused: bool,
}

/// What became of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was sent and has not answered.
    Running,
    /// It is done.
    Done {
        /// What was seen, in one line.
        note: String,
        /// The final position, where the effect was the final synchronisation; see [`Data::position`].
        position: Option<u64>,
    },
    /// It failed; it may be tried again.
    Failed {
        /// What went wrong, in one line.
        why: String,
        /// When, by the boot clock.
        at: Duration,
    },
    /// A higher token was seen there: this view of the records is old.
    Refused,
}

/// An effect's answer, kept in memory by whoever sent it. One that was forgotten is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The token it was sent with.
    pub token: Token,
    /// What was called.
    pub kind: EffectKind,
    /// What became of it.
    pub answer: Answer,
    /// How often it failed before, under this token.
    pub failures: Failures,
}

impl Answered {
    /// What is remembered once a call was answered so, beside what was of the same group: what belongs to an earlier token is
    /// over, and what failed before under this one is counted.
    pub fn enter(all: &mut Vec<Self>, effect: Effect, answer: Answer) {
        let Effect { kind, token } = effect;
        let before = all.iter().rfind(|known| known.kind == kind && known.token == token);
        let failures = before.map_or_else(Failures::default, |known| match &known.answer {
            Answer::Failed { why, .. } => Failures {
                count: known.failures.count.saturating_add(1),
                last: why.chars().take(FAILURE_MOST).collect(),
            },
            _ => known.failures.clone(),
        });
        all.retain(|known| known.token >= token && known.kind != kind);
        all.push(Self { token, kind, answer, failures });
    }
}

/// Longest account of a failure that is kept, in characters.
const FAILURE_MOST: usize = 200;

/// What a replica knows when it decides for one group in one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The group.
    pub situation: Situation,
    /// `create_revision` of the journal's key.
    pub execution_revision: i64,
    /// Since when this entry of the journal is seen.
    pub journal_since: Duration,
    /// False from when a transaction was sent until its answer, or records read after it, were applied.
    pub settled: bool,
    /// What people asked for.
    pub request: Request,
    /// Whether it is the group's turn among the groups of its execution, see [`start_now`](super::start_now).
    pub turn: Turn,
    /// Every member of the releasing site has seen the release, read linearizably at a revision not before it.
    pub release_seen: bool,
    /// What became of the effects that this replica sent.
    pub answers: Vec<Answered>,
}
