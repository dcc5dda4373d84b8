//! Reports on failovers: made of the journals once an execution has ended, and kept in the arbiter for longer than these.
//!
//! The leader of the site that the groups went to writes them; where that site is not heard, the other's. A report is written
//! when the last group is served or taken back, and again as former sources come back and say what they dropped. Its digest goes into
//! the audit chain in the same transaction.

use super::picture::{Picture, ReadySince, wall};
use super::shown::{self, Looked};
use super::{orders, unasked};
use crate::context::Context;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_arbiter::records::{ReportRecord, RequestRecord, Versioned};
use tandem_core::render::Strength;
use tandem_core::report::{ApplicationReport, Asked, FailoverReport, Move, Sources};
use tandem_core::sync::ObjectKey;
use tandem_crds::Why;
use tandem_logs::Chain;

/// How often it is looked for executions that have ended.
const LOOK: Duration = Duration::from_secs(2);
/// How soon a report is written again while former sources come back one after the other.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of a report that is kept.
#[derive(Debug)]
struct Kept {
    /// The first part; `None`: there is none.
    head: Option<Versioned<ReportRecord>>,
    /// The parts do not fit together: a writer died on the way.
    torn: bool,
    /// How its journals stood when it was written here, and when, on the boot clock.
    written: Option<(Stamp, Duration)>,
}

/// How the journals of an execution stand: how many there are, how many are over, and the newest revision.
type Stamp = (usize, usize, i64);

/// Writes reports, for ever; only while this replica leads its site.
pub async fn run_reports(context: Context) {
    let (mut kept, mut ready) = (BTreeMap::new(), ReadySince::new());
    loop {
        tokio::time::sleep(LOOK).await;
        if context.link.leadership().is_some() && context.link.board().is_complete() {
            look(&context, &mut kept, &mut ready).await;
        } else {
            kept.clear();
        }
    }
}

async fn look(context: &Context, kept: &mut BTreeMap<String, Kept>, ready: &mut ReadySince) {
    let board = context.link.board();
    let mut ids = board.executions();
    ids.extend(board.requests().into_keys());
    kept.retain(|id, _| ids.contains(id));
    let due: Vec<String> =
        ids.into_iter().filter(|id| kept.get(id).is_none_or(|kept| !kept.is_final(stamp(context, id)))).collect();
    if due.is_empty() {
        return;
    }
    let picture = Picture::take(context, ready);
    let mut requests = board.requests();
    requests.extend(unasked::requests(context, &picture, ready));
    for id in due {
        let Some(record) = requests.get(&id) else { continue };
        if !writes(&picture, &record.value) {
            continue;
        }
        if let Err(error) = keep(context, &picture, &id, &record.value, kept).await {
            tracing::warn!(execution = id, error = %Chain(&*error), "the report on a failover is not kept yet");
        }
    }
}

/// Whether it is for this site to write the report.
fn writes(picture: &Picture, record: &RequestRecord) -> bool {
    picture.me == record.to || (picture.me == record.from && !picture.hears(&record.to))
}

fn stamp(context: &Context, id: &str) -> Stamp {
    let journals = context.link.board().execution(id);
    let over = journals.values().filter(|held| held.seen.journal.over).count();
    (journals.len(), over, journals.values().map(|held| held.seen.revision).max().unwrap_or(0))
}

impl Kept {
    /// Whether what is kept says all that there will ever be.
    fn is_final(&self, now: Stamp) -> bool {
        let (journals, over, _) = now;
        let head = self.head.as_ref().filter(|_| !self.torn);
        head.is_some_and(|head| head.value.over == over && is_settled(&head.value)) && journals == over
    }

    /// Whether it is to be written, now that its journals stand so.
    fn is_due(&self, stamp: Stamp, now: Duration) -> bool {
        let (journals, over, _) = stamp;
        let Some(head) = self.head.as_ref().filter(|_| !self.torn) else { return true };
        match &self.written {
            Some((before, _)) if *before == stamp => false,
            // Written here or elsewhere with as much, as far as can be told.
            None if head.value.over == over && (journals > over || is_settled(&head.value)) => false,
            Some((before, at)) if before.0 == journals && over < journals => now.saturating_sub(*at) >= AGAIN,
            _ => true,
        }
    }
}

fn is_settled(record: &ReportRecord) -> bool {
    record.report.as_ref().and_then(|report| report.get("settled")).and_then(serde_json::Value::as_bool) == Some(true)
}

async fn keep(
    context: &Context,
    picture: &Picture,
    id: &str,
    record: &RequestRecord,
    all: &mut BTreeMap<String, Kept>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let looked = shown::look(context, picture, id, record);
    if !looked.phase.ended() {
        return Ok(());
    }
    let arbiter = context.link.arbiter();
    if !all.contains_key(id) {
        let head = arbiter.report_head(id).await?;
        let parts = head.as_ref().map_or(0, |head| head.value.parts);
        let torn = parts > 1 && arbiter.report(id).await.is_err();
        all.insert(id.to_owned(), Kept { head, torn, written: None });
    }
    let Some(kept) = all.get_mut(id) else { return Ok(()) };
    let (stamp, now) = (stamp(context, id), context.link.uptime());
    if !kept.is_due(stamp, now) {
        return Ok(());
    }
    let Some(acting) = context.link.acting() else { return Ok(()) };
    let report = report(context, picture, id, record, &looked);
    if arbiter.put_report(acting, kept.head.as_ref(), &report, stamp.1).await? {
        tracing::info!(execution = id, settled = report.settled, sha256 = report.digest(), "the report is kept");
        kept.head = arbiter.report_head(id).await?;
        (kept.torn, kept.written) = (false, Some((stamp, now)));
    } else {
        // Another replica was faster: looked at anew.
        all.remove(id);
    }
    Ok(())
}

