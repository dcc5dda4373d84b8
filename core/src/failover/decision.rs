//! What is to be done next, as plain data.

use std::time::Duration;

use super::{Journal, Reason, Token};

/// What one site does next for one group.
///
/// It holds effects or one transaction, never both: an effect belongs to an entry that stands in the arbiter already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The entry that the transaction among `actions` puts; `None` where there is no transaction.
    pub next: Option<Journal>,
    /// What to carry out, in this order.
    pub actions: Vec<Action>,
    /// Why this, or why nothing.
    pub because: Reason,
    /// When to look again at the latest, on the boot clock; `None` where only news can change anything.
    pub wake: Option<Duration>,
}

/// One thing to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A transaction in the arbiter.
    Transact(Transaction),
    /// A call at this site.
    Effect(Effect),
    /// People must know. Repeated for as long as it holds; the caller makes transitions of it.
    Alarm(Reason),
}

/// A transaction of failover.md, section 1. Every one also compares `mod` of the journal's key and this replica's
/// leadership of its site, and puts [`Decision::next`] under that key.
///
/// One whose answer was lost is not sent again: the caller reads the records anew and asks for another decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transaction {
    /// Puts the entry alone.
    PutJournal,
    /// `groups/g` unchanged, with no execution → the same record with this execution: one move a group at a time.
    Begin,
    /// `groups/g` unchanged, held by this site → `Released{to}`. The source may not act alone any more.
    Release,
    /// `groups/g` unchanged, no hold, and the releasing site's members as seen or `T` passed → held here, epoch + 1.
    ClaimRelease,
    /// `groups/g` unchanged, no hold, the holder's members unmoved since `watched`, and the journal of the execution
    /// named in the record (where it is another) unchanged → held here, epoch + 1, with this execution.
    TakeOver {
        /// Newest revision `R` among the holder's members: none may have moved after it.
        watched: i64,
        /// Counts among the group's automatic failovers of the day.
        automatic: bool,
    },
    /// `groups/g` unchanged, released by this site → held here again, epoch + 1.
    Reclaim,
    /// `groups/g` unchanged, with this execution → the same record without it.
    End,
}

/// What is called. Everything happens at the site that decides: no site ever calls another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectKind {
    /// The provider refuses writers.
    Quiesce,
    /// The provider finishes what is under way, so that its position is final.
    FinalSync,
    /// The provider makes the data a standby of the other site; also a former active's data that returns.
    Demote,
    /// The provider cuts writers for good, and leaves the token with the data's own switch.
    Fence,
    /// The provider makes the data writable. Only ever under an epoch that this site holds.
    Promote,
    /// The provider makes data writable that was quiesced or demoted in an execution that is taken back.
    Resume,
    /// Workloads go to the replicas of an active site. Done when that is written, not when pods are ready.
    ScaleActive,
    /// Workloads go to the replicas of a standby site.
    ScaleStandby,
    /// Traffic goes to this site, where that is not the gate's doing alone.
    Redirect,
    /// Whether the applications answer at this site.
    Verify,
    /// Clones of a drill are taken away, before anything real.
    SweepDrill,
}

/// A call. It may be repeated under the same token; whoever receives it refuses tokens below the highest one seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What.
    pub kind: EffectKind,
    /// Under which token.
    pub token: Token,
}

impl Decision {
    /// Nothing to do.
    pub(super) fn idle(because: Reason) -> Self {
        Self { next: None, actions: Vec::new(), because, wake: None }
    }

    /// One transaction.
    pub(super) fn transact(transaction: Transaction, next: Journal, because: Reason) -> Self {
        Self { next: Some(next), actions: vec![Action::Transact(transaction)], because, wake: None }
    }

    pub(super) fn waking(mut self, at: Option<Duration>) -> Self {
        self.wake = match (self.wake, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }

    pub(super) fn alarming(mut self, reason: Reason) -> Self {
        self.actions.push(Action::Alarm(reason));
        self
    }

    /// The transaction to send, if there is one.
    #[must_use]
    pub fn transaction(&self) -> Option<Transaction> {
        self.actions.iter().find_map(|action| match action {
            Action::Transact(transaction) => Some(*transaction),
            _ => None,
        })
    }

    /// The calls to make, in order.
    pub fn effects(&self) -> impl Iterator<Item = Effect> + '_ {
        self.actions.iter().filter_map(|action| match action {
            Action::Effect(effect) => Some(*effect),
            _ => None,
        })
    }
}
