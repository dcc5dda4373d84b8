//! Moving a group: one transaction each, and what became of it when its answer was lost.

use tandem_core::failover::Journal;

use super::{Arbiter, ReadError, read};
use crate::peers::{ClaimProof, Silence};
use crate::records::{Entry, EntryError, GroupRecord, Hold, HoldRecord, JournalSeen, Key, Versioned};
use crate::store::{Store, StoreError};
use crate::txn::{self, Acting, Kv, Move, NotAllowed, Op, Refusal, Scribe, Superseded, Txn, TxnAnswer, notes};

/// How a group stands after a transaction that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The group's record. To be fed to the gate before anything else is done.
    pub record: Versioned<GroupRecord>,
    /// The journal.
    pub journal: JournalSeen,
}

/// Why a group did not move. Nothing was changed, except perhaps after [`MoveError::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// It is not possible by what is known already.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The entry cannot be written.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Another replica leads the site.
    #[error("this replica does not lead its site any more")]
    NotLeader,
    /// A hold is set.
    #[error("held: {}", Key::Hold(.0.clone()))]
    Held(Hold),
    /// The other site lives, or a replica joined it: watch again.
    #[error("the other site's heartbeats moved")]
    Alive,
    /// The group's record or the journal is not the one that was read: decide anew from what there is.
    #[error("the group or its journal was changed by another")]
    Conflict {
        /// The group's record as it is.
        record: Option<Box<Versioned<GroupRecord>>>,
        /// The journal as it is.
        journal: Option<Box<JournalSeen>>,
    },
    /// Another execution has the group.
    #[error("execution {execution} has this group")]
    Busy {
        /// Which.
        execution: String,
    },
    /// The key of this request was used for another one.
    #[error("execution {execution} exists and is another request; use another key")]
    OtherRequest {
        /// The execution.
        execution: String,
    },
    /// There is no such group.
    #[error("there is no record of group {group}")]
    NoGroup {
        /// The group.
        group: String,
    },
    /// The answer was lost, and so far it was not carried out. It may still be, at most once: what it compares lets it take
    /// effect only on what was read. Read again, and go on from there.
    #[error("whether it was carried out is not known yet; read again")]
    Unknown(#[source] StoreError),
    /// Reading what it depends on failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not carry it out.
    #[error("writing to the arbiter failed")]
    Store(#[source] StoreError),
}

impl<S: Store> Arbiter<S> {
    /// Takes a group over from a silent holder; see [`txn::take_over`].
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn take_over(
        &self,
        acting: Acting<'_>,
        change: Move<'_>,
        silence: &Silence,
        automatic: bool,
    ) -> Result<Moved, MoveError> {
        self.carry_out(acting, change, &txn::take_over(acting, &change, silence, automatic)?).await
    }

    /// Lets a group go; see [`txn::release`].
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn release(&self, acting: Acting<'_>, change: Move<'_>) -> Result<Moved, MoveError> {
        self.carry_out(acting, change, &txn::release(acting, &change)?).await
    }

    /// Claims a release; see [`txn::claim`].
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn claim(&self, acting: Acting<'_>, change: Move<'_>, proof: &ClaimProof) -> Result<Moved, MoveError> {
        self.carry_out(acting, change, &txn::claim(acting, &change, proof)?).await
    }

    /// Takes back a release; see [`txn::reclaim`].
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn reclaim(&self, acting: Acting<'_>, change: Move<'_>) -> Result<Moved, MoveError> {
        self.carry_out(acting, change, &txn::reclaim(acting, &change)?).await
    }

    /// Writes the next entry of a journal; see [`txn::put_journal`].
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn put_journal(&self, acting: Acting<'_>, change: Move<'_>) -> Result<Moved, MoveError> {
        self.carry_out(acting, change, &txn::put_journal(acting, &change)?).await
    }

    /// Ends an execution; see [`txn::finish`].
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn finish(&self, acting: Acting<'_>, change: Move<'_>) -> Result<Moved, MoveError> {
        self.carry_out(acting, change, &txn::finish(acting, &change)?).await
    }

    /// Begins an execution, or finds the one that the same request began before: its id is the idempotency key. Reads the
    /// group itself; `journal.from` and `journal.epoch` must be what the request was decided from.
    ///
    /// # Errors
    /// [`MoveError`]; [`MoveError::Busy`] where another execution has the group and is not superseded.
    pub async fn begin_execution(
        &self,
        acting: Acting<'_>,
        journal: Journal,
        superseded: Option<&Superseded<'_>>,
    ) -> Result<Moved, MoveError> {
        let entry = Entry::first(journal)?;
        let asked = entry.journal();
        let (group, execution) = (asked.group.as_str(), asked.execution.as_str());
        let (record, found) = self.group_and_journal(group, execution).await?;
        let Some(record) = record else { return Err(MoveError::NoGroup { group: group.to_owned() }) };
        if let Some(found) = found {
            let of = |journal: &Journal| (journal.kind, journal.from.clone(), journal.to.clone());
            return if of(&found.journal) == of(asked) {
                Ok(Moved { record, journal: found })
            } else {
                Err(MoveError::OtherRequest { execution: execution.to_owned() })
            };
        }
        let change = Move { record: &record, entry: &entry };
        match txn::begin(acting, &change, superseded) {
            Ok(txn) => self.carry_out(acting, change, &txn).await,
            Err(NotAllowed::Busy) => {
                Err(MoveError::Busy { execution: record.value.execution.clone().unwrap_or_default() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sets a hold, at either site; one that is set stays as it is. Returns what there is.
    ///
    /// # Errors
    /// [`ReadError`]; it can be called again after any of them.
    pub async fn set_hold(
        &self,
        hold: &Hold,
        record: &HoldRecord,
        scribe: Option<Scribe<'_>>,
    ) -> Result<Versioned<HoldRecord>, ReadError> {
        let mut txn = txn::set_hold(hold, 0, record);
        txn::note_all(&mut txn, self.site(), scribe.map(|scribe| notes::hold_set(scribe, hold, record)));
        let answer = self.store.txn(&txn).await?;
        match answer.one(0) {
            Some(found) if !answer.succeeded => Ok(Versioned::new(found.mod_revision, read(found)?)),
            _ => Ok(Versioned::new(answer.revision, record.clone())),
        }
    }

    /// Clears a hold as it was read at `seen`; says whether it is gone. One that was set anew since stays.
    ///
    /// # Errors
    /// [`StoreError`]; it can be called again after any of them.
    pub async fn clear_hold(&self, hold: &Hold, seen: i64, scribe: Option<Scribe<'_>>) -> Result<bool, StoreError> {
        let mut txn = txn::clear_hold(hold, seen);
        txn::note_all(&mut txn, self.site(), scribe.map(|scribe| notes::hold_cleared(scribe, hold, seen)));
        let answer = self.store.txn(&txn).await?;
        Ok(answer.succeeded || answer.one(0).is_none())
    }

    /// A group's record and a journal, at one revision.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn group_and_journal(
        &self,
        group: &str,
        execution: &str,
    ) -> Result<(Option<Versioned<GroupRecord>>, Option<JournalSeen>), ReadError> {
        let journal = Key::Journal { execution: execution.to_owned(), group: group.to_owned() };
        let then = vec![Op::get(Key::Group(group.to_owned())), Op::get(journal)];
        let answer = self.store.txn(&Txn { then, ..Txn::default() }).await?;
        both(&answer)
    }

    async fn carry_out(&self, acting: Acting<'_>, change: Move<'_>, txn: &Txn) -> Result<Moved, MoveError> {
        match self.store.txn(txn).await {
            Ok(answer) if answer.succeeded => written(&change, txn, answer.revision),
            Ok(answer) => refused(acting, &change, txn, &answer),
            Err(lost @ StoreError::Unknown(_)) => self.find_out(&change, txn, lost).await,
            Err(error) => Err(MoveError::Store(error)),
        }
    }

    /// After a lost answer: reads, compares execution, epoch and entry, and says what can be said.
    async fn find_out(&self, change: &Move<'_>, txn: &Txn, lost: StoreError) -> Result<Moved, MoveError> {
        let sent = change.entry.journal();
        let Ok((record, journal)) = self.group_and_journal(&sent.group, &sent.execution).await else {
            return Err(MoveError::Unknown(lost));
        };
        let group = record.as_ref().map_or(0, |record| record.revision);
        let entry = journal.as_ref().map_or(0, |journal| journal.revision);
        if entry == change.entry.revision() && (!writes_group(txn) || group == change.record.revision) {
            return Err(MoveError::Unknown(lost));
        }
        match (record, journal) {
            // The entry is ours: nobody else writes this number of this journal with this content, and where the record was
            // written it was in the same transaction.
            (Some(record), Some(journal))
                if journal.journal == *sent && (!writes_group(txn) || record.revision >= journal.revision) =>
            {
                Ok(Moved { record, journal })
            }
            (record, journal) => {
                Err(MoveError::Conflict { record: record.map(Box::new), journal: journal.map(Box::new) })
            }
        }
    }
}

/// Whether a transaction writes a group's record beside the journal.
fn writes_group(txn: &Txn) -> bool {
    let group = Key::groups();
    txn.then.iter().any(|op| matches!(op, Op::Put { key, .. } if key.starts_with(&group)))
}

/// What a transaction that succeeded has left: what it wrote, as of its revision.
fn written(change: &Move<'_>, txn: &Txn, revision: i64) -> Result<Moved, MoveError> {
    let prefix = Key::groups();
    let put = txn.then.iter().find_map(|op| match op {
        Op::Put { key, value } if key.starts_with(&prefix) => {
            Some(Kv { key: key.clone(), value: value.clone(), create_revision: 0, mod_revision: revision })
        }
        _ => None,
    });
    let record = match &put {
        Some(kv) => Versioned::new(revision, read(kv)?),
        None => change.record.clone(),
    };
    Ok(Moved { record, journal: change.entry.written(revision) })
}

fn refused(acting: Acting<'_>, change: &Move<'_>, txn: &Txn, answer: &TxnAnswer) -> Result<Moved, MoveError> {
    Err(match txn::refusal(acting, change, txn, answer) {
        Refusal::NotLeader => MoveError::NotLeader,
        Refusal::Held(hold) => MoveError::Held(hold),
        Refusal::Alive => MoveError::Alive,
        Refusal::Record | Refusal::Journal | Refusal::Unclear => {
            let (record, journal) = both(answer)?;
            MoveError::Conflict { record: record.map(Box::new), journal: journal.map(Box::new) }
        }
    })
}

fn both(answer: &TxnAnswer) -> Result<(Option<Versioned<GroupRecord>>, Option<JournalSeen>), ReadError> {
    let record = answer.one(0).map(|kv| Ok::<_, ReadError>(Versioned::new(kv.mod_revision, read(kv)?))).transpose()?;
    Ok((record, answer.one(1).map(super::executions::seen).transpose()?))
}
