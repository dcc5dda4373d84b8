//! What was known at a step, in figures: what a report is made of.
//!
//! No decision is made from it. Every part may be missing: a release that does not know it writes none, and what was not known is
//! not written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::Replication;
use super::{AcceptDataLoss, Data, Exposure, Role, Token};

/// What was known at a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The arbiter's revision of the entry with which the step began. Known from the entry after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_revision: Option<i64>,
    /// The revision of the entry with which it ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_revision: Option<i64>,
    /// The token that the step's calls bore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Calls that failed before they were done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// How the source's data stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Stood>,
    /// How the target's data stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Stood>,
    /// How long the source had been silent when it was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silent>,
    /// What could be lost, as it stood when it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// The people whose approval counted when it was decided, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Every member of the releasing site had seen the release; otherwise `T` had passed since it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_seen: Option<bool>,
    /// What the former source dropped to follow again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
}

impl Facts {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Calls that failed before they were done, as far as the driver that had them done remembers: at least so many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "CallFailures")]
pub struct Failures {
    /// How many.
    pub count: u32,
    /// What went wrong with the last, in one line.
    pub last: String,
}

/// How a group's data stood at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DataStood")]
pub struct Stood {
    /// What it was; `None` where only the position was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How far it had come, in the provider's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// How far it was behind, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_millis: Option<u64>,
    /// How old the report was, on the reader's boot clock, in milliseconds. `None`: it was no report but the answer to the step's
    /// own call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_millis: Option<u64>,
}

impl Stood {
    /// The answer to a call.
    #[must_use]
    pub fn answered(position: u64) -> Self {
        Self { role: None, position: Some(position), lag_millis: None, age_millis: None }
    }

    /// A report as it is known at this time of the boot clock.
    #[must_use]
    pub fn reported(data: &Data, now: Duration) -> Self {
        Self {
            role: Some(data.role),
            position: data.position,
            lag_millis: data.lag.map(millis),
            age_millis: Some(millis(now.saturating_sub(data.since))),
        }
    }
}

/// A holder's silence, as the take-over compared it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Silent {
    /// The newest revision among the holder's heartbeats. The transaction compared that none had moved since.
    pub revision: i64,
    /// For how long that was seen unmoved, on the taker's boot clock, in milliseconds.
    pub unmoved_millis: u64,
    /// How long it has to be: `T`, in milliseconds.
    pub take_over_millis: u64,
    /// After how long without an answer the holder fences itself, in milliseconds.
    pub fence_after_millis: u64,
}

/// What could be lost, as it stood when it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// How the data was replicated.
    pub replication: Replication,
    /// What the holder acknowledged within this time could be lost, in milliseconds; `None`: nobody could tell. 0 where the group
    /// has no data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure_millis: Option<u64>,
    /// The most that may be lost by the group's settings, in milliseconds.
    pub rpo_millis: u64,
    /// The consent to more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<AcceptDataLoss>,
}

impl Risk {
    pub(super) fn of(
        replication: Replication,
        exposure: Exposure,
        rpo: Duration,
        accepted: Option<AcceptDataLoss>,
    ) -> Self {
        let exposure_millis = match exposure {
            Exposure::Nothing => Some(0),
            Exposure::Within(within) => Some(millis(within)),
            Exposure::Unknown => None,
        };
        Self { replication, exposure_millis, rpo_millis: millis(rpo), accepted }
    }
}

/// What a former source dropped to follow again: what it had acknowledged and the target never got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DroppedData")]
pub struct Dropped {
    /// The epoch of the demotion that dropped it: another move's is not taken for this one's.
    pub epoch: u64,
    /// The last position that both had.
    pub from: u64,
    /// How far the former source had come. The same as `from`: it looked, and dropped nothing.
    pub to: u64,
    /// How many transactions; `None` where it did not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<u64>,
    /// When the first of them was committed, by the former source's wall clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub first_commit: Option<jiff::Timestamp>,
    /// When the last of them was committed, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last_commit: Option<jiff::Timestamp>,
}

/// What kept an execution where it was, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// The step.
    pub step: super::Step,
    /// When it began, by the driver's wall clock.
    pub at: jiff::Timestamp,
    /// When it was over, likewise; `None` where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<jiff::Timestamp>,
    /// Blocked, Paused or NeedsHuman.
    pub side: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// The same in Chinese.
    pub message_zh: String,
}

/// A duration in whole milliseconds, as many as fit.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
