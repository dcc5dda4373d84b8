//! A store whose answers count only where they come from an arbiter that was compared with the pins.
//!
//! A connection may be made anew underneath without a word, and what answers then may be a forced new cluster of the same name.
//! The heartbeat finds that out, but whatever else is asked between two heartbeats would already have been believed: a claim
//! carried out by the wrong cluster opens a gate. So every answer waits here until the server that gave it was compared.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::{Cause, Met, Range, Store, StoreError, Watch};
use crate::txn::{Origin, Txn, TxnAnswer};

/// Whose answers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counts {
    /// Nobody's: no arbiter was compared yet, or it is not the one that is pinned.
    #[default]
    Nobodys,
    /// Those of this server in this term.
    Of(Origin),
    /// Everybody's: nothing is pinned.
    Everybodys,
}

impl Counts {
    /// Whether an answer from there counts.
    #[must_use]
    pub fn allow(self, origin: Origin) -> bool {
        match self {
            Self::Nobodys => false,
            Self::Of(compared) => compared == origin,
            Self::Everybodys => true,
        }
    }

    /// Whether an answer from there will never count: its server has gone on to a later term.
    fn is_past(self, origin: Origin) -> bool {
        matches!(self, Self::Of(Origin { cluster, server })
            if cluster != origin.cluster || (server.member == origin.server.member && server.term > origin.server.term))
    }
}

/// What the membership says about whose answers count, to all who ask the same store.
#[derive(Clone, Debug)]
pub struct Comparison {
    counts: Arc<watch::Sender<Counts>>,
    wake: Arc<Notify>,
}

impl Comparison {
    /// Nobody was compared yet. `wake` asks for a heartbeat, which compares.
    #[must_use]
    pub fn new(wake: Arc<Notify>) -> Self {
        Self { counts: Arc::new(watch::Sender::new(Counts::Nobodys)), wake }
    }

    /// Says whose answers count from now on.
    pub fn set(&self, counts: Counts) {
        self.counts.send_if_modified(|before| std::mem::replace(before, counts) != counts);
    }

    /// Waits until an answer from there counts, for so long at the most.
    async fn agrees(&self, origin: Origin, patience: Duration) -> bool {
        let mut counts = self.counts.subscribe();
        if counts.borrow_and_update().allow(origin) {
            return true;
        }
        self.wake.notify_one();
        let known = counts.wait_for(|counts| counts.allow(origin) || counts.is_past(origin));
        matches!(timeout(patience, known).await, Ok(Ok(counts)) if counts.allow(origin))
    }
}

/// A store, and who says whose answers count.
#[derive(Clone, Debug)]
pub struct Compared<S> {
    store: S,
    comparison: Comparison,
    patience: Duration,
}

impl<S: Store> Compared<S> {
    /// The answers of this store that count, each after so long at the most.
    #[must_use]
    pub fn new(store: S, comparison: Comparison, patience: Duration) -> Self {
        Self { store, comparison, patience }
    }

    async fn agrees(&self, origin: Origin) -> Result<(), Cause> {
        if self.comparison.agrees(origin, self.patience).await {
            return Ok(());
        }
        Err(Cause::new("another arbiter server answered, and was not compared with the pins in time"))
    }
}

impl<S: Store> Store for Compared<S> {
    async fn txn(&self, txn: &Txn) -> Result<TxnAnswer, StoreError> {
        let answer = self.store.txn(txn).await?;
        match self.agrees(answer.origin).await {
            Ok(()) => Ok(answer),
            Err(cause) if txn.reads_only() => Err(StoreError::Unavailable(cause)),
            // Carried out, but by whom?
            Err(cause) => Err(StoreError::Unknown(cause)),
        }
    }

    async fn range(&self, prefix: &str) -> Result<Range, StoreError> {
        let range = self.store.range(prefix).await?;
        self.agrees(range.origin).await.map_err(StoreError::Unavailable)?;
        Ok(range)
    }

    async fn watch(&self, prefix: &str, from: i64) -> Result<Watch, StoreError> {
        let watch = self.store.watch(prefix, from).await?;
        let compared = futures::stream::unfold(Some((self.clone(), watch)), |state| async move {
            let (store, mut watch) = state?;
            let item = match watch.next().await? {
                Ok(batch) => store.agrees(batch.origin).await.map(|()| batch).map_err(StoreError::Unavailable),
                Err(error) => Err(error),
            };
            let state = item.is_ok().then_some((store, watch));
            Some((item, state))
        });
        Ok(compared.boxed())
    }

    async fn identity(&self) -> Result<Met, StoreError> {
        self.store.identity().await
    }

    fn next_endpoint(&self) {
        self.store.next_endpoint();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{GroupRecord, Key};
    use crate::store::SimStore;
    use crate::txn::Op;

    const SOON: Duration = Duration::from_millis(50);

    fn write() -> Txn {
        let group = Key::Group("tax".to_owned());
        Txn { then: vec![Op::put(group, &GroupRecord::first("dc-a"))], ..Txn::default() }
    }

    async fn origin(store: &SimStore) -> Origin {
        store.identity().await.unwrap().origin()
    }

    #[tokio::test]
    async fn an_answer_counts_once_its_server_was_compared() {
        let (store, wake) = (SimStore::default(), Arc::<Notify>::default());
        let comparison = Comparison::new(Arc::clone(&wake));
        let compared = Compared::new(store.clone(), comparison.clone(), Duration::from_secs(60));
        let asked = tokio::spawn({
            let compared = compared.clone();
            async move { compared.txn(&write()).await }
        });
        // It asks for a heartbeat, which compares.
        wake.notified().await;
        comparison.set(Counts::Of(origin(&store).await));
        assert!(asked.await.unwrap().unwrap().succeeded);
        assert_eq!(compared.range("").await.unwrap().kvs.len(), 1);
    }

    #[tokio::test]
    async fn a_change_by_a_server_that_is_not_compared_is_unknown_and_a_read_did_not_happen() {
        let store = SimStore::default();
        let comparison = Comparison::new(Arc::default());
        comparison.set(Counts::Of(origin(&store).await));
        let compared = Compared::new(store.clone(), comparison.clone(), SOON);
        let mut watch = compared.watch("", 1).await.unwrap();
        assert!(compared.txn(&write()).await.is_ok());
        assert!(watch.next().await.unwrap().is_ok());
        store.elect();
        assert!(matches!(compared.txn(&write()).await, Err(StoreError::Unknown(_))));
        assert!(matches!(compared.range("").await, Err(StoreError::Unavailable(_))));
        assert!(matches!(watch.next().await, Some(Err(StoreError::Unavailable(_)))));
        assert!(watch.next().await.is_none(), "a watch ends with its first error");
        comparison.set(Counts::Nobodys);
        assert!(matches!(compared.range("").await, Err(StoreError::Unavailable(_))));
        comparison.set(Counts::Everybodys);
        assert!(compared.range("").await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_of_an_earlier_term_is_not_waited_for() {
        let store = SimStore::default();
        let comparison = Comparison::new(Arc::default());
        let before = origin(&store).await;
        store.elect();
        comparison.set(Counts::Of(origin(&store).await));
        let waited = timeout(Duration::from_secs(60), comparison.agrees(before, Duration::from_secs(3600))).await;
        assert_eq!(waited, Ok(false));
    }
}
