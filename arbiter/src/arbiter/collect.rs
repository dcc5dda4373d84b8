//! Removing what is over and old: requests, then their journals.

use super::Arbiter;
use crate::records::{GroupRecord, JournalSeen, Key, RequestRecord, Versioned};
use crate::store::{Store, StoreError};
use crate::txn::{Acting, Compare, Op, Txn};

fn deletion(acting: Acting<'_>, key: &Key, revision: i64) -> Txn {
    let leader = Key::Leader(acting.site.to_owned());
    Txn {
        compare: vec![Compare::unchanged(leader, acting.leader), Compare::unchanged(key, revision)],
        then: vec![Op::delete(key)],
        otherwise: Vec::new(),
    }
}

impl<S: Store> Arbiter<S> {
    /// Removes a request as it was read; says whether it was that one. Before its journals: a request without them would begin
    /// anew.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any.
    pub async fn collect_request(
        &self,
        acting: Acting<'_>,
        id: &str,
        request: &Versioned<RequestRecord>,
    ) -> Result<bool, StoreError> {
        let txn = deletion(acting, &Key::Request(id.to_owned()), request.revision);
        Ok(self.store.txn(&txn).await?.succeeded)
    }

    /// Removes a journal as it was read, where the group's record still is the one that does not name it and its request is
    /// gone; says whether it did.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any.
    pub async fn collect_journal(
        &self,
        acting: Acting<'_>,
        seen: &JournalSeen,
        group: &Versioned<GroupRecord>,
    ) -> Result<bool, StoreError> {
        let journal = &seen.journal;
        if !journal.over || group.value.execution.as_ref() == Some(&journal.execution) {
            return Ok(false);
        }
        let key = Key::Journal { execution: journal.execution.clone(), group: journal.group.clone() };
        let mut txn = deletion(acting, &key, seen.revision);
        txn.compare.push(Compare::unchanged(Key::Group(journal.group.clone()), group.revision));
        txn.compare.push(Compare::unchanged(Key::Request(journal.execution.clone()), 0));
        Ok(self.store.txn(&txn).await?.succeeded)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::Timestamp;
    use tandem_core::failover::{ExecutionKind, Journal};

    use super::*;
    use crate::records::LeaderRecord;
    use crate::store::SimStore;
    use crate::testing::journal;

    async fn put<T: serde::Serialize>(store: &SimStore, key: &Key, record: &T) -> i64 {
        let txn = Txn { then: vec![Op::put(key, record)], ..Txn::default() };
        store.txn(&txn).await.unwrap().revision
    }

    #[tokio::test]
    async fn only_what_is_over_and_named_by_nobody_goes_and_its_request_first() {
        let store = SimStore::default();
        let arbiter = Arbiter::new(store.clone(), "dc-a");
        let leader = LeaderRecord { replica: "op-0".into(), incarnation: "1".into() };
        let leader = put(&store, &Key::Leader("dc-a".into()), &leader).await;
        let acting = Acting::new("dc-a", leader);
        let record = GroupRecord { execution: Some("x2".into()), ..GroupRecord::first("dc-a") };
        let group = Versioned::new(put(&store, &Key::Group("g".into()), &record).await, record);
        let request = RequestRecord {
            kind: ExecutionKind::Switchover,
            from: "dc-a".into(),
            to: "dc-b".into(),
            groups: BTreeMap::from([("g".into(), 1)]),
            max_parallel: None,
            by: String::new(),
            site: "dc-a".into(),
            reason: String::new(),
            at: Timestamp::UNIX_EPOCH,
            approvals_wanted: 0,
            approvals: Vec::new(),
            accept_data_loss: None,
            despite_not_ready: false,
            paused_at: BTreeSet::new(),
            abort: false,
            drill: Default::default(),
        };
        let request = Versioned::new(put(&store, &Key::Request("x1".into()), &request).await, request);
        let mut seen = Vec::new();
        for (execution, over) in [("x1", true), ("x2", true), ("x3", false)] {
            let journal = Journal { over, ..journal(execution, "g") };
            let key = Key::Journal { execution: execution.into(), group: "g".into() };
            let revision = put(&store, &key, &journal).await;
            seen.push(JournalSeen { revision, created: revision, journal });
        }
        let gone = async |seen: &JournalSeen| arbiter.collect_journal(acting, seen, &group).await.unwrap();
        assert!(!gone(&seen[0]).await, "its request stands");
        assert!(!gone(&seen[1]).await, "the group's record names it");
        assert!(!gone(&seen[2]).await, "it is not over");
        let old = Versioned::new(request.revision - 1, request.value.clone());
        assert!(!arbiter.collect_request(acting, "x1", &old).await.unwrap(), "somebody said something since");
        assert!(!arbiter.collect_request(Acting::new("dc-a", leader - 1), "x1", &request).await.unwrap());
        assert!(arbiter.collect_request(acting, "x1", &request).await.unwrap());
        assert!(gone(&seen[0]).await);
        assert_eq!(arbiter.journal("x1", "g").await.unwrap(), None);
        assert!(arbiter.journal("x2", "g").await.unwrap().is_some());
    }
}
