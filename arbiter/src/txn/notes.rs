//! What is written down of an action in the action's own transaction: a record that waits for its place in the audit chain.
//!
//! It adds operations and no comparison: the action is carried out under exactly the conditions that it has without. An id is
//! made from what the transaction is about and a revision that it compares and moves, so that the same transaction sent twice
//! writes the same record, and no other ever does.

use jiff::Timestamp;
use serde_json::{Value, json};
use tandem_core::audit::{Actor, Draft, Outcome};
use tandem_core::drill::{Drill, DrillStep, GroupDrill};
use tandem_core::failover::{Journal, Side, Step};
use tandem_core::findings::Drift;
use tandem_core::policy::Version;
use tandem_core::sync::{Record, spec_hash};

use super::{Move, Op, SpecChange, Txn};
use crate::records::{
    ConflictRecord, Entry, Hold, HoldRecord, Key, PREFIX, PendingRecord, ReportRecord, RequestRecord, Versioned,
};

/// Who acts, and when: what a transaction does not say itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scribe<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// When, by the writer's wall clock.
    pub at: Timestamp,
}

/// What is written down of a publication beside what it says itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Who wrote the object, as far as that is known.
    pub actor: Actor,
    /// When it is published, by the publisher's wall clock.
    pub at: Timestamp,
    /// What was done with an object of the kind, such as `update`.
    pub verb: &'static str,
    /// SHA-256 of the specification that was published before; `None` where there was none.
    pub before: Option<String>,
    /// What it belongs to, such as the request that asked for it.
    pub trace: Option<String>,
    /// The version that is kept; `None` where what binds an agency stays as it was.
    pub version: Option<Version>,
}

/// Adds what is to be written down to an action of this site.
pub fn note(txn: &mut Txn, site: &str, draft: Draft) {
    let record = PendingRecord::new(draft);
    let key = Key::AuditPending { site: site.to_owned(), id: record.draft.id.clone() };
    txn.then.push(Op::put(key, &record));
}

/// Adds several, in the order in which they are to stand in the chain.
pub fn note_all(txn: &mut Txn, site: &str, drafts: impl IntoIterator<Item = Draft>) {
    for draft in drafts {
        note(txn, site, draft);
    }
}

/// The name of a record as people read it: its key without the prefix.
fn name(key: &Key) -> String {
    key.to_string().trim_start_matches(PREFIX).to_owned()
}

fn hash<T: serde::Serialize>(value: &T) -> String {
    // Cannot fail for records: maps with string keys.
    spec_hash(&serde_json::to_value(value).unwrap_or_default())
}

/// The id of the `place`th thing that is written down in one transaction. Those of one transaction are alike but for their end,
/// so that they are entered in their order.
fn id(about: &Value, place: usize) -> String {
    format!("{}-{place}", spec_hash(about))
}

fn done(scribe: Scribe<'_>, id: String, action: impl Into<String>, object: String) -> Draft {
    Draft {
        id,
        at: scribe.at,
        actor: scribe.actor.clone(),
        action: action.into(),
        object,
        before: None,
        after: None,
        outcome: Outcome::Done,
        begun: None,
        trace: None,
    }
}

/// A report that is kept. The revision of its first part is compared and moves.
pub(crate) fn report(scribe: Scribe<'_>, revision: i64, before: Option<&str>, report: &ReportRecord) -> Draft {
    let object = name(&Key::Report { execution: report.execution.clone(), part: 0 });
    let object = object.trim_end_matches("/0000").to_owned();
    let id = id(&json!(["reports", report.execution, revision, report.sha256]), 0);
    Draft {
        before: before.map(str::to_owned),
        after: Some(report.sha256.clone()),
        trace: Some(report.execution.clone()),
        ..done(scribe, id, "failovers.report", object)
    }
}

/// What moves a group or its journal, as auditors read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    TakeOver,
    Release,
    Claim,
    Reclaim,
    Begin,
    Put,
    Finish,
}

