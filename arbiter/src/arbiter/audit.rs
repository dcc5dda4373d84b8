//! The site's audit chain: appended to by compare-and-swap, read in pages, sealed in segments.

use jiff::Timestamp;
use tandem_core::audit::{Broken, Draft, Entry, Flaw, Head, Outcome, Segment, TooLarge};

use super::{Arbiter, ReadError, moved, read};
use crate::records::{Key, RecordError, Versioned};
use crate::store::{Store, StoreError};
use crate::txn::{self, AuditPut, Compare, Kv, Op, Txn, TxnAnswer};

/// How often an entry is tried where another was written in between. In each round one succeeds, so that this many replicas
/// may write at once; those of one process wait for each other and need no more than one round each.
pub(super) const TRIES: usize = 32;

/// How often an entry is sent whose answer was lost.
pub(super) const SENDINGS: usize = 3;

/// How many entries one transaction reads or deletes, below etcd's limit.
const AT_ONCE: u64 = 100;

/// Why nothing was written to the chain, or nobody knows. No entry, no action.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The entry is too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The head, or an entry, could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not carry it out, or nobody knows ([`StoreError::Unknown`]): then it stands there once, or never will.
    #[error("writing to the audit chain failed")]
    Store(#[source] StoreError),
    /// Others kept writing.
    #[error("others kept writing to the audit chain; try again")]
    Contended,
    /// What stands in the arbiter is no chain.
    #[error("the audit chain is broken")]
    Broken(#[from] Broken),
}

/// What became of an action that was sent with its entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Audited {
    /// Both were written.
    Done {
        /// The revision of both.
        revision: i64,
        /// The entry.
        entry: Box<Entry>,
    },
    /// Neither was: what the action compares had moved. The answer is the action's own, as without an entry.
    Refused(TxnAnswer),
}

/// That an action was begun, for its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The number of the entry.
    pub seq: u64,
    draft: Draft,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The new entry's own id.
    pub id: String,
    /// When, by the writer's wall clock.
    pub at: Timestamp,
    /// Whether it was done.
    pub done: bool,
    /// SHA-256 of the object after it; `None` where there is none.
    pub after: Option<String>,
}

/// A page of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditPage {
    /// The entries, in order. Those of segments that were dropped after they were exported are not among them.
    pub entries: Vec<Entry>,
    /// The number to go on from; `None` at the end.
    pub next: Option<u64>,
    /// How far the chain went at that time.
    pub head: Head,
}

