//! What the site that rehearses does next for one group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tandem_crds::{DrilledClone, Why};

use super::{Cause, DrillResult, DrillStep, GroupDrill};
use crate::failover::{Exposure, Now, Phase, Reason, Replication, Situation, data_lost, exposure};

/// What is known of one group of a drill at the site that rehearses.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// What is known of the group.
    pub situation: &'a Situation,
    /// The execution of a real move of the group that is not over.
    pub moves: Option<String>,
    /// Somebody asked to take the drill back.
    pub abort: bool,
    /// The drill's object is gone although it had begun.
    pub deleted: bool,
    /// It may begin now; see [`turn`].
    pub turn: bool,
    /// What keeps clones from being made; looked at only before it begins.
    pub wrong: Vec<Cause>,
    /// What to know beside the result; likewise.
    pub notes: Vec<Cause>,
    /// What clones need is there.
    pub prepared: bool,
    /// The clones as they are wanted, and as they stand.
    pub clones: Vec<DrilledClone>,
    /// What the cluster will not take however often it is tried.
    pub refused: Option<Cause>,
    /// Something of the drill is left in the cluster.
    pub left: bool,
    /// Since when this replica has seen the group at its step, on its boot clock.
    pub since: Duration,
    /// This replica itself put the step, so that `since` is when it began.
    pub own: bool,
    /// For how long clones are waited for.
    pub deadline: Duration,
}

/// What to do next. Each may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Wait,
    /// Make what clones need.
    Prepare,
    /// Make the clones.
    Clone,
    /// Take away what was made.
    Sweep,
    /// Put this for the group into the drill's record.
    Put(Box<GroupDrill>),
}

/// What the site that rehearses does next for one group. `standing` is how the group stands in the record.
#[must_use]
pub fn next(standing: Option<&GroupDrill>, seen: &Seen<'_>, now: Now) -> Next {
    let s = seen.situation;
    if !s.leads || s.fenced {
        return Next::Wait;
    }
    let Some(drill) = standing else { return begin(seen, now) };
    let late = now.boot.saturating_sub(seen.since) >= seen.deadline;
    match drill.step {
        DrillStep::Completed => Next::Wait,
        DrillStep::Sweeping if seen.left => Next::Sweep,
        DrillStep::Sweeping => put(GroupDrill { step: DrillStep::Completed, ended: Some(now.wall), ..drill.clone() }),
        DrillStep::Preparing | DrillStep::Cloning => {
            if let Some((result, cause)) = stop(seen, Some(drill.epoch)) {
                return end(drill, seen, result, vec![Why::from(&cause)]);
            }
            if let Some(cause) = &seen.refused {
                return end(drill, seen, DrillResult::Failed, vec![Why::from(cause)]);
            }
            if drill.step == DrillStep::Cloning && is_ready(&seen.clones) {
                return measured(drill, seen, now);
            }
            if late {
                let cause = Cause::NotReady { seconds: seen.deadline.as_secs(), waiting: waiting(&seen.clones) };
                return end(drill, seen, DrillResult::Failed, vec![Why::from(&cause)]);
            }
            match drill.step {
                DrillStep::Preparing if !seen.prepared => Next::Prepare,
                DrillStep::Preparing => {
                    put(GroupDrill { step: DrillStep::Cloning, cloned: Some(now.wall), ..drill.clone() })
                }
                _ => Next::Clone,
            }
        }
    }
}

fn put(drill: GroupDrill) -> Next {
    Next::Put(Box::new(drill))
}

fn fresh(epoch: u64, now: Now) -> GroupDrill {
    GroupDrill {
        step: DrillStep::Preparing,
        result: None,
        epoch,
        began: now.wall,
        cloned: None,
        ended: None,
        rto_millis: None,
        rpo_millis: None,
        why: Vec::new(),
        notes: Vec::new(),
        clones: Vec::new(),
    }
}

fn begin(seen: &Seen<'_>, now: Now) -> Next {
    let s = seen.situation;
    let fresh = GroupDrill { notes: seen.notes.iter().map(Why::from).collect(), ..fresh(s.record.epoch, now) };
    let not = |result, why: Vec<Why>| {
        let step = DrillStep::Completed;
        put(GroupDrill { step, result: Some(result), ended: Some(now.wall), why, ..fresh.clone() })
    };
    if seen.abort {
        return not(DrillResult::Aborted, vec![Why::from(&Cause::Rule(Reason::AbortAsked))]);
    }
    if !seen.turn {
        return Next::Wait;
    }
    if let Some((_, cause)) = stop(seen, None) {
        return not(DrillResult::NotDrilled, vec![Why::from(&cause)]);
    }
    if !seen.wrong.is_empty() {
        return not(DrillResult::NotDrilled, seen.wrong.iter().map(Why::from).collect());
    }
    let data = s.data(&s.me);
    // As readiness has it: were the holder lost now, what its last report leaves open would be open.
    let open = exposure(s.policy.replication, data, None, s.policy.timing.fence_after(), now.boot);
    let mut notes = fresh.notes.clone();
    notes.push(Why::from(&match s.policy.replication {
        Replication::NoData => Cause::Rule(Reason::GateOnly),
        _ => Cause::DataStood { data: data.copied() },
    }));
    put(GroupDrill {
        rpo_millis: match open {
            Exposure::Within(open) => Some(millis(open)),
            Exposure::Nothing | Exposure::Unknown => None,
        },
        why: data_lost(s, &s.me, now.boot).iter().map(Why::from).collect(),
        notes,
        ..fresh
    })
}

