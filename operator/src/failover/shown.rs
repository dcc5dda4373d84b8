//! What a `Failover` shows: the journals of its execution, folded.

use super::JournalHeld;
use super::orders::{self, Order};
use super::picture::{Picture, wall};
use crate::context::Context;
use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::records::RequestRecord;
use tandem_core::drill;
use tandem_core::failover::{Evidence, ExecutionKind, Journal, Reason, Standing, Step, Turn, standing as stands};
use tandem_core::report::{Verdict, Wanted, loss, without_service};
use tandem_crds::status::{ConditionValue, READY, Reason as Condition, merge};
use tandem_crds::{DrillReport, FailoverPhase, FailoverStatus, FailoverWave, GroupMove, MoveStep, Why};

/// From this many groups on, those that went well leave their steps out: the object would become too large.
const MANY: usize = 100;

/// The status of a request that cannot be carried out as it stands.
pub(super) fn refused(id: &str, why: &Why) -> FailoverStatus {
    FailoverStatus {
        phase: FailoverPhase::Refused,
        execution: Some(id.to_owned()),
        reason: why.reason.clone(),
        message: why.message.clone(),
        message_zh: why.message_zh.clone(),
        ..FailoverStatus::default()
    }
}

/// How a request stands at one moment.
pub(super) struct Looked {
    pub(super) journals: BTreeMap<String, JournalHeld>,
    pub(super) order: Order,
    pub(super) groups: Vec<GroupMove>,
    pub(super) phase: FailoverPhase,
    pub(super) drill: Option<DrillReport>,
    why: Option<Why>,
}

/// How a request stands.
pub(super) fn look(context: &Context, picture: &Picture, id: &str, record: &RequestRecord) -> Looked {
    let journals = context.link.board().execution(id);
    let most = record.max_parallel.unwrap_or(context.config.failover.max_parallel);
    let order = orders::order(picture, record, &journals, most);
    if record.kind == ExecutionKind::Drill {
        let FailoverStatus { phase, groups, drill, .. } = rehearsed(id, record);
        return Looked { journals, order, groups, phase, drill, why: None };
    }
    let groups: Vec<GroupMove> =
        record.groups.keys().map(|name| one(picture, record, name, journals.get(name), &order)).collect();
    let (phase, why) = overall(record, &groups, &journals);
    Looked { journals, order, groups, phase, drill: None, why }
}

/// Whether nothing more will become of a request.
pub(super) fn is_over(context: &Context, picture: &Picture, id: &str, record: &RequestRecord) -> bool {
    look(context, picture, id, record).phase.ended()
}

/// The status of a request.
pub(super) fn status(
    context: &Context,
    picture: &Picture,
    id: &str,
    record: &RequestRecord,
    standing: &FailoverStatus,
) -> FailoverStatus {
    if record.kind == ExecutionKind::Drill {
        return rehearsed(id, record);
    }
    let Looked { order, mut groups, phase, why, .. } = look(context, picture, id, record);
    for group in &mut groups {
        if let Some(before) = standing.groups.iter().find(|before| before.name == group.name) {
            // Figures in a reason move by themselves, and are no news.
            if before.reason == group.reason {
                group.message.clone_from(&before.message);
                group.message_zh.clone_from(&before.message_zh);
            }
        }
    }
    if groups.len() > MANY {
        for group in groups.iter_mut().filter(|group| group.side.is_empty() && group.reason.is_empty()) {
            group.steps.clear();
        }
    }
    let most = |of: fn(&GroupMove) -> Option<f64>| groups.iter().filter_map(of).reduce(f64::max);
    let (rto, rpo) = (most(|group| group.rto_seconds), most(|group| group.rpo_seconds));
    let why = why.filter(|why| why.reason != standing.reason).or_else(|| {
        (!standing.reason.is_empty() && phase == standing.phase).then(|| Why {
            reason: standing.reason.clone(),
            message: standing.message.clone(),
            message_zh: standing.message_zh.clone(),
        })
    });
    let why = if phase.ended() && phase == FailoverPhase::Completed { None } else { why };
    let why = why.unwrap_or_default();
    FailoverStatus {
        phase,
        execution: Some(id.to_owned()),
        from: Some(record.from.clone()),
        to: Some(record.to.clone()),
        reason: why.reason,
        message: why.message,
        message_zh: why.message_zh,
        began: groups.iter().filter_map(|group| group.began.clone()).min(),
        ended: phase.ended().then(|| groups.iter().filter_map(|group| group.ended.clone()).max()).flatten(),
        waves: (0..)
            .zip(&order.waves.waves)
            .map(|(number, wave)| FailoverWave { number, groups: wave.groups.clone() })
            .collect(),
        rto_seconds: rto,
        rpo_seconds: rpo,
        groups,
        ..FailoverStatus::default()
    }
}

