//! What the gate answers: status, headers and text, as plain data.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use tandem_core::failover::{Step, Token};

use super::{Gate, Provider};
use crate::deadman::token_text;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Query {
    /// `GET /active/<group>`: is this site active: holder, not fenced, not in between.
    Active(String),
    /// `GET /active`: the same of every group, as a list.
    AllActive,
    /// `GET /holder/<group>`: does the record alone name this site.
    Holder(String),
    /// `GET /promotable/<group>`: holder and not fenced; what a database asks before it promotes itself.
    Promotable(String),
    /// `GET /site`: how this replica stands.
    Site,
}

/// A path that the gate does not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a path of the gate")]
pub struct UnknownPath;

impl FromStr for Query {
    type Err = UnknownPath;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
        match *parts.as_slice() {
            ["active"] => Ok(Self::AllActive),
            ["site"] => Ok(Self::Site),
            ["active", group] if !group.is_empty() => Ok(Self::Active(group.to_owned())),
            ["holder", group] if !group.is_empty() => Ok(Self::Holder(group.to_owned())),
            ["promotable", group] if !group.is_empty() => Ok(Self::Promotable(group.to_owned())),
            _ => Err(UnknownPath),
        }
    }
}

/// Why the answer is what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The site is active.
    Active,
    /// The record names this site.
    Holder,
    /// There is no record of the group.
    Unknown,
    /// A record that was there is not there any more.
    Missing,
    /// The `FailoverGroup` was deleted.
    Retired,
    /// Another site holds the group.
    Elsewhere {
        /// Which.
        active: String,
    },
    /// It was released, and is held by nobody.
    Released {
        /// The site that may claim it.
        to: String,
    },
    /// After a restore of the arbiter nobody holds the group.
    Unconfirmed,
    /// `groups/` has not been read since the start.
    NotRead,
    /// No heartbeat was answered for `T_f`.
    Fenced,
    /// The arbiter is not the one that is known.
    Barred {
        /// In what it differs.
        why: String,
    },
    /// The replica is ending.
    Closed,
    /// An execution is between Quiescing and Promoting.
    Moving {
        /// Its step.
        step: Step,
    },
    /// An execution's journal has not been seen.
    JournalUnknown {
        /// The execution.
        execution: String,
    },
    /// The data does not take writes here.
    Data {
        /// How it stands.
        state: Provider,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Holder => f.write_str("holder"),
            Self::Unknown => f.write_str("there is no record of this group"),
            Self::Missing => f.write_str("the group's record is missing from the arbiter"),
            Self::Retired => f.write_str("the group was deleted"),
            Self::Elsewhere { active } => write!(f, "held by {active}"),
            Self::Released { to } => write!(f, "released to {to}, not claimed yet"),
            Self::Unconfirmed => f.write_str("not confirmed after a restore of the arbiter"),
            Self::NotRead => f.write_str("the arbiter has not been read since the start"),
            Self::Fenced => f.write_str("fenced: the arbiter does not answer"),
            Self::Barred { why } => write!(f, "fenced: {why}"),
            Self::Closed => f.write_str("this replica is ending"),
            Self::Moving { step } => write!(f, "moving: {step:?}"),
            Self::JournalUnknown { execution } => write!(f, "moving: the journal of {execution} has not been read"),
            Self::Data { state } => write!(f, "the data is not writable here: {state:?}"),
        }
    }
}

/// An answer: what an HTTP server makes a response of.
#[derive(Clone, Debug, PartialEq)]
pub struct GateAnswer {
    /// 200, 503, or 404 where there is no such group.
    pub status: u16,
    /// The epoch of the record, where there is one: `Tandem-Epoch`.
    pub epoch: Option<u64>,
    /// How long a yes is good at the most, counted from the *sending* of the question: `Tandem-Valid-For-Ms`. Rounded down.
    pub valid_for: Option<Duration>,
    /// The token of effects under this answer: `Tandem-Token`, for the agent beside a database.
    pub token: Option<Token>,
    /// One line for people; the body where `body` is null.
    pub reason: String,
    /// JSON for the lists; null elsewhere.
    pub body: Value,
}

