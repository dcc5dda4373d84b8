//! A new authority opens for writes once it has taken in everything that was published before its claim.
//!
//! A watch says nothing while nothing is written, so that the revision of a claim may be far above what it has delivered. Then
//! everything is listed: where the index has each of it, nothing is missing.

use crate::context::Context;
use crate::link::LinkError;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_core::sync::ObjectKey;
use tandem_logs::Chain;

/// How often it is looked whether it may open.
const LOOK: Duration = Duration::from_millis(200);
/// For how long it is waited until everything is taken in. Every publication compares the revision of what it replaces: a site
/// that opens too early finds conflicts, one that never opens is an authority nobody can work with.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens this site for writes whenever it has gained authority, for ever.
pub async fn run_opening(context: Context) {
    let mut waits: Option<Duration> = None;
    loop {
        if context.link.claimed().is_none() || context.link.open_for_writes() {
            waits = None;
        }
        if context.link.leadership().is_some()
            && context.link.claimed().is_some()
            && context.link.seen().is_some()
            && !context.link.open_for_writes()
            && let Err(error) = look(&context, *waits.get_or_insert(context.link.uptime())).await
        {
            tracing::warn!(error = %Chain(&error), "not open for writes yet");
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(context: &Context, since: Duration) -> Result<(), LinkError> {
    let (revision, listed) = context.link.spec_revisions().await?;
    let held: BTreeMap<ObjectKey, i64> = context
        .index
        .keys()
        .into_iter()
        .filter_map(|key| context.index.record(&key).map(|record| (key, record.revision)))
        .collect();
    let open = missing(&listed, &held);
    if open.is_empty() {
        context.link.caught_up(revision);
        tracing::info!(revision, "everything published before the claim is taken in; open for writes");
    } else if context.link.uptime().saturating_sub(since) >= PATIENCE {
        let some: Vec<String> = open.iter().take(5).map(ToString::to_string).collect();
        tracing::error!(
            revision,
            missing = open.len(),
            ?some,
            "not everything is taken in; open for writes all the same"
        );
        context.link.caught_up(revision);
    }
    Ok(())
}

/// What is listed and not held, or older; and what is held and not listed any more. What is listed under 0 cannot be read.
fn missing(listed: &BTreeMap<ObjectKey, i64>, held: &BTreeMap<ObjectKey, i64>) -> Vec<ObjectKey> {
    let old = listed
        .iter()
        .filter(|(key, revision)| **revision != 0 && held.get(*key).is_none_or(|held| held < *revision))
        .map(|(key, _)| key);
    old.chain(held.keys().filter(|key| !listed.contains_key(*key))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_arbiter::Arbiter;
    use tandem_arbiter::store::{SimStore, Store};
    use tandem_arbiter::txn::{Op, Txn};
    use tandem_crds::Kind;

    fn taken_in(listed: &BTreeMap<ObjectKey, i64>, held: &BTreeMap<ObjectKey, i64>) -> bool {
        missing(listed, held).is_empty()
    }

    async fn listed(store: &SimStore) -> BTreeMap<ObjectKey, i64> {
        let specs = Arbiter::new(store.clone(), "dc-b").list_specs().await.unwrap();
        specs.entries.into_iter().map(|seen| (seen.key, seen.revision)).collect()
    }

    async fn write(store: &SimStore, name: &str) -> i64 {
        let put = Op::Put { key: format!("/tandem/v1/specs/units/-/{name}"), value: b"{}".to_vec() };
        store.txn(&Txn { then: vec![put], ..Txn::default() }).await.unwrap().revision
    }

    #[tokio::test]
    async fn what_was_written_before_the_claim_has_to_be_held() {
        let store = SimStore::default();
        let (a, b) = (write(&store, "a").await, write(&store, "b").await);
        let key = |name: &str| ObjectKey::cluster(Kind::Unit, name);
        let mut held = BTreeMap::from([(key("a"), a)]);
        assert!(!taken_in(&listed(&store).await, &held), "b is not known");
        held.insert(key("b"), b);
        assert!(taken_in(&listed(&store).await, &held));
        // The last edit of the authority before, which the watch has not brought yet.
        let newer = write(&store, "a").await;
        assert!(!taken_in(&listed(&store).await, &held));
        held.insert(key("a"), newer);
        assert!(taken_in(&listed(&store).await, &held));
        store.txn(&Txn { then: vec![Op::delete("/tandem/v1/specs/units/-/b")], ..Txn::default() }).await.unwrap();
        assert!(!taken_in(&listed(&store).await, &held), "its tombstone was collected");
        held.remove(&key("b"));
        assert!(taken_in(&listed(&store).await, &held));
    }
}
