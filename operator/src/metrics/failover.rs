//! Failover groups: who is active, whether they would survive a loss, and their moves.

use super::Metrics;
use super::labels::{GROUP, SITE, STEP};
use super::samples::Samples;
use crate::cluster::Mirror;
use crate::failover::{Board, FAILOVER, GroupNotes};
use crate::index::Index;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::gate::{Query, SharedGate};
use tandem_core::drill::DrillResult;
use tandem_core::failover::{
    EXPOSING, EffectKind, Evidence, ExecutionKind, Journal, Outcome, Side, Standing, Step, standing,
};
use tandem_core::metrics::{Label, Metric, Teller};
use tandem_crds::{FailoverGroup, Kind, Protection};

const READINESS: [&str; 3] = ["Protected", "Unprotected", "Unknown"];
const READY: Label = Label::closed("readiness", || READINESS.to_vec());
const REASON: Label = Label::closed("reason", || EXPOSING.to_vec());
const SIDES: [&str; 3] = ["Blocked", "Paused", "NeedsHuman"];
const SIDE: Label = Label::closed("side", || SIDES.to_vec());
const TYPE: Label = Label::closed("type", || ExecutionKind::ALL.map(ExecutionKind::as_str).to_vec());
const ENDED: Label = Label::closed("result", || vec!["completed", "rolled_back"]);
const CAUSE: Label = Label::closed("cause", || vec!["automatic", "by hand"]);
const CALL: Label = Label::closed("call", || EffectKind::ALL.map(EffectKind::name).to_vec());
const DRILLED: Label = Label::closed("result", || DrillResult::ALL.map(DrillResult::as_str).to_vec());
const ANSWER: Label = Label::closed("result", || vec!["running", "done", "failed", "refused"]);

/// Upper bounds for a step, in seconds: most take moments, some wait for people.
const STEP_BUCKETS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];
/// Upper bounds for a whole move, in seconds.
const MOVE_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// After how long what is said of the groups is said of nothing that is now.
const STALE: Duration = Duration::from_secs(30);

tandem_core::declare_metrics! {
    EPOCH = Metric::gauge("tandem_group_epoch", "epoch", "The epoch of a failover group, by the arbiter's record.").by(&[GROUP]);
    ACTIVE = Metric::gauge("tandem_group_active", "1 or 0", "1 while this replica's gate answers 200 for a group.").by(&[GROUP]);
    ACTIVE_SITE = Metric::gauge(
        "tandem_group_active_site",
        "1 or 0",
        "1 for the site that holds a group by the arbiter's record, 0 for the other. 0 for both while it is released and not claimed \
         yet, or not confirmed after a restore.",
    ).by(&[GROUP, SITE]);
    GROUPS = Metric::gauge(
        "tandem_groups",
        "groups",
        "Failover groups by whether they would survive the loss of the site that runs them. Unknown: not looked at in the last 30 s.",
    ).by(&[READY]).told_by(Teller::Leader);
    EXPOSED = Metric::gauge(
        "tandem_groups_exposed",
        "groups",
        "Failover groups that would not survive the loss of the site that runs them, by why. A group counts under each of its reasons.",
    ).by(&[REASON]).told_by(Teller::Leader);
    EXECUTIONS = Metric::gauge("tandem_executions", "moves", "Moves of groups that are not over, by the step that they are at.")
        .by(&[STEP]);
    EXECUTIONS_ASIDE = Metric::gauge(
        "tandem_executions_aside",
        "moves",
        "Moves of groups that are not over and do not go on: a rule blocks them, somebody paused them, or they need a person.",
    ).by(&[SIDE]);
    ENTRIES = Metric::counter("tandem_failover_entries_total", "entries", "Journal entries written, by step.").by(&[STEP]);
    STEP_DURATION = Metric::histogram(
        "tandem_failover_step_duration_seconds",
        STEP_BUCKETS,
        "How long a step of a move took, by the drivers' wall clocks. Steps that were skipped are left out.",
    ).by(&[STEP]);
    DURATION = Metric::histogram(
        "tandem_failover_duration_seconds",
        MOVE_BUCKETS,
        "From when the move of a group began until it served at the target, or was taken back; by the drivers' wall clocks.",
    ).by(&[TYPE, ENDED]);
    TAKE_OVERS = Metric::counter("tandem_take_overs_total", "groups", "Groups taken over.").by(&[CAUSE]);
    DRILLS = Metric::counter("tandem_drills_total", "drills", "Drills of a group that ended here, by what they came to.").by(&[DRILLED]);
    DRILL_AGE = Metric::gauge(
        "tandem_drill_success_age_seconds",
        "seconds",
        "How long ago a drill of a group that has a schedule last passed, by the wall clock; since the group was made where none has.",
    ).by(&[GROUP]).told_by(Teller::Leader);
    CALLS = Metric::counter("tandem_failover_calls_total", "calls", "Calls made for moves.").by(&[CALL, ANSWER]);
}