impl GateAnswer {
    /// The headers, as text.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let epoch = self.epoch.map(|epoch| ("Tandem-Epoch", epoch.to_string()));
        let valid_for = self.valid_for.map(|left| ("Tandem-Valid-For-Ms", left.as_millis().to_string()));
        let token = self.token.as_ref().map(|token| ("Tandem-Token", token_text(token)));
        epoch.into_iter().chain(valid_for).chain(token).collect()
    }
}

impl Gate {
    /// Answers a question at this time of the boot clock.
    #[must_use]
    pub fn answer(&self, query: &Query, now: Duration) -> GateAnswer {
        match query {
            Query::Active(group) => self.one(group, |shown| self.verdict(shown, now).map(Some), Reason::Active),
            Query::Promotable(group) => self.one(group, |shown| self.promotable(shown, now).map(Some), Reason::Holder),
            Query::Holder(group) => {
                // The record only. How long it stands nobody knows, so nothing is said of that.
                let mut answer = self.one(group, |shown| self.holds(shown).map(|()| None), Reason::Holder);
                answer.body = self.groups.get(group).map_or(Value::Null, |shown| json!(shown.record.value));
                answer
            }
            Query::AllActive => self.all(now),
            Query::Site => self.site(now),
        }
    }

    /// For how long the site is active for a group at the most; `None` where it is not. What [`Query::Active`] is answered
    /// with, without its words.
    #[must_use]
    pub fn serves(&self, group: &str, now: Duration) -> Option<Duration> {
        self.verdict(self.groups.get(group)?, now).ok()
    }

    fn one(
        &self,
        group: &str,
        verdict: impl FnOnce(&super::Shown) -> Result<Option<Duration>, Reason>,
        yes: Reason,
    ) -> GateAnswer {
        let Some(shown) = self.groups.get(group) else {
            let reason = if self.deadline.is_none() { Reason::NotRead } else { Reason::Unknown };
            let status = if reason == Reason::Unknown { 404 } else { 503 };
            let reason = reason.to_string();
            return GateAnswer { status, epoch: None, valid_for: None, token: None, reason, body: Value::Null };
        };
        let (status, valid_for, reason) = match verdict(shown) {
            Ok(left) => (200, left, yes),
            Err(reason) => (503, None, reason),
        };
        GateAnswer {
            status,
            epoch: Some(shown.record.value.epoch),
            valid_for,
            token: Some(self.token_of(shown)),
            reason: reason.to_string(),
            body: Value::Null,
        }
    }

    fn all(&self, now: Duration) -> GateAnswer {
        let groups = self.groups.iter().map(|(group, shown)| {
            let verdict = self.verdict(shown, now);
            let reason = verdict.as_ref().err().unwrap_or(&Reason::Active).to_string();
            let record = &shown.record.value;
            json!({
                "group": group, "active": verdict.is_ok(), "epoch": record.epoch, "reason": reason,
                "token": token_text(&self.token_of(shown)),
            })
        });
        let groups: Vec<Value> = groups.collect();
        let valid_for = self.speaks(now).ok();
        let reason = format!("{} groups", groups.len());
        GateAnswer { status: 200, epoch: None, valid_for, token: None, reason, body: Value::Array(groups) }
    }

    fn site(&self, now: Duration) -> GateAnswer {
        let speaks = self.speaks(now);
        let reason = speaks.as_ref().err().map_or_else(|| "not fenced".to_owned(), ToString::to_string);
        let body = json!({
            "site": self.site, "replica": self.replica, "generation": self.generation, "seen": self.seen,
            "fenced": speaks.is_err(), "reason": reason,
        });
        let status = if speaks.is_ok() { 200 } else { 503 };
        GateAnswer { status, epoch: None, valid_for: speaks.ok(), token: None, reason, body }
    }
}