/// The status of a drill.
fn rehearsed(id: &str, record: &RequestRecord) -> FailoverStatus {
    let RequestRecord { from, to, groups, paused_at, .. } = record;
    drill::status(drill::Asked { id, from, to, groups, paused: !paused_at.is_empty() }, &record.drill)
}

/// Completes a status with what every status has.
pub(super) fn finish(status: &mut FailoverStatus, standing: &FailoverStatus, generation: i64) {
    let (reason, message) = match status.phase {
        FailoverPhase::Completed if status.drill.is_some() => (Condition::Ready, "every clone was ready".to_owned()),
        FailoverPhase::Completed => (Condition::Ready, "every group serves at the target".to_owned()),
        FailoverPhase::Refused => (Condition::Invalid, status.message.clone()),
        phase if status.message.is_empty() => (Condition::Progressing, phase.as_str().to_owned()),
        _ => (Condition::Progressing, status.message.clone()),
    };
    let holds = status.phase == FailoverPhase::Completed;
    let wanted = [ConditionValue { kind: READY, holds, reason, message }];
    status.conditions = merge(&standing.conditions, &wanted, generation, wall());
    status.observed_generation = Some(generation);
}

fn one(
    picture: &Picture,
    record: &RequestRecord,
    name: &str,
    journal: Option<&JournalHeld>,
    order: &Order,
) -> GroupMove {
    let at = order.waves.waves.iter().position(|wave| wave.groups.iter().any(|group| group == name));
    let mut shown = GroupMove {
        name: name.to_owned(),
        wave: at.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1),
        from: record.from.clone(),
        to: record.to.clone(),
        epoch: picture.groups.get(name).map_or(0, |held| held.record.value.epoch),
        ..GroupMove::default()
    };
    let Some(held) = journal else {
        let why = waiting(picture, record, name, order);
        (shown.reason, shown.message, shown.message_zh) =
            why.map(|w| (w.reason, w.message, w.message_zh)).unwrap_or_default();
        return shown;
    };
    let journal = &held.seen.journal;
    shown.step = format!("{:?}", journal.step);
    let why = match &journal.side {
        Some(side) => {
            side.name().clone_into(&mut shown.side);
            Some(side.why())
        }
        None => journal.why.as_ref(),
    };
    if let Some(why) = why.map(Why::from) {
        (shown.reason, shown.message, shown.message_zh) = (why.reason, why.message, why.message_zh);
    }
    shown.began = journal.evidence.first().map(|first| time(first.begun));
    shown.ended = ended(journal).map(time);
    let wanted = wanted(picture, name);
    shown.rto_seconds = without_service(journal, wanted.take_over_millis).map(seconds);
    shown.rpo_seconds = at_most_lost(journal, &wanted);
    shown.steps = journal.evidence.iter().map(step).collect();
    shown
}

