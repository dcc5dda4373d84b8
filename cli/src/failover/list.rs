//! `tandem failover list`: moves, the newest first.

use super::plan_text::{kind, sentence};
use super::table::{self, duration};
use super::watch_text::{Standing, phase, standing};
use crate::language::Lang;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tandem_crds::{Failover, FailoverPhase, FailoverType, Why};

/// A move at one glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoveRow {
    /// The Failover's name.
    pub name: String,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: FailoverType,
    /// The site that the groups leave; absent before the operator has planned it.
    pub from: Option<String>,
    /// The site that they go to.
    pub to: Option<String>,
    /// How it stands as a whole.
    pub phase: FailoverPhase,
    /// How many groups it moves.
    pub groups: usize,
    /// How many of them serve at the target.
    pub serving: usize,
    /// How many of them do not go on: blocked, paused, or in need of a person.
    pub held_up: usize,
    /// How many of the others are at which step.
    pub steps: BTreeMap<String, usize>,
    /// When it was asked for.
    pub asked: Option<Timestamp>,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why it is as it is.
    #[serde(flatten)]
    pub why: Why,
}

impl MoveRow {
    /// How long it takes, or took, in seconds; absent before it has begun.
    #[must_use]
    pub fn seconds(&self, now: Timestamp) -> Option<f64> {
        let took = self.ended.unwrap_or(now).duration_since(self.began?);
        Some(took.as_secs_f64().max(0.0))
    }
}

/// A move at one glance.
#[must_use]
pub fn row(failover: &Failover) -> MoveRow {
    let status = failover.status.clone().unwrap_or_default();
    let time = |time: &Option<MicroTime>| time.as_ref().map(|time| time.0);
    let mut row = MoveRow {
        name: failover.name_any(),
        kind: failover.spec.kind,
        from: status.from.clone().or_else(|| failover.spec.from.clone()),
        to: status.to.clone().or_else(|| failover.spec.to.clone()),
        phase: status.phase,
        groups: status.groups.len(),
        serving: 0,
        held_up: 0,
        steps: BTreeMap::new(),
        asked: failover.creation_timestamp().map(|time| time.0),
        began: time(&status.began),
        ended: time(&status.ended),
        why: Why { reason: status.reason, message: status.message, message_zh: status.message_zh },
    };
    for group in &status.groups {
        match standing(group) {
            Standing::Serving => row.serving += 1,
            Standing::HeldUp | Standing::NeedsHuman => row.held_up += 1,
            Standing::Moving => *row.steps.entry(group.step.clone()).or_default() += 1,
            Standing::Waiting | Standing::Back => {}
        }
    }
    row
}

/// All of them, the newest first.
#[must_use]
pub fn rows(failovers: &[Failover]) -> Vec<MoveRow> {
    let mut rows: Vec<MoveRow> = failovers.iter().map(row).collect();
    rows.sort_by_key(|row| (Reverse(row.asked), row.name.clone()));
    rows
}

/// Moves for people.
#[must_use]
pub fn table(rows: &[MoveRow], now: Timestamp, lang: Lang) -> String {
    if rows.is_empty() {
        return format!("{}\n", lang.say("There are no moves at this site.", "本站点没有切换。"));
    }
    let mut table = table::table(lang.say(
        ["NAME", "TYPE", "FROM", "TO", "PHASE", "GROUPS", "SERVING", "BEGAN", "TOOK", "WHY"],
        ["名称", "类型", "自", "至", "阶段", "组数", "已接管", "开始", "用时", "原因"],
    ));
    for row in rows {
        table.add_row([
            row.name.clone(),
            kind(row.kind, lang).to_owned(),
            row.from.clone().unwrap_or_else(|| "?".to_owned()),
            row.to.clone().unwrap_or_else(|| "?".to_owned()),
            phase(row.phase, lang).to_owned(),
            row.groups.to_string(),
            row.serving.to_string(),
            row.began.map(|began| began.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default(),
            row.seconds(now).map(duration).unwrap_or_default(),
            sentence(&row.why, lang).to_owned(),
        ]);
    }
    table::text(&table)
}