/// Why a drill may not go on, or begin: what is real comes first.
fn stop(seen: &Seen<'_>, epoch: Option<u64>) -> Option<(DrillResult, Cause)> {
    let record = &seen.situation.record;
    let real = if record.active == seen.situation.me {
        Some(Reason::HeldHere)
    } else if let Some(execution) = record.execution.as_ref().or(seen.moves.as_ref()) {
        Some(Reason::OtherExecution { execution: execution.clone() })
    } else if let Some(expected) = epoch.filter(|epoch| *epoch != record.epoch) {
        Some(Reason::EpochMoved { expected, found: record.epoch })
    } else {
        match &record.phase {
            Phase::Held => None,
            Phase::Released { to } => Some(Reason::ReleasedTo { site: to.clone() }),
            Phase::Unconfirmed => Some(Reason::Unconfirmed),
        }
    };
    if let Some(reason) = real {
        return Some((DrillResult::Swept, reason.into()));
    }
    if seen.deleted {
        return Some((DrillResult::Aborted, Cause::Deleted));
    }
    seen.abort.then(|| (DrillResult::Aborted, Reason::AbortAsked.into()))
}

fn end(drill: &GroupDrill, seen: &Seen<'_>, result: DrillResult, more: Vec<Why>) -> Next {
    let mut ended = drill.clone();
    ended.step = DrillStep::Sweeping;
    ended.result = Some(result);
    // What was wrong with the data is no reason of what a person or a real move did.
    if !matches!(result, DrillResult::Passed | DrillResult::Failed) {
        ended.why.clear();
    }
    ended.why.extend(more);
    ended.clones.clone_from(&seen.clones);
    put(ended)
}

/// Every clone is ready: how long that took, and whether all is well.
fn measured(drill: &GroupDrill, seen: &Seen<'_>, now: Now) -> Next {
    let mut done = drill.clone();
    done.rto_millis = if seen.own {
        Some(millis(now.boot.saturating_sub(seen.since)))
    } else {
        done.notes.push(Why::from(&Cause::OtherReplica));
        drill.cloned.map(|cloned| u64::try_from(now.wall.duration_since(cloned).as_millis()).unwrap_or(0))
    };
    let result = if drill.why.is_empty() { DrillResult::Passed } else { DrillResult::Failed };
    end(&done, seen, result, Vec::new())
}

fn is_ready(clones: &[DrilledClone]) -> bool {
    !clones.is_empty() && clones.iter().all(|clone| clone.ready >= clone.wanted)
}

fn waiting(clones: &[DrilledClone]) -> Vec<String> {
    let late = clones.iter().filter(|clone| clone.ready < clone.wanted);
    late.map(|clone| {
        let DrilledClone { environment, application, component, ready, wanted, said, .. } = clone;
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        format!("{environment}/{application} {component}: {ready} of {wanted} pods are ready{said}")
    })
    .collect()
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What to do next for a group that is published no more. `left`: something of the drill is in the cluster.
#[must_use]
pub fn without_group(standing: Option<&GroupDrill>, epoch: u64, left: bool, now: Now) -> Next {
    let why = || vec![Why::from(&Cause::GroupGone)];
    let (step, ended) = (DrillStep::Completed, Some(now.wall));
    match standing {
        None => put(GroupDrill { step, ended, result: Some(DrillResult::NotDrilled), why: why(), ..fresh(epoch, now) }),
        Some(drill) if drill.step == DrillStep::Completed => Next::Wait,
        Some(_) if left => Next::Sweep,
        Some(drill) if drill.result.is_some() => put(GroupDrill { step, ended, ..drill.clone() }),
        Some(drill) => put(GroupDrill { step, ended, result: Some(DrillResult::Aborted), why: why(), ..drill.clone() }),
    }
}

/// Which group may begin now; the first that may. `waiting` and `running` have the environments of each; at most `most` run at once,
/// and no two in one environment, since what its quota has left is known only when nothing is on its way into it.
#[must_use]
pub fn turn(
    waiting: &BTreeMap<String, BTreeSet<String>>,
    running: &[(String, BTreeSet<String>)],
    most: usize,
) -> Option<String> {
    if running.len() >= most.max(1) {
        return None;
    }
    let may = |group: &String, environments: &BTreeSet<String>| {
        running.iter().all(|(other, taken)| other != group && taken.is_disjoint(environments))
    };
    waiting.iter().find(|(group, environments)| may(group, environments)).map(|(group, _)| group.clone())
}

/// What would keep a drill of a group at `site` from beginning, as far as what is shown of the group tells.
#[must_use]
pub fn refusals(situation: &Situation, site: &str) -> Vec<Reason> {
    let s = situation;
    let mut wrong = Vec::new();
    if s.record.phase == Phase::Unconfirmed {
        wrong.push(Reason::Unconfirmed);
    }
    if let Phase::Released { to } = &s.record.phase {
        wrong.push(Reason::ReleasedTo { site: to.clone() });
    }
    if let Some(execution) = &s.record.execution {
        wrong.push(Reason::OtherExecution { execution: execution.clone() });
    }
    if !s.heard(site) {
        wrong.push(Reason::TargetSilent { site: site.to_owned() });
    }
    wrong
}