/// Why a group has not begun.
fn waiting(picture: &Picture, record: &RequestRecord, name: &str, order: &Order) -> Option<Why> {
    let held = picture.groups.get(name)?;
    if !orders::begins(picture, record, name) {
        let expected = record.groups.get(name).copied().unwrap_or(0);
        return Some(Why::from(&Reason::EpochMoved { expected, found: held.record.value.epoch }));
    }
    match order.turns.get(name) {
        Some(Turn::Waits { groups }) => Some(Why::from(&Reason::WaitsFor { groups: groups.iter().cloned().collect() })),
        Some(Turn::Stuck { groups }) => {
            Some(Why::from(&Reason::DependsOnStuck { groups: groups.iter().cloned().collect() }))
        }
        _ => held
            .record
            .value
            .execution
            .as_ref()
            .map(|other| Why::from(&Reason::OtherExecution { execution: other.clone() })),
    }
}

/// A journal's time as the object bears it: what it would not bear would make it differ from what is shown, for ever.
fn time(at: Timestamp) -> MicroTime {
    MicroTime(at.round(Unit::Microsecond).unwrap_or(at))
}

fn step(evidence: &Evidence) -> MoveStep {
    MoveStep {
        step: format!("{:?}", evidence.step),
        began: Some(time(evidence.begun)),
        ended: evidence.ended.map(time),
        outcome: evidence.outcome.map(|outcome| format!("{outcome:?}")).unwrap_or_default(),
        evidence: evidence.note.clone(),
    }
}

fn begun(journal: &Journal, step: Step) -> Option<Timestamp> {
    journal.evidence.iter().find(|evidence| evidence.step == step).map(|evidence| evidence.begun)
}

/// When a group served at the target, or had been taken back.
fn ended(journal: &Journal) -> Option<Timestamp> {
    begun(journal, Step::Completed).or_else(|| {
        let last = journal.evidence.last().filter(|_| journal.over)?;
        Some(last.ended.unwrap_or(last.begun))
    })
}

/// What a group's settings ask for, as they are now.
pub(super) fn wanted(picture: &Picture, name: &str) -> Wanted {
    let Some(facts) = picture.facts.get(name) else { return Wanted::default() };
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).ok();
    Wanted {
        rto_millis: None,
        rpo_millis: millis(facts.policy.rpo),
        take_over_millis: millis(facts.policy.timing.take_over),
    }
}

#[allow(clippy::cast_precision_loss)] // no move takes 2^53 ms
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// The most that a group may have lost, in seconds: what was promised when it was decided; `None` where nobody can tell.
fn at_most_lost(journal: &Journal, wanted: &Wanted) -> Option<f64> {
    let loss = loss(journal, wanted);
    match loss.verdict {
        Verdict::None => Some(0.0),
        Verdict::NotMoved | Verdict::NoData | Verdict::Unknown => None,
        Verdict::Found | Verdict::Bounded => loss.at_most_millis.map(seconds),
    }
}

