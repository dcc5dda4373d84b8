//! The same request twice is one: by keys that both sites, and every replica, read alike.

use jiff::Timestamp;

use super::{Arbiter, ReadError, read};
use crate::records::{ANSWER_BYTES, AnswerRecord, IdempotencyRecord, Key, Versioned};
use crate::store::{Store, StoreError};
use crate::txn::{Compare, Op, Txn, TxnAnswer};

/// How often a write is sent whose answer was lost, and how often a claim is tried while others write.
const TRIES: usize = 8;

/// How many keys one transaction deletes, below etcd's limit.
const AT_ONCE: usize = 100;

/// Whether the work is the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is, and nobody was at it before.
    Ours {
        /// `mod_revision` of the record, for the answer.
        revision: i64,
    },
    /// It is, and somebody was at it who died: look what was made of it before making anything.
    TakenOver {
        /// `mod_revision` of the record, for the answer.
        revision: i64,
    },
    /// Somebody else is at it.
    Running {
        /// Until when nobody takes it over.
        until: Timestamp,
    },
    /// It was answered.
    Answered(AnswerRecord),
    /// The key was used for another request.
    OtherRequest,
}

/// Why an answer was not kept, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The answer takes more than [`ANSWER_BYTES`].
    #[error("the answer would take {bytes} bytes, at most {ANSWER_BYTES} are kept")]
    TooLarge {
        /// How many it would take.
        bytes: usize,
    },
    /// The arbiter did not take part, or has something else.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl<S: Store> Arbiter<S> {
    /// Claims the work on a request that was sent with a key; see [`idempotency_id`](crate::records::idempotency_id).
    ///
    /// # Errors
    /// [`ReadError`]; it can be called again with the same record after any of them.
    pub async fn idempotency_claim(
        &self,
        id: &str,
        record: &IdempotencyRecord,
        now: Timestamp,
    ) -> Result<Claimed, ReadError> {
        let key = Key::Idempotency(id.to_owned());
        let mut known = 0;
        let mut wanted = IdempotencyRecord { taken_over: false, answer: None, ..record.clone() };
        for _ in 0..TRIES {
            let answer = self.replace(&key, known, &wanted).await?;
            if answer.succeeded {
                return Ok(ours(answer.revision, wanted.taken_over));
            }
            let Some(kv) = answer.one(0) else {
                // Collected in between.
                (known, wanted.taken_over) = (0, false);
                continue;
            };
            let found: IdempotencyRecord = read(kv)?;
            if found.claim == record.claim && found.answer.is_none() {
                // Sent before, and its answer was lost.
                return Ok(ours(kv.mod_revision, found.taken_over));
            }
            if found.expires > now {
                if found.request != record.request {
                    return Ok(Claimed::OtherRequest);
                }
                if let Some(answer) = found.answer {
                    return Ok(Claimed::Answered(answer));
                }
                if found.until > now {
                    return Ok(Claimed::Running { until: found.until });
                }
            }
            (known, wanted.taken_over) = (kv.mod_revision, found.expires > now);
        }
        // Others are at it.
        Ok(Claimed::Running { until: record.until })
    }

    /// Keeps the answer to a request whose work was claimed at `revision`; says whether it is kept. Where it is not, another
    /// took the work over.
    ///
    /// # Errors
    /// [`IdempotencyError`]; it can be called again after [`IdempotencyError::Read`].
    pub async fn idempotency_answer(
        &self,
        id: &str,
        revision: i64,
        record: &IdempotencyRecord,
        answer: &AnswerRecord,
    ) -> Result<bool, IdempotencyError> {
        let bytes = answer.bytes();
        if bytes > ANSWER_BYTES {
            return Err(IdempotencyError::TooLarge { bytes });
        }
        let kept = IdempotencyRecord { answer: Some(answer.clone()), ..record.clone() };
        let written = self.replace(&Key::Idempotency(id.to_owned()), revision, &kept).await?;
        if written.succeeded {
            return Ok(true);
        }
        let found: Option<IdempotencyRecord> = written.one(0).map(read).transpose()?;
        Ok(found.is_some_and(|found| found.claim == record.claim && found.answer.as_ref() == Some(answer)))
    }

    /// Gives a key free whose work was claimed at `revision` and came to nothing: a request that was refused before anything
    /// was done may be sent again under it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn idempotency_release(&self, id: &str, revision: i64) -> Result<bool, StoreError> {
        let key = Key::Idempotency(id.to_owned());
        let txn = Txn {
            compare: vec![Compare::unchanged(&key, revision)],
            then: vec![Op::delete(&key)],
            otherwise: Vec::new(),
        };
        Ok(self.store.txn(&txn).await?.succeeded)
    }

    /// What is kept for a key.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn idempotency(&self, id: &str) -> Result<Option<Versioned<IdempotencyRecord>>, ReadError> {
        self.read_one(&Key::Idempotency(id.to_owned())).await
    }

    /// Deletes what has expired, each as it was read; returns how many.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any.
    pub async fn collect_idempotency(&self, now: Timestamp) -> Result<usize, StoreError> {
        let range = self.store.range(&Key::idempotency()).await?;
        let expired: Vec<_> = range
            .kvs
            .iter()
            .filter(|kv| match read::<IdempotencyRecord>(kv) {
                Ok(record) => record.expires <= now,
                Err(error) => {
                    // Of a newer release, which will collect it.
                    tracing::warn!(%error, "an answer that cannot be read is left alone");
                    false
                }
            })
            .collect();
        let mut collected = 0;
        for batch in expired.chunks(AT_ONCE) {
            let txn = Txn {
                compare: batch.iter().map(|kv| Compare::unchanged(&kv.key, kv.mod_revision)).collect(),
                then: batch.iter().map(|kv| Op::delete(&kv.key)).collect(),
                otherwise: Vec::new(),
            };
            // Where one was used anew since, the batch waits for the next round.
            if self.store.txn(&txn).await?.succeeded {
                collected += batch.len();
            }
        }
        Ok(collected)
    }

    /// Writes a record in place of the one read at `known`, or reads what there is. Sent again after a lost answer: it
    /// compares what the first sending would have moved, and the record names who sent it.
    async fn replace(&self, key: &Key, known: i64, record: &IdempotencyRecord) -> Result<TxnAnswer, ReadError> {
        let txn = Txn {
            compare: vec![Compare::unchanged(key, known)],
            then: vec![Op::put(key, record)],
            otherwise: vec![Op::get(key)],
        };
        let mut sent = 0;
        loop {
            sent += 1;
            match self.store.txn(&txn).await {
                Err(StoreError::Unknown(_)) if sent < TRIES => {}
                answer => return Ok(answer?),
            }
        }
    }
}

fn ours(revision: i64, taken_over: bool) -> Claimed {
    if taken_over { Claimed::TakenOver { revision } } else { Claimed::Ours { revision } }
}
