//! Carrying transactions out, and what their answers mean.
//!
//! The arbiter writes an execution's name into the group's record when its journal is made, and takes it out with the
//! journal's last entry: one execution a group at any time. The machine speaks of a name that is written later (`Begin`) and
//! taken out earlier (`End`, at `Completed`). Both are mere entries here: whatever the machine may ask in between is the same.

use crate::context::Context;
use crate::link::{Link, LinkError};
use tandem_arbiter::arbiter::{GroupMoved, MoveError};
use tandem_arbiter::peers::ClaimProof;
use tandem_arbiter::records::{EntryError, GroupRecord, JournalSeen, Versioned};
use tandem_arbiter::txn::{Move, Superseded};
use tandem_core::failover::{Journal, Outcome, Reason, Step, Transaction};
use tandem_logs::Chain;

/// Why a transaction was not sent, or not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryError {
    #[error("this replica does not lead its site")]
    NotLeader,
    #[error("the proof that the transaction needs is not there (any more)")]
    NoProof,
    #[error("the decision holds no entry")]
    NoEntry,
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Move(#[from] MoveError),
}

/// One transaction and what it was decided from.
pub(super) struct Carried<'a> {
    pub(super) record: &'a Versioned<GroupRecord>,
    pub(super) journal: &'a JournalSeen,
    pub(super) next: Option<Journal>,
    pub(super) transaction: Transaction,
    pub(super) claim: Option<&'a ClaimProof>,
}

/// Sends one transaction, and feeds whatever is learned of the records to gate and board before anything else is done.
pub(super) async fn transact(link: &Link, carried: Carried<'_>) -> Result<GroupMoved, CarryError> {
    let Carried { record, journal, next, transaction, claim } = carried;
    let next = next.ok_or(CarryError::NoEntry)?;
    let (over, group, execution) = (next.over, next.group.clone(), next.execution.clone());
    let entry = journal.next(next)?;
    let acting = link.acting().ok_or(CarryError::NotLeader)?;
    let (arbiter, change) = (link.arbiter(), Move { record, entry: &entry });
    let ours = record.value.execution.as_ref() == Some(&execution);
    let answered = match transaction {
        Transaction::PutJournal | Transaction::Begin | Transaction::End if over && ours => {
            arbiter.finish(acting, change).await
        }
        Transaction::PutJournal | Transaction::Begin | Transaction::End => arbiter.put_journal(acting, change).await,
        Transaction::Release => arbiter.release(acting, change).await,
        Transaction::ClaimRelease => arbiter.claim(acting, change, claim.ok_or(CarryError::NoProof)?).await,
        Transaction::TakeOver { watched, automatic } => {
            // The proof is asked for at the last moment, and must be of the silence that was decided from.
            let proof = link.peers().proof(&record.value.active, link.uptime());
            let proof = proof.filter(|proof| proof.newest() == watched).ok_or(CarryError::NoProof)?;
            arbiter.take_over(acting, change, &proof, automatic).await
        }
        Transaction::Reclaim => arbiter.reclaim(acting, change).await,
    };
    learn(link, &group, &execution, answered).await
}

/// Makes an execution, closing one that it takes the place of where the holder is silent.
pub(super) async fn begin(context: &Context, journal: Journal) -> Result<GroupMoved, CarryError> {
    let link = &context.link;
    let acting = link.acting().ok_or(CarryError::NotLeader)?;
    let (group, execution) = (journal.group.clone(), journal.execution.clone());
    let held = link.board().group(&group).map(|held| held.record.value);
    let before = held
        .as_ref()
        .and_then(|record| record.execution.clone())
        .filter(|other| *other != execution)
        .and_then(|other| link.board().journal(&other, &group));
    let silence = held.as_ref().and_then(|record| link.peers().proof(&record.active, link.uptime()));
    let closing = match (&before, &silence) {
        (Some(before), Some(_)) => Some(before.seen.next(closed(&before.seen.journal))?),
        _ => None,
    };
    let superseded = closing.as_ref().map(|entry| Superseded { entry, silence: silence.as_ref() });
    let answered = link.arbiter().begin_execution(acting, journal, superseded.as_ref()).await;
    learn(link, &group, &execution, answered).await
}

/// The last entry of an execution whose holder is lost: what served stays completed, what was under way was taken back.
fn closed(journal: &Journal) -> Journal {
    let wall = super::picture::wall();
    let why = Reason::SourceSilent { site: journal.from.clone() };
    if (Step::Completed..=Step::Protected).contains(&journal.step) {
        let mut next = journal.closed(Outcome::Failed, wall);
        next.step = Step::Completed;
        return next;
    }
    if journal.step == Step::RolledBack {
        return journal.closed(Outcome::Failed, wall);
    }
    journal.rolled_back(&why, wall).closed(Outcome::Failed, wall)
}

async fn learn(
    link: &Link,
    group: &str,
    execution: &str,
    answered: Result<GroupMoved, MoveError>,
) -> Result<GroupMoved, CarryError> {
    match &answered {
        Ok(moved) => {
            // The journal first: with the record alone the gate would wait for it.
            link.saw_journal(&moved.journal);
            link.saw_group(group, &moved.record);
            link.saw_journal(&moved.journal);
        }
        Err(MoveError::Conflict { record, journal }) => {
            if let Some(record) = record {
                link.saw_group(group, record);
            }
            if let Some(journal) = journal {
                link.saw_journal(journal);
            }
        }
        Err(MoveError::Unknown(lost)) => {
            tracing::warn!(group, execution, error = %Chain(lost), "an answer was lost; reading what became of it");
            read_back(link, group, execution).await;
        }
        Err(_) => {}
    }
    Ok(answered?)
}

/// Reads group and journal until the arbiter answers or this replica leads no more: nothing is decided before.
async fn read_back(link: &Link, group: &str, execution: &str) {
    while link.leadership().is_some() {
        if let Ok((record, journal)) = link.arbiter().group_and_journal(group, execution).await {
            if let Some(record) = record {
                link.saw_group(group, &record);
            }
            if let Some(journal) = journal {
                link.saw_journal(&journal);
            }
            return;
        }
        tokio::time::sleep(link.timing().attempt() / 5).await;
    }
}

impl From<CarryError> for LinkError {
    fn from(_: CarryError) -> Self {
        Self::MayNotAct
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_core::failover::ExecutionKind;

    #[test]
    fn what_is_superseded_ends_as_the_arbiter_takes_it() {
        let wall = jiff::Timestamp::UNIX_EPOCH;
        let journal = Journal::new(("x", "g"), ExecutionKind::Switchover, ("dc-a", "dc-b"), 4, wall);
        for (step, ends) in [
            (Step::Validating, Step::RolledBack),
            (Step::Fencing, Step::RolledBack),
            (Step::RolledBack, Step::RolledBack),
            (Step::Completed, Step::Completed),
            (Step::Resyncing, Step::Completed),
        ] {
            let closing = closed(&Journal { step, ..journal.clone() });
            assert!(closing.over);
            assert_eq!(closing.step, ends, "{step:?}");
        }
    }
}
