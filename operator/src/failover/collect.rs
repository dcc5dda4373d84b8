//! Old requests and journals leave the arbiter, so that what every replica reads at its start does not grow for ever.
//!
//! The wall clock decides here, and nowhere else, since nothing but history hangs on it: what goes is over, is named by no group's
//! record, and is not the newest of its group.

use super::board::JournalHeld;
use super::requests::KIND;
use crate::context::Context;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tandem_arbiter::records::{GroupRecord, RequestRecord, Versioned};
use tandem_arbiter::txn::Acting;
use tandem_core::drill;
use tandem_core::failover::ExecutionKind;
use tandem_crds::Failover;
use tandem_logs::Chain;

/// How often it is looked for something to remove.
const LOOK: Duration = Duration::from_secs(600);

/// Removes what is old, for ever; only while this replica leads its site.
pub async fn run_collection(context: Context) {
    let retention = SignedDuration::from_hours(24 * i64::from(context.config.failover.retention_days));
    if retention.is_zero() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK).await;
        if context.link.leadership().is_some()
            && context.link.board().is_complete()
            && context.cluster.own.is_synced(KIND)
        {
            #[allow(clippy::disallowed_methods)] // an edge: see the module's documentation
            let before = Timestamp::now() - retention;
            collect(&context, before).await;
        }
    }
}

async fn collect(context: &Context, before: Timestamp) {
    let (arbiter, board) = (context.link.arbiter(), context.link.board());
    let journals = board.journals();
    let requests = board.requests();
    let groups: BTreeMap<String, Versioned<GroupRecord>> =
        board.groups().into_iter().map(|(name, held)| (name, held.record)).collect();
    let open = open_objects(context);
    let Some(token) = context.link.leadership() else { return };
    let acting = Acting::new(&context.config.site, token.mod_revision);
    for id in old_requests(&context.config.site, &requests, &journals, &groups, &open, before) {
        match arbiter.collect_request(acting, &id, &requests[&id]).await {
            Ok(removed) => tracing::info!(request = id, removed, "an old request is removed from the arbiter"),
            Err(error) => return tracing::warn!(error = %Chain(&error), "old requests are not removed yet"),
        }
    }
    // Those of requests that went just now are for the next time.
    for held in old_journals(&context.config.site, &requests, &journals, &groups, before) {
        let Some(group) = groups.get(&held.seen.journal.group) else { continue };
        if let Err(error) = arbiter.collect_journal(acting, &held.seen, group).await {
            return tracing::warn!(error = %Chain(&error), "old journals are not removed yet");
        }
    }
}

/// The executions that an object here shows as not ended.
fn open_objects(context: &Context) -> BTreeSet<String> {
    let objects = context.cluster.own.of_kind(KIND);
    let open = objects.iter().filter_map(|object| {
        let failover: Failover = serde_json::to_value(&**object).and_then(serde_json::from_value).ok()?;
        let ended = failover.status.as_ref().is_some_and(|status| status.phase.ended());
        (!ended).then(|| failover.execution().to_owned())
    });
    open.collect()
}

/// Whether a journal is over, and was before this time. One without a time is kept.
fn ended_before(held: &JournalHeld, before: Timestamp) -> bool {
    let journal = &held.seen.journal;
    let last = journal.evidence.iter().filter_map(|evidence| evidence.ended.or(Some(evidence.begun))).max();
    journal.over && last.is_some_and(|last| last < before)
}

/// The requests of this site that are over for so long.
fn old_requests(
    site: &str,
    requests: &BTreeMap<String, Versioned<RequestRecord>>,
    journals: &[JournalHeld],
    groups: &BTreeMap<String, Versioned<GroupRecord>>,
    open: &BTreeSet<String>,
    before: Timestamp,
) -> Vec<String> {
    let old = requests.iter().filter(|(id, request)| {
        let record = &request.value;
        let of_it = || journals.iter().filter(|held| held.seen.journal.execution == **id);
        record.site == site
            && record.at < before
            && !open.contains(*id)
            && of_it().all(|held| ended_before(held, before))
            && groups.values().all(|group| group.value.execution.as_ref() != Some(*id))
            && if record.kind == ExecutionKind::Drill {
                // Whatever is said of it: clones may be left, and a real move finds them by this record.
                drill::is_over(&record.groups, &record.drill)
            } else {
                // What never began is only over where it was taken back.
                record.abort || record.groups.keys().all(|name| of_it().any(|held| held.seen.journal.group == *name))
            }
    });
    old.map(|(id, _)| id.clone()).collect()
}