/// What is looked up at a scrape, from the arbiter alone.
pub(super) const SCRAPED: &[&Metric] = &[&EPOCH, &ACTIVE, &ACTIVE_SITE, &EXECUTIONS, &EXECUTIONS_ASIDE];
/// What is looked up at a scrape beside that.
pub(super) const SCRAPED_OF_SITE: &[&Metric] = &[&GROUPS, &EXPOSED, &DRILL_AGE];

/// Who is active.
pub(super) fn groups(samples: &mut Samples, board: &Board, gate: &SharedGate, sites: &[String], now: Duration) {
    for (name, held) in board.groups() {
        let record = &held.record.value;
        if record.retired {
            continue;
        }
        // Looked at one by one: the balancer asks the same gate.
        let active = gate.with(|gate| gate.answer(&Query::Active(name.clone()), now)).status == 200;
        // Epochs stay far below what such a number holds exactly.
        samples.set(&EPOCH, &[&name], record.epoch as f64);
        samples.set(&ACTIVE, &[&name], f64::from(u8::from(active)));
        for site in sites {
            samples.set(&ACTIVE_SITE, &[&name, site], f64::from(u8::from(record.held_by(site))));
        }
    }
}

/// Moves that are not over.
pub(super) fn executions(samples: &mut Samples, board: &Board) {
    let open = board.open_journals();
    for step in Step::ALL {
        samples.count(&EXECUTIONS, &[step.code()], open.iter().filter(|held| held.seen.journal.step == step).count());
    }
    let sides: Vec<&str> = open.iter().filter_map(|held| held.seen.journal.side.as_ref()).map(aside).collect();
    for side in SIDES {
        samples.count(&EXECUTIONS_ASIDE, &[side], sides.iter().filter(|of| **of == side).count());
    }
}

fn aside(side: &Side) -> &'static str {
    match side {
        Side::Blocked { .. } => "Blocked",
        Side::Paused => "Paused",
        Side::NeedsHuman { .. } => "NeedsHuman",
    }
}

/// Which groups would survive, as it was last worked out.
pub(super) fn readiness(samples: &mut Samples, board: &Board, notes: &GroupNotes, now: Duration) {
    let fresh = notes.looked().is_some_and(|at| now.saturating_sub(at) <= STALE);
    let mut groups: BTreeMap<&str, usize> = READINESS.map(|readiness| (readiness, 0)).into();
    let mut exposed: BTreeMap<&str, usize> = EXPOSING.map(|reason| (reason, 0)).into();
    for (name, _) in board.groups().into_iter().filter(|(_, held)| !held.record.value.retired) {
        let readiness = notes.get(&name).filter(|_| fresh).map(|note| note.readiness);
        let of = match readiness.as_ref().map(|readiness| readiness.state) {
            None => "Unknown",
            Some(Protection::Protected) => "Protected",
            Some(Protection::Unprotected) => "Unprotected",
        };
        *groups.entry(of).or_default() += 1;
        let reasons = readiness.filter(|readiness| readiness.state == Protection::Unprotected);
        for why in reasons.into_iter().flat_map(|readiness| readiness.reasons) {
            let reason = EXPOSING.into_iter().find(|reason| *reason == why.reason).unwrap_or("Unknown");
            *exposed.entry(reason).or_default() += 1;
        }
    }
    for (readiness, count) in groups {
        samples.count(&GROUPS, &[readiness], count);
    }
    for (reason, count) in exposed {
        samples.count(&EXPOSED, &[reason], count);
    }
}

