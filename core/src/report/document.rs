//! The report itself, for programs. Names are stable; times are RFC 3339, durations whole milliseconds.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tandem_crds::{DrillReport, FailoverPhase, FailoverType, Why};

use crate::failover::{AcceptDataLoss, Dropped, Failures, Stood, Token};
use crate::policy::Text;
use crate::sync::spec_hash;

/// The version of the report's form that this release writes.
pub const VERSION: u32 = 1;

/// The report on one failover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverReport {
    /// The version of this form.
    pub version: u32,
    /// The execution's id in the arbiter.
    pub execution: String,
    /// What it was.
    #[serde(rename = "type")]
    pub kind: FailoverType,
    /// The site that the groups left.
    pub from: String,
    /// The site that they went to.
    pub to: String,
    /// How it ended.
    pub phase: FailoverPhase,
    /// Nothing more will be added: every former source follows again, or nothing moved. While false it is written again.
    pub settled: bool,
    /// Who asked, and who agreed.
    pub consent: Consent,
    /// When the first group began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub began: Option<Timestamp>,
    /// When the last group was served, or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// From the one to the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_millis: Option<u64>,
    /// For how long people were not served: the longest of any group.
    pub rto: Measure,
    /// What was lost: the worst of any group.
    pub loss: Loss,
    /// What happened when, in short.
    pub timeline: Vec<Event>,
    /// The order in which groups moved.
    pub waves: Vec<Wave>,
    /// Each group, by name.
    pub groups: Vec<GroupReport>,
    /// What is to be done now.
    pub next: Vec<Text>,
    /// What a rehearsal found; of a drill alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillReport>,
    /// Who wrote this, and when.
    pub written: Written,
}

impl FailoverReport {
    /// SHA-256 of its canonical text (keys sorted, no white space), in 64 hexadecimal digits: what the audit chain has of it.
    #[must_use]
    pub fn digest(&self) -> String {
        // Cannot fail: a map with string keys.
        spec_hash(&serde_json::to_value(self).unwrap_or_default())
    }
}

/// Who wrote a report, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportWritten")]
pub struct Written {
    /// The site.
    pub site: String,
    /// When, by its wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// Who asked, and who agreed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportConsent")]
pub struct Consent {
    /// Nobody asked: it began by itself, as the groups' settings allow.
    pub automatic: bool,
    /// Who asked, as they said; empty where nobody said.
    pub by: String,
    /// The site at which it was asked.
    pub site: String,
    /// When, by the asker's wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Why.
    pub reason: String,
    /// How many people had to agree.
    pub wanted: u64,
    /// Who has agreed.
    pub given: Vec<Given>,
    /// Whose approval counted when it was decided, by the journals; empty where nobody had to agree, or no journal says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<String>,
    /// The consent to losing what was not replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<tandem_crds::DataLoss>")]
    pub accept_data_loss: Option<AcceptDataLoss>,
    /// It was to move although the target did not report ready.
    pub despite_not_ready: bool,
    /// Somebody asked to take it back.
    pub aborted: bool,
}

/// A person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportApproval")]
pub struct Given {
    /// Who.
    pub by: String,
    /// When, by their wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// A time that was measured, and the time that was wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportMeasure")]
pub struct Measure {
    /// What was measured, in milliseconds; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_millis: Option<u64>,
    /// What was wanted, in milliseconds; absent where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_millis: Option<u64>,
    /// Whether it was kept; absent where either is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<bool>,
}

impl Measure {
    pub(super) fn new(measured_millis: Option<u64>, wanted_millis: Option<u64>) -> Self {
        let kept = measured_millis.zip(wanted_millis).map(|(measured, wanted)| measured <= wanted);
        Self { measured_millis, wanted_millis, kept }
    }
}

/// What is said of a loss. The order is that of how bad it is to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LossVerdict")]
pub enum Verdict {
    /// Nothing moved: the source serves on with its own data.
    NotMoved,
    /// The group has no data that Tandem moves.
    NoData,
    /// Nothing was lost: positions prove it.
    None,
    /// The former source came back and said what it dropped.
    Found,
    /// It is not known how much; it is known that it is not more than was promised beforehand.
    Bounded,
    /// It is not known.
    Unknown,
}

/// What was lost, and how that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportLoss")]
pub struct Loss {
    /// What is said of it.
    pub verdict: Verdict,
    /// The exposure when it was decided: what was acknowledged within this time could be lost, in milliseconds. Promised
    /// beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_millis: Option<u64>,
    /// The most that may be lost by the group's settings, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_millis: Option<u64>,
    /// Whether that was kept; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<bool>,
    /// How the source's data stood when it was last heard of; of a planned move its final position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Stood>,
    /// How the target's data stood when it was promoted; of a planned move, before the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Stood>,
    /// The target lacked at least so much of what the source was last heard to have, in the provider's unit: bytes of WAL of
    /// PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_at_least: Option<u64>,
    /// What the former source dropped when it came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// How it is known, and what is not.
    pub because: Text,
}

/// Whether it is proven that the source was fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum FenceState {
    /// Proven before the target was promoted.
    Proven,
    /// Nothing was promoted, so that nothing had to be fenced.
    NotNeeded,
    /// The journal has no proof.
    NotProven,
}

/// How the source was fenced, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FenceProof")]
pub struct Fence {
    /// Whether it is proven.
    pub state: FenceState,
    /// `release`: the source let go itself. `silence`: it was not heard for `T`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub way: String,
    /// The arbiter's revision of the transaction that ended its right: the release, or the take-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// When, by the driver's wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// The token of the fence's call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// The newest revision among the source's heartbeats. The take-over compared that none had moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_revision: Option<i64>,
    /// For how long the target saw that unmoved on its boot clock, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmoved_millis: Option<u64>,
    /// How long it has to be: `T`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over_millis: Option<u64>,
    /// After how long without an answer a site fences itself, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence_after_millis: Option<u64>,
    /// How it is known.
    pub because: Text,
}

/// How a group's move ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum GroupResult {
    /// It serves at the target.
    Served,
    /// It was taken back; the source serves.
    TakenBack,
    /// It did not begin.
    NotBegun,
    /// It was tried on clones, and did not move.
    Rehearsed,
    /// It is under way.
    Open,
}

