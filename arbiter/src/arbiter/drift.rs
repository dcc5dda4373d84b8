//! What sites have put back: objects that somebody else had changed.

use jiff::Timestamp;
use tandem_core::audit::Actor;
use tandem_core::findings::Drift;

use super::{Arbiter, ReadError, read};
use crate::records::{Key, RecordError, Versioned};
use crate::store::{Store, StoreError};
use crate::txn::{self, Acting, Compare, Kv, Op, Scribe, Txn, notes};

/// How often a record is written that others change, or whose answer was lost.
const TRIES: usize = 8;

/// How many records one transaction deletes, below etcd's limit together with what is compared.
const AT_ONCE: usize = 100;

impl<S: Store> Arbiter<S> {
    /// Writes down that this site put an object back, in the object's record and for the site's audit chain: the actor is who
    /// had changed it. Says whether that is written; where it is not, others have changed the record each time.
    ///
    /// The same sent again after a lost answer counts once: it is known by its time.
    ///
    /// # Errors
    /// [`ReadError`]; it can be called again after one of the store's.
    pub async fn drifted(&self, found: &Drift, actor: &Actor) -> Result<bool, ReadError> {
        let key = Key::Drift {
            site: self.site().to_owned(),
            kind: found.kind.clone(),
            namespace: found.namespace.clone(),
            name: found.name.clone(),
        };
        let mut lost = None;
        for _ in 0..TRIES {
            let known: Option<Versioned<Drift>> = self.read_one(&key).await?;
            let (from, next) = match known {
                Some(known) if known.value.last == found.last => return Ok(true),
                Some(known) => (known.revision, known.value.and(found)),
                None => (0, found.clone()),
            };
            let mut txn = Txn {
                compare: vec![Compare::unchanged(&key, from)],
                then: vec![Op::put(&key, &next)],
                otherwise: Vec::new(),
            };
            let scribe = Scribe { actor, at: found.last };
            txn::note(&mut txn, self.site(), notes::drift(scribe, &key, from, found));
            match self.store.txn(&txn).await {
                Ok(answer) if answer.succeeded => return Ok(true),
                Ok(_) => lost = None,
                Err(error @ StoreError::Unknown(_)) => lost = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        lost.map_or(Ok(false), |error| Err(error.into()))
    }

    /// What every site has put back, with the site.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn drifts(&self) -> Result<Vec<(String, Drift)>, ReadError> {
        self.store.range(&Key::drifts()).await?.kvs.iter().map(of_site).collect()
    }

    /// Deletes what this site has not put back since `before`, each as it was read; returns how many.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any.
    pub async fn collect_drifts(&self, acting: Acting<'_>, before: Timestamp) -> Result<usize, StoreError> {
        let range = self.store.range(&Key::drifts_of(self.site())).await?;
        let old = |kv: &&Kv| match of_site(kv) {
            Ok((_, drift)) => drift.last < before,
            Err(error) => {
                // Of a newer release, which will collect it.
                tracing::warn!(%error, "what was put back cannot be read and is left alone");
                false
            }
        };
        let old: Vec<&Kv> = range.kvs.iter().filter(old).collect();
        let mut collected = 0;
        for batch in old.chunks(AT_ONCE) {
            let leader = Compare::unchanged(Key::Leader(acting.site.to_owned()), acting.leader);
            let seen = batch.iter().map(|kv| Compare::unchanged(&kv.key, kv.mod_revision));
            let txn = Txn {
                compare: [leader].into_iter().chain(seen).collect(),
                then: batch.iter().map(|kv| Op::delete(&kv.key)).collect(),
                otherwise: Vec::new(),
            };
            // Where one was put back again since, the batch waits for the next round.
            if self.store.txn(&txn).await?.succeeded {
                collected += batch.len();
            }
        }
        Ok(collected)
    }
}

/// A site and what it has put back, as it stands under its key.
fn of_site(kv: &Kv) -> Result<(String, Drift), ReadError> {
    let broken = |source| ReadError::Record { key: kv.key.clone(), source };
    let Ok(Key::Drift { site, kind, namespace, name }) = kv.key.parse() else {
        return Err(broken(RecordError::Malformed { why: "it is not the key of something put back".to_owned() }));
    };
    let drift: Drift = read(kv)?;
    if (&drift.kind, &drift.namespace, &drift.name) != (&kind, &namespace, &name) {
        let found = format!("{} {}/{}", drift.kind, drift.namespace.unwrap_or_default(), drift.name);
        let expected = format!("{kind} {}/{name}", namespace.unwrap_or_default());
        return Err(broken(RecordError::Misplaced { expected, found }));
    }
    Ok((site, drift))
}