/// How long ago groups with a schedule last passed a drill, by what this site's objects show.
pub(super) fn drills(samples: &mut Samples, index: &Index, own: &Mirror, now: Timestamp) {
    let scheduled: BTreeSet<String> = index.with_world(|world| {
        let drills = |group: &FailoverGroup| group.spec.drills.as_ref().is_some_and(|drills| drills.schedule.is_some());
        world.groups.iter().filter(|(_, group)| drills(group)).map(|(name, _)| name.clone()).collect()
    });
    if scheduled.is_empty() {
        return;
    }
    let mut since: BTreeMap<String, Timestamp> = BTreeMap::new();
    for group in own.of_kind(Kind::FailoverGroup.name()) {
        if let (Some(name), Some(made)) = (&group.metadata.name, &group.metadata.creation_timestamp) {
            since.insert(name.clone(), made.0);
        }
    }
    for (group, at) in own.of_kind(FAILOVER).iter().flat_map(|object| passed(&object.data)) {
        since.entry(group).and_modify(|latest| *latest = at.max(*latest)).or_insert(at);
    }
    for (group, at) in since.into_iter().filter(|(group, _)| scheduled.contains(group)) {
        samples.set(&DRILL_AGE, &[&group], now.duration_since(at).as_secs_f64().max(0.0));
    }
}

/// The groups that passed in a drill, and when.
fn passed(failover: &serde_json::Value) -> Vec<(String, Timestamp)> {
    let groups = failover.pointer("/status/drill/groups").and_then(serde_json::Value::as_array);
    let passed = groups.into_iter().flatten().filter(|group| group["result"] == DrillResult::Passed.as_str());
    let at = |group: &serde_json::Value| {
        Some((group["name"].as_str()?.to_owned(), group["ended"].as_str()?.parse::<Timestamp>().ok()?))
    };
    passed.filter_map(at).collect()
}

impl Metrics {
    /// A journal went on, by this replica.
    pub fn moved(&self, before: &Journal, after: &Journal) {
        self.steps.with_label_values(&[after.step.code()]).inc();
        for evidence in &after.evidence {
            let ended = before.evidence.iter().any(|known| known.step == evidence.step && known.ended.is_some());
            let done = matches!(evidence.outcome, Some(Outcome::Done | Outcome::Failed));
            if let Some(took) = took(evidence).filter(|_| done && !ended) {
                self.step_seconds.with_label_values(&[evidence.step.code()]).observe(took);
            }
        }
        let result = |journal: &Journal| match standing(journal) {
            Standing::Serving => Some("completed"),
            Standing::Back => Some("rolled_back"),
            _ => None,
        };
        if let Some(ended) = result(after).filter(|_| result(before).is_none())
            && let Some((first, last)) = after.evidence.first().zip(after.evidence.last())
        {
            // Completed begins when the target serves; what is taken back has ended with its last step.
            let until = last.ended.filter(|_| ended == "rolled_back").unwrap_or(last.begun);
            let seconds = until.duration_since(first.begun).as_secs_f64().max(0.0);
            self.failover_seconds.with_label_values(&[after.kind.as_str(), ended]).observe(seconds);
        }
    }
}

/// How long a step took, in seconds; two drivers' clocks may differ by more than that.
fn took(evidence: &Evidence) -> Option<f64> {
    Some(evidence.ended?.duration_since(evidence.begun).as_secs_f64().max(0.0))
}