fn report(context: &Context, picture: &Picture, id: &str, record: &RequestRecord, looked: &Looked) -> FailoverReport {
    let asked = asked(id, record);
    let one = |name: &String| {
        let shown = looked.groups.iter().find(|group| group.name == *name);
        let waits = shown.filter(|group| !group.reason.is_empty()).map(|group| Why {
            reason: group.reason.clone(),
            message: group.message.clone(),
            message_zh: group.message_zh.clone(),
        });
        let keys = picture.facts.get(name).map_or(&[][..], |facts| &facts.applications);
        let (applications, rto_millis) = applications(context, picture, name, keys);
        Move {
            journal: looked.journals.get(name).map(|held| (&held.seen.journal, held.seen.revision)),
            epoch: record.groups.get(name).copied().unwrap_or(0),
            waits,
            wanted: tandem_core::report::Wanted { rto_millis, ..shown::wanted(picture, name) },
            applications: if picture.me == record.to { applications } else { Vec::new() },
        }
    };
    FailoverReport::of(&Sources {
        execution: id,
        asked: &asked,
        phase: looked.phase,
        waves: looked.order.waves.waves.iter().map(|wave| wave.groups.clone()).collect(),
        moves: record.groups.keys().map(|name| (name.clone(), one(name))).collect(),
        drill: looked.drill.clone(),
        site: &picture.me,
        now: wall(),
    })
}

fn asked(id: &str, record: &RequestRecord) -> Asked {
    Asked {
        kind: record.kind,
        from: record.from.clone(),
        to: record.to.clone(),
        by: record.by.clone(),
        site: record.site.clone(),
        reason: record.reason.clone(),
        at: record.at,
        automatic: orders::is_automatic(id),
        approvals_wanted: record.approvals_wanted,
        approvals: record.approvals.clone(),
        accept_data_loss: record.accept_data_loss,
        despite_not_ready: record.despite_not_ready,
        abort: record.abort,
    }
}

/// A group's applications as they stand here, and the shortest time that one of them may be without service.
fn applications(
    context: &Context,
    picture: &Picture,
    group: &str,
    keys: &[ObjectKey],
) -> (Vec<ApplicationReport>, Option<u64>) {
    let epoch = picture.groups.get(group).map_or(0, |held| held.record.value.epoch);
    let missing = context.strengths.missing(keys, epoch, Strength::Active, true);
    context.index.with_world(|world| {
        let mut rto: Option<u64> = None;
        let one = |key: &ObjectKey| {
            let namespace = key.namespace.clone().unwrap_or_default();
            let found = world.applications.get(&(namespace.clone(), key.name.clone()));
            let wanted = found.and_then(|application| u64::try_from(application.spec.rto_seconds?).ok());
            if let Some(wanted) = wanted.map(|seconds| seconds.saturating_mul(1000)) {
                rto = Some(rto.map_or(wanted, |least| least.min(wanted)));
            }
            let status = found.and_then(|application| application.status.as_ref());
            let here = status.and_then(|status| status.sites.iter().find(|site| site.site == picture.me));
            let ready = !missing.contains(key);
            ApplicationReport {
                namespace,
                name: key.name.clone(),
                ready,
                served_at: None,
                message: here.filter(|_| !ready).map(|here| here.message.clone()).unwrap_or_default(),
            }
        };
        (keys.iter().map(one).collect(), rto)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    fn kept(over: usize, settled: bool, written: Option<(Stamp, Duration)>) -> Kept {
        let report = json!({"settled": settled});
        let head = ReportRecord {
            execution: "x".to_owned(),
            sha256: String::new(),
            parts: 1,
            at: Timestamp::UNIX_EPOCH,
            over,
            report: report.as_object().cloned(),
            groups: Vec::new(),
        };
        Kept { head: Some(Versioned::new(7, head)), torn: false, written }
    }

    #[test]
    fn a_report_is_written_once_and_again_as_sources_come_back() {
        let at = Duration::from_secs;
        let none = Kept { head: None, torn: false, written: None };
        assert!(none.is_due((2, 0, 9), at(1)) && !none.is_final((2, 2, 9)));
        let first = kept(0, false, Some(((2, 0, 9), at(1))));
        assert!(!first.is_due((2, 0, 9), at(900)), "nothing is new");
        assert!(!first.is_due((2, 1, 12), at(30)), "not for every group");
        assert!(first.is_due((2, 1, 12), at(61)));
        assert!(first.is_due((2, 2, 15), at(2)), "the last one at once");
        assert!(first.is_due((3, 0, 15), at(2)), "another group has moved since");
        let last = kept(2, true, Some(((2, 2, 15), at(2))));
        assert!(!last.is_due((2, 2, 15), at(900)) && last.is_final((2, 2, 15)));
        assert!(!last.is_final((3, 2, 20)), "another group has begun");
        assert!(last.is_due((3, 3, 30), at(3)));
    }

    #[test]
    fn what_another_replica_wrote_is_taken_for_what_it_says() {
        let at = Duration::from_secs(5);
        assert!(!kept(1, false, None).is_due((2, 1, 9), at));
        assert!(kept(1, false, None).is_due((2, 2, 9), at));
        assert!(!kept(2, true, None).is_due((2, 2, 9), at) && kept(2, true, None).is_final((2, 2, 9)));
        let torn = Kept { torn: true, ..kept(2, true, None) };
        assert!(torn.is_due((2, 2, 9), at) && !torn.is_final((2, 2, 9)), "its writer died on the way");
    }
}
