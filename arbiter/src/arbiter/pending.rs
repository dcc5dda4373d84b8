//! What waits for its place in the site's audit chain is entered, the oldest first.

use tandem_core::audit::{Broken, Draft, Entry, Flaw, Head};

use super::audit::{SENDINGS, TRIES, head_of, placed};
use super::{Arbiter, AuditError, ReadError, moved, read};
use crate::records::{Key, PendingRecord, Versioned};
use crate::store::{Store, StoreError};
use crate::txn::{self, Kv};

/// How many are entered in one transaction. For each there are two comparisons and two operations, and one more of both for
/// the head: below etcd's limit of 128.
const AT_ONCE: usize = 60;

/// How many bytes of entries go in one transaction: etcd takes requests of up to 1.5 MiB.
const BYTES_AT_ONCE: usize = 1 << 20;

/// How far entering what waited has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// How many were entered by this call.
    pub entered: usize,
    /// How many wait still, as far as this call has seen; those that cannot be read among them.
    pub left: usize,
    /// How many of these cannot be read.
    pub unreadable: usize,
    /// The revision at which the oldest of these was written.
    pub oldest: Option<i64>,
    /// The revision at which was looked.
    pub revision: i64,
}

/// One that waits.
struct Waiting {
    key: Key,
    kv: Kv,
    draft: Draft,
}

/// What became of one transaction.
enum Entered {
    All,
    /// Somebody else entered some of them, or has changed what waits: look again.
    Elsewhere,
}

impl<S: Store> Arbiter<S> {
    /// Enters what waits for its place in this site's chain, the oldest first and at most so many; see
    /// [`txn::note`]. Each is entered once, whoever enters, however often, and whatever answers are lost: its entry is written
    /// in the transaction that deletes it.
    ///
    /// What cannot be read, since a newer release wrote it or it does not fit, waits on and holds nothing up.
    ///
    /// # Errors
    /// [`AuditError`]; it can be called again after any but [`AuditError::Broken`], which is a matter for people.
    pub async fn audit_chain_pending(&self, limit: usize) -> Result<Drained, AuditError> {
        let range = self.store.range(&Key::audit_pending(self.site())).await.map_err(ReadError::from)?;
        let (mut waiting, mut oldest) = (Vec::new(), None::<i64>);
        let revision = range.revision;
        let mut older =
            |kv: &Kv| oldest = Some(oldest.map_or(kv.create_revision, |least| least.min(kv.create_revision)));
        let mut unreadable = 0;
        for kv in range.kvs {
            match self.waiting(&kv) {
                Ok((key, draft)) => waiting.push(Waiting { key, kv, draft }),
                Err(error) => {
                    // With every look; who looks tells people.
                    tracing::debug!(key = kv.key, %error, "an audit entry that waits cannot be read and is left alone");
                    unreadable += 1;
                    older(&kv);
                }
            }
        }
        // Those of one transaction bear one revision, and are in order by their ids.
        waiting.sort_by(|one, other| {
            (one.kv.create_revision, &one.kv.key).cmp(&(other.kv.create_revision, &other.kv.key))
        });
        let mut entered = 0;
        while entered < waiting.len().min(limit) {
            let rest = &waiting[entered..waiting.len().min(limit)];
            let batch = &rest[..fitting(rest)];
            match self.enter(batch).await? {
                Entered::All => entered += batch.len(),
                Entered::Elsewhere => break,
            }
        }
        if let Some(first) = waiting.get(entered) {
            older(&first.kv);
        }
        Ok(Drained { entered, left: waiting.len() - entered + unreadable, unreadable, oldest, revision })
    }

    fn waiting(&self, kv: &Kv) -> Result<(Key, Draft), ReadError> {
        let broken = |source| ReadError::Record { key: kv.key.clone(), source };
        let malformed = |why: String| crate::records::RecordError::Malformed { why };
        match kv.key.parse() {
            Ok(Key::AuditPending { site, id }) => {
                let draft = read::<PendingRecord>(kv)?.of(&id).map_err(broken)?;
                // Whatever stands here fits, unless something else wrote it; here with the longest number that there is.
                let last = Head { seq: u64::MAX - 1, ..Head::genesis(&site) };
                last.entry(&site, draft.clone()).map_err(|error| broken(malformed(error.to_string())))?;
                Ok((Key::AuditPending { site, id }, draft))
            }
            _ => Err(broken(malformed("it is not the key of an entry that waits".to_owned()))),
        }
    }

    /// Enters these in one transaction.
    async fn enter(&self, batch: &[Waiting]) -> Result<Entered, AuditError> {
        // Held while it is sent: whatever else this process appends would only be in the way.
        let mut tail = self.audit.lock().await;
        let mut lost = 0;
        for _ in 0..TRIES {
            let known = match tail.take() {
                Some(known) => known,
                None => self.audit_head(self.site()).await?,
            };
            let mut head = known.value.clone();
            let mut entries: Vec<(Entry, Key, i64)> = Vec::with_capacity(batch.len());
            for waiting in batch {
                let entry = head.entry(self.site(), waiting.draft.clone())?;
                head = entry.head();
                entries.push((entry, waiting.key.clone(), waiting.kv.mod_revision));
            }
            let answer = match self.store.txn(&txn::enter(known.revision, &entries)).await {
                Ok(answer) if answer.succeeded => {
                    *tail = Some(Versioned::new(answer.revision, head));
                    return Ok(Entered::All);
                }
                Ok(answer) => answer,
                // Sent again as it was: it compares what the first sending would have moved.
                Err(error @ StoreError::Unknown(_)) => {
                    lost += 1;
                    if lost >= SENDINGS {
                        return Err(AuditError::Store(error));
                    }
                    *tail = Some(known);
                    continue;
                }
                Err(error) => return Err(AuditError::Store(error)),
            };
            let seq = known.value.seq + 1;
            if let Some(there) = answer.one(1) {
                let entry = placed(self.site(), seq, there)?;
                if batch.first().is_some_and(|first| first.draft.id == entry.id) && lost > 0 {
                    // The sending whose answer was lost, as a whole; what followed since is read with the next.
                    return Ok(Entered::All);
                }
                if moved(answer.one(0)) == known.revision {
                    return Err(Broken { seq, why: Flaw::BehindTheEnd }.into());
                }
            }
            *tail = Some(head_of(self.site(), answer.one(0))?);
            let stands = |(place, waiting): (usize, &Waiting)| moved(answer.one(place + 2)) == waiting.kv.mod_revision;
            if !batch.iter().enumerate().all(stands) {
                return Ok(Entered::Elsewhere);
            }
            if moved(answer.one(0)) == known.revision {
                // Nothing that was read has moved: something stands behind the end, further on.
                return Err(Broken { seq, why: Flaw::BehindTheEnd }.into());
            }
        }
        Err(AuditError::Contended)
    }
}

/// How many of these go in one transaction; at least one.
fn fitting(waiting: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fit = waiting.iter().take(AT_ONCE).take_while(|waiting| {
        // An entry has the draft's fields, and a few hundred bytes beside them.
        bytes += waiting.kv.value.len() + 512;
        bytes <= BYTES_AT_ONCE
    });
    fit.count().max(1)
}
