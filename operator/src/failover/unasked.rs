//! What begins by itself, as a request: so that people see it as they see what they asked for, wave by wave.
//!
//! Nothing of it is kept in the arbiter: it follows from the journals, and from what is about to begin. All groups of a site
//! that fell silent are of one execution.

use super::picture::{Picture, ReadySince};
use super::{JournalHeld, orders};
use crate::context::Context;
use std::collections::BTreeMap;
use tandem_arbiter::records::{RequestRecord, Versioned};
use tandem_core::failover::{ExecutionKind, Trigger, automatic};

/// Who asks for what begins by itself.
const BY: &str = "tandem";

/// Whether nothing has begun, or could begin: every site is heard. Looked at before a picture is taken, which costs more.
pub(super) fn is_quiet(context: &Context) -> bool {
    let (config, now) = (&context.config, context.link.uptime());
    let heard = |site: &String| *site == config.site || context.link.peers().heard(site, now);
    context.link.board().executions().is_empty() && config.sites.iter().all(heard)
}

/// Everything that has begun by itself, or is about to here, as requests by their ids. Their revision is 0: there is no record.
pub(super) fn requests(
    context: &Context,
    picture: &Picture,
    ready: &ReadySince,
) -> BTreeMap<String, Versioned<RequestRecord>> {
    let mut requests = BTreeMap::new();
    for id in context.link.board().executions().into_iter().filter(|id| orders::is_automatic(id)) {
        let journals = context.link.board().execution(&id);
        if let Some(record) = begun(&journals) {
            requests.insert(id, record);
        }
    }
    for name in picture.groups.keys() {
        let Some(situation) = picture.situation(context, ready, name, &picture.me) else { continue };
        // Also what will begin by time alone: it would not be over while groups of the silent site are still to follow.
        let trigger = automatic(&situation, picture.now.boot);
        if let Trigger::Start { execution, from, to, epoch, .. } | Trigger::Soon { execution, from, to, epoch } =
            trigger
        {
            let asked = requests.entry(execution).or_insert_with(|| request(&from, &to, picture.now.wall));
            asked.groups.insert(name.clone(), epoch);
        }
    }
    requests.into_iter().map(|(id, record)| (id, Versioned::new(0, record))).collect()
}

fn begun(journals: &BTreeMap<String, JournalHeld>) -> Option<RequestRecord> {
    let first = journals.values().min_by_key(|held| held.seen.created)?;
    let journal = &first.seen.journal;
    let at = journal.evidence.first().map_or(jiff::Timestamp::UNIX_EPOCH, |evidence| evidence.begun);
    let mut record = request(&journal.from, &journal.to, at);
    record.groups = journals.iter().map(|(name, held)| (name.clone(), held.seen.journal.epoch)).collect();
    Some(record)
}

fn request(from: &str, to: &str, at: jiff::Timestamp) -> RequestRecord {
    RequestRecord {
        kind: ExecutionKind::Failover,
        from: from.to_owned(),
        to: to.to_owned(),
        groups: BTreeMap::new(),
        max_parallel: None,
        by: BY.to_owned(),
        site: to.to_owned(),
        reason: format!("{from} fell silent / {from} 失去联系"),
        at,
        approvals_wanted: 0,
        approvals: Vec::new(),
        accept_data_loss: None,
        despite_not_ready: false,
        paused_at: Default::default(),
        abort: false,
        drill: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::time::Duration;
    use tandem_arbiter::records::JournalSeen;
    use tandem_core::failover::Journal;

    #[test]
    fn the_groups_of_one_silence_are_one_request() {
        let journal = |group: &str, created, epoch, second| {
            let at = Timestamp::from_second(second).unwrap();
            let journal = Journal::new(("auto-dc-a-7", group), ExecutionKind::Failover, ("dc-a", "dc-b"), epoch, at);
            let seen = JournalSeen { revision: created, created, journal };
            (group.to_owned(), JournalHeld { seen, since: Duration::ZERO })
        };
        let journals = BTreeMap::from([journal("tax", 12, 4, 20), journal("platform", 11, 1, 10)]);
        let record = begun(&journals).unwrap();
        assert_eq!((record.from.as_str(), record.to.as_str(), record.by.as_str()), ("dc-a", "dc-b", BY));
        assert_eq!(record.groups, BTreeMap::from([("platform".to_owned(), 1), ("tax".to_owned(), 4)]));
        assert_eq!(record.at, Timestamp::from_second(10).unwrap(), "when the first of them began");
        assert!(begun(&BTreeMap::new()).is_none());
    }
}