/// One group's move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupReport {
    /// The group.
    pub name: String,
    /// The number of its wave, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// How it ended.
    pub result: GroupResult,
    /// How far it has come; empty where it did not begin.
    pub step: String,
    /// Why it was taken back, did not begin, or stays where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// The epoch before.
    pub epoch_before: u64,
    /// The epoch after; absent where the journal does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_after: Option<u64>,
    /// For how long it was not served.
    pub rto: Measure,
    /// What was lost.
    pub loss: Loss,
    /// How the source was fenced.
    pub fence: Fence,
    /// What each step left behind.
    pub steps: Vec<StepReport>,
    /// What kept it where it was on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited: Vec<Waited>,
    /// How many of those are not kept.
    #[serde(default)]
    pub more_waited: u32,
    /// Its applications.
    pub applications: Vec<ApplicationReport>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportStep")]
pub struct StepReport {
    /// Which.
    pub step: String,
    /// When it began, by the driver's wall clock.
    #[schemars(with = "String")]
    pub began: Timestamp,
    /// When it ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// From the one to the other, in milliseconds. Where another site's driver ended it, two wall clocks are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_millis: Option<u64>,
    /// `Done`, `SkippedUnreachable`, `SkippedNoData` or `Failed`; empty while it is under way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// What was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The arbiter's revision of the journal's entry with which it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_revision: Option<i64>,
    /// The revision of the one with which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_revision: Option<i64>,
    /// The token of its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Calls that failed before they were done: at least so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// How the source's data stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Stood>,
    /// How the target's data stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Stood>,
}

/// What kept a group where it was for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportWait")]
pub struct Waited {
    /// At which step.
    pub step: String,
    /// `Blocked`, `Paused` or `NeedsHuman`. The last raises an alarm.
    pub side: String,
    /// Since when, by the driver's wall clock.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Until when; absent while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Timestamp>,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: Text,
}

/// One application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportApplication")]
pub struct ApplicationReport {
    /// Its environment.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it was ready at the target when this was written.
    pub ready: bool,
    /// Since when it is known to have been served there: all of a group's were ready when Verifying ended. Absent where it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub served_at: Option<Timestamp>,
    /// Why it is not ready, as its status says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Groups that could move at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "ReportWave")]
pub struct Wave {
    /// Its number, from 0.
    pub number: u32,
    /// The groups.
    pub groups: Vec<String>,
    /// When the first of them began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub began: Option<Timestamp>,
    /// When the last of them was served, or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ReportEvent")]
pub struct Event {
    /// When, by the wall clock of whoever wrote it down.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What.
    pub what: Text,
}