/// The journals without a request that are over for so long, by the site to which they moved their group; never the newest of a
/// group.
fn old_journals<'a>(
    site: &str,
    requests: &BTreeMap<String, Versioned<RequestRecord>>,
    journals: &'a [JournalHeld],
    groups: &BTreeMap<String, Versioned<GroupRecord>>,
    before: Timestamp,
) -> Vec<&'a JournalHeld> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for held in journals {
        let of_group = newest.entry(held.seen.journal.group.as_str()).or_default();
        *of_group = (*of_group).max(held.seen.created);
    }
    let old = journals.iter().filter(|held| {
        let journal = &held.seen.journal;
        journal.to == site
            && ended_before(held, before)
            && !requests.contains_key(&journal.execution)
            && newest.get(journal.group.as_str()).is_some_and(|newest| held.seen.created < *newest)
            && groups
                .get(&journal.group)
                .is_some_and(|group| group.value.execution.as_ref() != Some(&journal.execution))
    });
    old.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_arbiter::records::JournalSeen;
    use tandem_core::failover::{Evidence, Journal, Outcome, Step};

    const LONG_AGO: Timestamp = Timestamp::UNIX_EPOCH;

    fn before() -> Timestamp {
        LONG_AGO + SignedDuration::from_hours(24)
    }

    fn journal(execution: &str, created: i64, change: impl FnOnce(&mut Journal)) -> JournalHeld {
        let value = serde_json::json!({
            "execution": execution, "group": "g", "kind": "Switchover", "from": "dc-a", "to": "dc-b", "epoch": 1,
            "step": "Protected", "entry": 9, "over": true,
        });
        let mut journal: Journal = serde_json::from_value(value).unwrap();
        journal.evidence = vec![Evidence {
            step: Step::Resyncing,
            begun: LONG_AGO,
            ended: Some(LONG_AGO),
            outcome: Some(Outcome::Done),
            note: String::new(),
            facts: tandem_core::failover::Facts::default(),
        }];
        change(&mut journal);
        JournalHeld { seen: JournalSeen { revision: created + 5, created, journal }, since: Duration::ZERO }
    }

    fn request(site: &str) -> Versioned<RequestRecord> {
        let value = serde_json::json!({
            "kind": ExecutionKind::Switchover, "from": "dc-a", "to": "dc-b", "groups": {"g": 1}, "by": "wang", "site": site,
            "at": LONG_AGO,
        });
        Versioned::new(4, serde_json::from_value(value).unwrap())
    }

    fn group(execution: Option<&str>) -> BTreeMap<String, Versioned<GroupRecord>> {
        let record = GroupRecord { execution: execution.map(str::to_owned), ..GroupRecord::first("dc-b") };
        BTreeMap::from([("g".to_owned(), Versioned::new(50, record))])
    }

    #[test]
    fn a_request_goes_once_all_of_it_is_over_and_shown_so() {
        let all = [journal("x", 10, |_| {})];
        let requests = BTreeMap::from([("x".to_owned(), request("dc-a"))]);
        let none = BTreeSet::new();
        let goes = |site: &str, journals: &[JournalHeld], groups: &BTreeMap<_, _>, open: &BTreeSet<String>, before| {
            !old_requests(site, &requests, journals, groups, open, before).is_empty()
        };
        assert!(goes("dc-a", &all, &group(None), &none, before()));
        assert!(!goes("dc-b", &all, &group(None), &none, before()), "the other site made it");
        assert!(!goes("dc-a", &all, &group(Some("x")), &none, before()), "a record names it");
        assert!(
            !goes("dc-a", &all, &group(None), &BTreeSet::from(["x".to_owned()]), before()),
            "its object is not ended"
        );
        assert!(!goes("dc-a", &all, &group(None), &none, LONG_AGO), "too young");
        assert!(!goes("dc-a", &[], &group(None), &none, before()), "it has not begun");
        let going = [journal("x", 10, |journal| journal.over = false)];
        assert!(!goes("dc-a", &going, &group(None), &none, before()));
        let late = [journal("x", 10, |journal| journal.evidence[0].ended = Some(before()))];
        assert!(!goes("dc-a", &late, &group(None), &none, before()));
    }

    #[test]
    fn a_drill_goes_once_nothing_is_left_of_its_clones() {
        let goes = |step: Option<&str>| {
            let mut request = request("dc-a");
            (request.value.kind, request.value.abort) = (ExecutionKind::Drill, true);
            if let Some(step) = step {
                let drill = serde_json::json!({"groups": {"g": {"step": step, "epoch": 1, "began": LONG_AGO}}});
                request.value.drill = serde_json::from_value(drill).unwrap();
            }
            let requests = BTreeMap::from([("x".to_owned(), request)]);
            !old_requests("dc-a", &requests, &[], &group(None), &BTreeSet::new(), before()).is_empty()
        };
        assert!(goes(Some("Completed")));
        assert!(!goes(Some("Sweeping")), "taken back, and clones may still be there");
        assert!(!goes(None), "the site that rehearses has not ended it");
    }

    #[test]
    fn the_newest_journal_of_a_group_stays() {
        let all = [journal("x", 10, |_| {}), journal("y", 20, |_| {})];
        let none = BTreeMap::new();
        let gone = |site: &str, requests: &BTreeMap<_, _>, groups: &BTreeMap<_, _>, before| -> Vec<String> {
            let old = old_journals(site, requests, &all, groups, before);
            old.into_iter().map(|held| held.seen.journal.execution.clone()).collect()
        };
        assert_eq!(gone("dc-b", &none, &group(None), before()), ["x"]);
        assert!(gone("dc-a", &none, &group(None), before()).is_empty(), "the other site's");
        assert!(gone("dc-b", &none, &group(Some("x")), before()).is_empty());
        assert!(gone("dc-b", &none, &BTreeMap::new(), before()).is_empty(), "the group's record is not known");
        assert!(gone("dc-b", &none, &group(None), LONG_AGO).is_empty());
        let requests = BTreeMap::from([("x".to_owned(), request("dc-a"))]);
        assert!(gone("dc-b", &requests, &group(None), before()).is_empty(), "its request would begin anew");
    }
}