/// How the request stands as a whole, and why.
fn overall(
    record: &RequestRecord,
    groups: &[GroupMove],
    journals: &BTreeMap<String, JournalHeld>,
) -> (FailoverPhase, Option<Why>) {
    let standing = |group: &GroupMove| match journals.get(&group.name) {
        Some(held) => Some(stands(&held.seen.journal)),
        // Moved by something else, or never to begin.
        None if record.abort || group.reason == "EpochMoved" || group.reason == "DependsOnStuck" => {
            Some(Standing::Back)
        }
        None => None,
    };
    let of = |wanted: Standing| groups.iter().filter(|group| standing(group) == Some(wanted)).count();
    let serving = of(Standing::Serving);
    let first = |wanted: fn(&GroupMove) -> bool| {
        groups.iter().find(|group| wanted(group) && !group.reason.is_empty()).map(|group| Why {
            reason: group.reason.clone(),
            message: format!("{}: {}", group.name, group.message),
            message_zh: format!("{}：{}", group.name, group.message_zh),
        })
    };
    let any = first(|_| true);
    if of(Standing::NeedsHuman) > 0 {
        return (FailoverPhase::NeedsHuman, first(|group| group.side == "NeedsHuman"));
    }
    if serving + of(Standing::Back) == groups.len() {
        return match serving {
            0 => (FailoverPhase::RolledBack, any),
            all if all == groups.len() => (FailoverPhase::Completed, None),
            _ => (FailoverPhase::PartlyCompleted, first(|group| group.step.is_empty() || group.step == "RolledBack")),
        };
    }
    if of(Standing::Moving) > 0 {
        return (FailoverPhase::Running, first(|group| !group.side.is_empty()));
    }
    if !record.paused_at.is_empty() {
        return (FailoverPhase::Paused, Some(Why::from(&Reason::PauseAsked)));
    }
    if groups.iter().any(|group| group.step == "AwaitingApproval" && group.side.is_empty()) {
        return (FailoverPhase::AwaitingApproval, any);
    }
    if of(Standing::Blocked) > 0 {
        return (FailoverPhase::Blocked, first(|group| group.side == "Blocked"));
    }
    (if journals.is_empty() { FailoverPhase::Pending } else { FailoverPhase::Running }, any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_arbiter::records::JournalSeen;
    use tandem_core::failover::{ExecutionKind, Outcome};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(groups: &[&str]) -> RequestRecord {
        serde_json::from_value(serde_json::json!({
            "kind": "Switchover", "from": "dc-a", "to": "dc-b", "by": "wang", "site": "dc-a", "at": at(0),
            "groups": groups.iter().map(|group| ((*group).to_owned(), 3)).collect::<BTreeMap<_, _>>(),
        }))
        .unwrap()
    }

    fn planned(step: Step) -> Journal {
        let first = Journal::new(("x", "g"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 3, at(10));
        let mut journal = first;
        for (next, second) in
            [(Step::Fencing, 20), (Step::EpochCommitted, 21), (Step::Promoting, 22), (Step::Redirecting, 23)]
        {
            journal = journal.advanced(next, Outcome::Done, "", at(second));
        }
        Journal { step, ..journal }
    }

    fn held(journal: Journal) -> JournalHeld {
        JournalHeld { seen: JournalSeen { revision: 9, created: 8, journal }, since: Duration::ZERO }
    }

    #[test]
    fn the_time_without_service_ends_where_the_gate_opens() {
        assert_eq!(without_service(&planned(Step::Verifying), None), Some(3_000));
        let unplanned = Journal { kind: ExecutionKind::Failover, ..planned(Step::Verifying) };
        assert_eq!(without_service(&unplanned, Some(10_000)).map(seconds), Some(23.0));
    }

    #[test]
    fn a_request_ends_when_each_of_its_groups_has() {
        let record = request(&["g", "h"]);
        let shown = |name: &str| GroupMove { name: name.to_owned(), ..GroupMove::default() };
        let groups = [shown("g"), shown("h")];
        let mut journals = BTreeMap::new();
        assert_eq!(overall(&record, &groups, &journals).0, FailoverPhase::Pending);
        journals.insert("g".to_owned(), held(planned(Step::Promoting)));
        assert_eq!(overall(&record, &groups, &journals).0, FailoverPhase::Running);
        journals.insert("g".to_owned(), held(planned(Step::Resyncing)));
        journals.insert("h".to_owned(), held(planned(Step::Completed)));
        assert_eq!(overall(&record, &groups, &journals).0, FailoverPhase::Completed);
        let back = Journal { step: Step::RolledBack, over: true, ..planned(Step::RolledBack) };
        journals.insert("h".to_owned(), held(back));
        assert_eq!(overall(&record, &groups, &journals).0, FailoverPhase::PartlyCompleted);
    }

    #[test]
    fn a_status_reads_back_as_it_was_written() {
        let at = Timestamp::from_nanosecond(1_790_000_000_123_456_789).unwrap();
        let shown = Journal::new(("x", "g"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 3, at).advanced(
            Step::Fencing,
            Outcome::Done,
            "",
            at,
        );
        let group = GroupMove {
            began: Some(time(at)),
            steps: shown.evidence.iter().map(step).collect(),
            ..GroupMove::default()
        };
        let status = FailoverStatus { groups: vec![group], began: Some(time(at)), ..FailoverStatus::default() };
        let read: FailoverStatus = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
        assert_eq!(read, status, "else it is written again and again");
    }
}