impl<S: Store> Arbiter<S> {
    /// Carries out an action together with its entry: both or neither.
    ///
    /// After a lost answer it is sent again as it was. That is safe although it writes: it compares the head that the first
    /// sending would have moved.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn audited(&self, action: &Txn, draft: &Draft) -> Result<Audited, AuditError> {
        // Held while it is sent: two of one process would only be in each other's way.
        let mut tail = self.audit.lock().await;
        let mut lost = 0;
        for _ in 0..TRIES {
            let known = match &*tail {
                Some(known) => known.clone(),
                None => self.audit_head(self.site()).await?,
            };
            let entry = known.value.entry(self.site(), draft.clone())?;
            *tail = Some(known.clone());
            let put = AuditPut { revision: known.revision, entry };
            match self.store.txn(&txn::audited(action, &put)).await {
                Ok(answer) if answer.succeeded => {
                    *tail = Some(Versioned::new(answer.revision, put.entry.head()));
                    return Ok(Audited::Done { revision: answer.revision, entry: Box::new(put.entry) });
                }
                Ok(mut answer) => {
                    // Forgotten until it is read in full below: what follows may fail.
                    *tail = None;
                    let there = answer.reads.pop().unwrap_or_default();
                    let head = answer.reads.pop().unwrap_or_default();
                    let head = head.first();
                    *tail = Some(head_of(self.site(), head)?);
                    let seq = put.entry.seq;
                    if let Some(kv) = there.first() {
                        let entry = placed(self.site(), seq, kv)?;
                        if entry.id == draft.id {
                            return Ok(Audited::Done { revision: kv.mod_revision, entry: Box::new(entry) });
                        }
                        if moved(head) == put.revision {
                            return Err(Broken { seq, why: Flaw::BehindTheEnd }.into());
                        }
                    }
                    if moved(head) == put.revision {
                        return Ok(Audited::Refused(answer));
                    }
                }
                Err(error @ StoreError::Unknown(_)) => {
                    lost += 1;
                    if lost >= SENDINGS {
                        *tail = None;
                        return Err(AuditError::Store(error));
                    }
                }
                Err(error) => {
                    *tail = None;
                    return Err(AuditError::Store(error));
                }
            }
        }
        Err(AuditError::Contended)
    }

    /// Appends an entry by itself.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn audit_append(&self, draft: &Draft) -> Result<Entry, AuditError> {
        match self.audited(&Txn::default(), draft).await? {
            Audited::Done { entry, .. } => Ok(*entry),
            // Nothing else was compared: something stands where nothing should.
            Audited::Refused(_) => Err(AuditError::Contended),
        }
    }

    /// Writes down that an action is about to be done. It must not be done where this fails.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn audit_begin(&self, draft: Draft) -> Result<Receipt, AuditError> {
        let draft = Draft { outcome: Outcome::Begun, begun: None, ..draft };
        let entry = self.audit_append(&draft).await?;
        Ok(Receipt { seq: entry.seq, draft })
    }

    /// Writes down how an action ended. Called again after an error, it may stand there twice.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn audit_complete(&self, receipt: &Receipt, completion: Completion) -> Result<Entry, AuditError> {
        self.audit_append(&receipt.completed(completion)).await
    }

    /// How far a site's chain goes, with the `mod_revision` of that; at revision 0 where there is none yet.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn audit_head(&self, site: &str) -> Result<Versioned<Head>, ReadError> {
        let get = Txn { then: vec![Op::get(Key::AuditHead(site.to_owned()))], ..Txn::default() };
        head_of(site, self.store.txn(&get).await?.one(0))
    }

    /// A page of a site's chain: at most so many entries, from this number on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn audit_page(&self, site: &str, from: u64, limit: u64) -> Result<AuditPage, ReadError> {
        let from = from.max(1);
        let mut page = AuditPage { entries: Vec::new(), next: None, head: self.audit_head(site).await?.value };
        let end = from.saturating_add(limit.max(1)).min(page.head.seq.saturating_add(1));
        let mut at = from;
        while at < end {
            let upto = end.min(at + AT_ONCE);
            let key = |seq| Key::AuditEntry { site: site.to_owned(), seq };
            let then = (at..upto).map(|seq| Op::get(key(seq))).collect();
            let answer = self.store.txn(&Txn { then, ..Txn::default() }).await?;
            for (seq, kvs) in (at..upto).zip(&answer.reads) {
                if let Some(kv) = kvs.first() {
                    page.entries.push(placed(site, seq, kv)?);
                }
            }
            at = upto;
        }
        page.next = (from < end && end <= page.head.seq).then_some(end);
        Ok(page)
    }

    /// A site's sealed segments, in order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn audit_segments(&self, site: &str) -> Result<Vec<Versioned<Segment>>, ReadError> {
        let range = self.store.range(&Key::audit_segments(site)).await?;
        range.kvs.iter().map(|kv| Ok(Versioned::new(kv.mod_revision, read(kv)?))).collect()
    }

    /// Seals the next segment of this site's chain, where so many entries follow the last one. Two that seal at once seal
    /// alike.
    ///
    /// # Errors
    /// [`AuditError::Broken`] where the entries are no chain: a matter for people, and nothing is sealed.
    pub async fn audit_seal(&self, entries: u64, at: Timestamp) -> Result<Option<Segment>, AuditError> {
        let segments = self.audit_segments(self.site()).await?;
        let start = segments.last().map_or_else(|| Head::genesis(self.site()), |last| last.value.head());
        let page = self.audit_page(self.site(), start.seq + 1, entries).await?;
        if entries == 0 || page.head.seq.saturating_sub(start.seq) < entries {
            return Ok(None);
        }
        let segment = Segment::seal(&start, self.site(), &page.entries, at)?;
        let key = Key::AuditSegment { site: self.site().to_owned(), first: segment.first };
        let txn = Txn {
            compare: vec![Compare::absent(&key)],
            then: vec![Op::put(&key, &segment)],
            otherwise: vec![Op::get(&key)],
        };
        let answer = self.store.txn(&txn).await.map_err(AuditError::Store)?;
        match answer.one(0) {
            Some(found) if !answer.succeeded => Ok(Some(read(found)?)),
            _ => Ok(Some(segment)),
        }
    }

    /// Deletes the entries of a sealed segment of this site, once they were exported; the segment stays. Returns how many
    /// there were, at most.
    ///
    /// # Errors
    /// [`AuditError::Contended`] where the segment is not the one that was read.
    pub async fn audit_drop(&self, segment: &Versioned<Segment>) -> Result<u64, AuditError> {
        let Segment { site, first, last, .. } = &segment.value;
        let sealed = Key::AuditSegment { site: site.clone(), first: *first };
        let mut at = *first;
        while at <= *last {
            let upto = last.saturating_add(1).min(at + AT_ONCE);
            let key = |seq| Key::AuditEntry { site: site.clone(), seq };
            let txn = Txn {
                compare: vec![Compare::unchanged(&sealed, segment.revision)],
                then: (at..upto).map(|seq| Op::delete(key(seq))).collect(),
                otherwise: Vec::new(),
            };
            if !self.store.txn(&txn).await.map_err(AuditError::Store)?.succeeded {
                return Err(AuditError::Contended);
            }
            at = upto;
        }
        Ok(last - first + 1)
    }
}

impl Receipt {
    /// What completes the entry, also to ride in an action's transaction.
    #[must_use]
    pub fn completed(&self, completion: Completion) -> Draft {
        let Completion { id, at, done, after } = completion;
        let outcome = if done { Outcome::Done } else { Outcome::Failed };
        Draft { id, at, outcome, after, begun: Some(self.seq), ..self.draft.clone() }
    }
}

pub(super) fn head_of(site: &str, kv: Option<&Kv>) -> Result<Versioned<Head>, ReadError> {
    match kv {
        Some(kv) => Ok(Versioned::new(kv.mod_revision, read(kv)?)),
        None => Ok(Versioned::new(0, Head::genesis(site))),
    }
}

/// The entry in these bytes, which stand under this number.
pub(super) fn placed(site: &str, seq: u64, kv: &Kv) -> Result<Entry, ReadError> {
    let entry: Entry = read(kv)?;
    if entry.site == site && entry.seq == seq {
        return Ok(entry);
    }
    let source = RecordError::Misplaced {
        expected: format!("entry {seq} of {site}"),
        found: format!("entry {} of {}", entry.seq, entry.site),
    };
    Err(ReadError::Record { key: kv.key.clone(), source })
}