impl Act {
    fn name(self, journal: &Journal) -> &'static str {
        match self {
            Self::TakeOver => "failovers.take-over",
            Self::Release => "failovers.release",
            Self::Claim => "failovers.claim",
            Self::Reclaim => "failovers.reclaim",
            Self::Begin => "failovers.begin",
            Self::Finish => "failovers.finish",
            Self::Put => match &journal.side {
                Some(Side::Blocked { .. }) => "failovers.step.blocked",
                Some(Side::Paused) => "failovers.step.paused",
                Some(Side::NeedsHuman { .. }) => "failovers.step.needs-human",
                None => step(journal.step),
            },
        }
    }
}

fn step(step: Step) -> &'static str {
    match step {
        Step::Validating => "failovers.step.validating",
        Step::AwaitingApproval => "failovers.step.awaiting-approval",
        Step::Quiescing => "failovers.step.quiescing",
        Step::FinalSync => "failovers.step.final-sync",
        Step::Demoting => "failovers.step.demoting",
        Step::Fencing => "failovers.step.fencing",
        Step::EpochCommitted => "failovers.step.epoch-committed",
        Step::Promoting => "failovers.step.promoting",
        Step::Redirecting => "failovers.step.redirecting",
        Step::Verifying => "failovers.step.verifying",
        Step::Completed => "failovers.step.completed",
        Step::Resyncing => "failovers.step.resyncing",
        Step::Protected => "failovers.step.protected",
        Step::RolledBack => "failovers.step.rolled-back",
    }
}

/// An entry of a journal. What it was made from is compared, or for the first of a journal the group's record: the same name
/// may come again once the journal was collected, and the revision never does.
pub(super) fn journal(scribe: Scribe<'_>, act: Act, change: &Move<'_>) -> Draft {
    let from = if change.entry.revision() == 0 { change.record.revision } else { change.entry.revision() };
    entry(scribe, act, change.entry, from)
}

/// The last entry of a journal that another execution takes the place of.
pub(super) fn superseded(scribe: Scribe<'_>, closing: &Entry) -> Draft {
    entry(scribe, Act::Finish, closing, closing.revision())
}

fn entry(scribe: Scribe<'_>, act: Act, entry: &Entry, from: i64) -> Draft {
    let journal = entry.journal();
    let key = Key::Journal { execution: journal.execution.clone(), group: journal.group.clone() };
    let id = id(&json!(["journal", journal.execution, journal.group, journal.entry, from]), 0);
    Draft {
        after: Some(hash(journal)),
        trace: Some(journal.execution.clone()),
        ..done(scribe, id, act.name(journal), name(&key))
    }
}

/// A publication, or a burial.
pub(crate) fn publication(edit: &Edit, change: &SpecChange) -> Draft {
    let (key, origin) = (change.record.key(), change.record.origin());
    let about = json!(["spec", key.to_string(), origin.site, origin.uid, origin.generation, change.base]);
    let scribe = Scribe { actor: &edit.actor, at: edit.at };
    let after = match &change.record {
        Record::Live(live) => Some(spec_hash(&live.spec)),
        Record::Tombstone(_) => None,
    };
    let action = format!("{}.{}", key.kind.plural(), edit.verb);
    Draft {
        before: edit.before.clone(),
        after,
        trace: edit.trace.clone(),
        ..done(scribe, id(&about, 0), action, key.to_string())
    }
}

/// A hold that is set.
pub(crate) fn hold_set(scribe: Scribe<'_>, hold: &Hold, record: &HoldRecord) -> Draft {
    let object = name(&Key::Hold(hold.clone()));
    // It compares that there is none, which may be so again: whose it is and since when is of this one alone.
    let id = id(&json!(["hold", object, record.by, record.since]), 0);
    Draft { after: Some(hash(record)), ..done(scribe, id, "holds.set", object) }
}

