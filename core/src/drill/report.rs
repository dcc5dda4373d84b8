//! What a drill shows.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tandem_crds::{DrillReport, DrilledGroup, FailoverPhase, FailoverStatus, FailoverWave, GroupMove, Why};

use super::{Drill, DrillResult, DrillStep, GroupDrill};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The request's id.
    pub id: &'a str,
    /// The site at which the groups are active.
    pub from: &'a str,
    /// The site that rehearses.
    pub to: &'a str,
    /// The groups, each with its epoch.
    pub groups: &'a BTreeMap<String, u64>,
    /// It shall wait with groups that have not begun.
    pub paused: bool,
}

/// Whether nothing more will become of a drill.
#[must_use]
pub fn is_over(groups: &BTreeMap<String, u64>, drill: &Drill) -> bool {
    let over = |group: &String| drill.groups.get(group).is_some_and(|group| group.step == DrillStep::Completed);
    groups.keys().all(over)
}

/// How a drill stands as a whole.
#[must_use]
pub fn phase(asked: Asked<'_>, drill: &Drill) -> FailoverPhase {
    let passed = drill.groups.values().filter(|group| group.result == Some(DrillResult::Passed)).count();
    if is_over(asked.groups, drill) {
        return match passed {
            0 => FailoverPhase::RolledBack,
            all if all == asked.groups.len() => FailoverPhase::Completed,
            _ => FailoverPhase::PartlyCompleted,
        };
    }
    if drill.under_way().next().is_some() {
        FailoverPhase::Running
    } else if asked.paused {
        FailoverPhase::Paused
    } else if drill.is_empty() {
        FailoverPhase::Pending
    } else {
        FailoverPhase::Running
    }
}

/// The status of a drill's `Failover`, but for what every status has.
#[must_use]
pub fn status(asked: Asked<'_>, drill: &Drill) -> FailoverStatus {
    let phase = phase(asked, drill);
    let all: Vec<(&String, u64, Option<&GroupDrill>)> =
        asked.groups.iter().map(|(name, epoch)| (name, *epoch, drill.groups.get(name))).collect();
    let begun = || all.iter().filter_map(|(_, _, drill)| *drill);
    let most = |of: fn(&GroupDrill) -> Option<u64>| begun().filter_map(of).max().map(seconds);
    let why = all.iter().find_map(|(name, _, drill)| {
        let why = drill.filter(|drill| drill.result != Some(DrillResult::Passed))?.why.first()?;
        Some(Why {
            reason: why.reason.clone(),
            message: format!("{name}: {}", why.message),
            message_zh: format!("{name}：{}", why.message_zh),
        })
    });
    let why = why.unwrap_or_default();
    FailoverStatus {
        phase,
        execution: Some(asked.id.to_owned()),
        from: Some(asked.from.to_owned()),
        to: Some(asked.to.to_owned()),
        reason: why.reason,
        message: why.message,
        message_zh: why.message_zh,
        began: begun().map(|drill| time(drill.began)).min(),
        ended: phase.ended().then(|| begun().filter_map(|drill| drill.ended.map(time)).max()).flatten(),
        waves: vec![FailoverWave { number: 0, groups: asked.groups.keys().cloned().collect() }],
        groups: all.iter().map(|(name, epoch, drill)| moved(asked, name, *epoch, *drill)).collect(),
        rto_seconds: most(|drill| drill.rto_millis),
        rpo_seconds: most(|drill| drill.rpo_millis),
        drill: Some(DrillReport {
            site: asked.to.to_owned(),
            groups: all.iter().map(|(name, epoch, drill)| drilled(name, *epoch, *drill)).collect(),
        }),
        ..FailoverStatus::default()
    }
}

/// A group among those of a request, as every request shows them.
fn moved(asked: Asked<'_>, name: &str, epoch: u64, drill: Option<&GroupDrill>) -> GroupMove {
    let shown = GroupMove {
        name: name.to_owned(),
        from: asked.from.to_owned(),
        to: asked.to.to_owned(),
        epoch,
        ..GroupMove::default()
    };
    let Some(drill) = drill else { return shown };
    let why = drill.why.first().filter(|_| drill.result.is_some()).cloned().unwrap_or_default();
    GroupMove {
        step: drill.step.as_str().to_owned(),
        began: Some(time(drill.began)),
        ended: drill.ended.map(time),
        reason: why.reason,
        message: why.message,
        message_zh: why.message_zh,
        rto_seconds: drill.rto_millis.map(seconds),
        rpo_seconds: drill.rpo_millis.map(seconds),
        ..shown
    }
}

fn drilled(name: &str, epoch: u64, drill: Option<&GroupDrill>) -> DrilledGroup {
    let Some(drill) = drill else {
        return DrilledGroup { name: name.to_owned(), epoch, ..DrilledGroup::default() };
    };
    let mut said = BTreeSet::new();
    DrilledGroup {
        name: name.to_owned(),
        step: drill.step.as_str().to_owned(),
        result: drill.result.map(|result| result.as_str().to_owned()).unwrap_or_default(),
        epoch: drill.epoch,
        began: Some(time(drill.began)),
        cloned: drill.cloned.map(time),
        ended: drill.ended.map(time),
        rto_seconds: drill.rto_millis.map(seconds),
        rpo_seconds: drill.rpo_millis.map(seconds),
        why: drill.why.clone(),
        notes: drill.notes.iter().filter(|note| said.insert(note.message.clone())).cloned().collect(),
        clones: drill.clones.clone(),
    }
}

#[allow(clippy::cast_precision_loss)] // milliseconds of a drill are few
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// A time as the object bears it: what it would not bear would make it differ from what is shown, for ever.
fn time(at: Timestamp) -> MicroTime {
    MicroTime(at.round(Unit::Microsecond).unwrap_or(at))
}