/// A hold that is cleared as it was read.
pub(crate) fn hold_cleared(scribe: Scribe<'_>, hold: &Hold, seen: i64) -> Draft {
    let object = name(&Key::Hold(hold.clone()));
    done(scribe, id(&json!(["unhold", object, seen]), 0), "holds.clear", object)
}

/// A mass change that a person confirms.
pub(crate) fn brake_confirmed(scribe: Scribe<'_>, site: &str, seen: i64) -> Draft {
    let object = name(&Key::Brake(site.to_owned()));
    done(scribe, id(&json!(["brake", site, seen]), 0), "brakes.confirm", object)
}

/// An edit that is put back, and who had made it.
pub(crate) fn conflict(scribe: Scribe<'_>, record: &ConflictRecord) -> Draft {
    Draft {
        before: Some(spec_hash(&record.local)),
        after: record.published.as_ref().map(spec_hash),
        trace: Some(name(&Key::Conflict(record.conflict.clone()))),
        ..done(scribe, id(&json!(["conflict", record.conflict]), 0), "conflicts.put-back", record.key.to_string())
    }
}

/// An object that was put back: the actor is who had changed it. Its record comes anew, from nothing, once it was collected; when
/// it was put back is of this one alone.
pub(crate) fn drift(scribe: Scribe<'_>, key: &Key, from: i64, found: &Drift) -> Draft {
    let about = json!(["drift", key.to_string(), from, found.last]);
    let object = match &found.namespace {
        Some(namespace) => format!("{} {namespace}/{}", found.kind, found.name),
        None => format!("{} {}", found.kind, found.name),
    };
    Draft { trace: Some(name(key)), ..done(scribe, id(&about, 0), "drift.put-back", object) }
}

/// What people said of a move, and when a drill began and ended: each thing that is new in the request's record.
pub(crate) fn request(
    scribe: Scribe<'_>,
    name: &str,
    before: Option<&Versioned<RequestRecord>>,
    record: &RequestRecord,
) -> Vec<Draft> {
    let known = before.map(|before| &before.value);
    // A name that comes again after it was collected is asked for at another time.
    let about = json!(["request", name, record.site, record.at, before.map_or(0, |before| before.revision)]);
    let object = format!("failovers/{name}");
    let mut said = Vec::new();
    if known.is_none() {
        said.push(("failovers.request", object.clone()));
    }
    for approval in &record.approvals {
        if known.is_none_or(|known| known.approvals.iter().all(|given| given.by != approval.by)) {
            // In the name that was given; who may give it is the API's to check, and the cluster's by its roles.
            said.push(("failovers.approve", format!("{object}/approvals/{}", approval.by)));
        }
    }
    let paused = known.map(|known| known.paused_at.clone()).unwrap_or_default();
    said.extend(record.paused_at.difference(&paused).map(|_| ("failovers.pause", object.clone())));
    said.extend(paused.difference(&record.paused_at).map(|_| ("failovers.resume", object.clone())));
    if record.abort && known.is_none_or(|known| !known.abort) {
        said.push(("failovers.abort", object.clone()));
    }
    let nothing = Drill::default();
    let stood = known.map_or(&nothing, |known| &known.drill);
    for (group, drill) in &record.drill.groups {
        let before = stood.groups.get(group);
        let is_over = |drill: &GroupDrill| drill.step == DrillStep::Completed;
        if before.is_none() {
            said.push(("failovers.drill.begin", format!("{object}/groups/{group}")));
        }
        if is_over(drill) && !before.is_some_and(is_over) {
            said.push(("failovers.drill.end", format!("{object}/groups/{group}")));
        }
    }
    let (old, new) = (known.map(hash), hash(record));
    let draft = |(place, (action, object)): (usize, (&str, String))| Draft {
        before: old.clone(),
        after: Some(new.clone()),
        trace: Some(name.to_owned()),
        ..done(scribe, id(&about, place), action, object)
    };
    said.into_iter().enumerate().map(draft).collect()
}
