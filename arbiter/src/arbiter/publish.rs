//! Publishing and burying: desired state becomes a record, with the ledger and the group record that go with it.

use tandem_core::ledger::{Change, Refusal};
use tandem_core::sync::{Kind, Record, SpecRecord, Tombstone, Versioned};

use super::{ActError, Arbiter, ReadError, moved, read, stands};
use crate::records::{GroupRecord, Key, LedgerRecord, PLATFORM, RecordError, decode_spec};
use crate::store::{Store, StoreError};
use crate::txn::{
    self, Edit, GroupChange, Kv, LedgerSwap, Mandate, NotConfirmed, Op, SpecChange, Txn, TxnAnswer, notes,
};

/// How often a publication is tried where another changed the ledger or the group record in between. In each round one
/// succeeds, so that this many publications of one unit may run at once.
const TRIES: usize = 16;

/// What changes in the same transaction as a record. Which one is fixed by the kind: units and environments carry their
/// ledger, failover groups their group record, all others nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rider {
    /// Nothing.
    None,
    /// A change of a unit's ledger.
    Ledger {
        /// The unit.
        unit: String,
        /// The change.
        change: Change,
    },
    /// Where there is no group record yet, it is made: held by the preferred site under epoch 1. A retired one is revived
    /// under the epoch that it has.
    Group {
        /// The preferred site.
        preferred: String,
    },
    /// The group record is retired; it stays, so that its epoch never restarts.
    Retire,
}

impl Rider {
    fn suits(&self, kind: Kind, burial: bool) -> bool {
        match (kind, self) {
            (Kind::Unit, Self::Ledger { change, .. }) => match change {
                Change::Budget(_) => !burial,
                Change::Remove => burial,
                _ => false,
            },
            (Kind::Environment, Self::Ledger { change, .. }) => match change {
                Change::Claim { .. } => !burial,
                Change::Release { .. } => burial,
                _ => false,
            },
            (Kind::FailoverGroup, Self::Group { .. }) => !burial,
            (Kind::FailoverGroup, Self::Retire) => burial,
            (Kind::Unit | Kind::Environment | Kind::FailoverGroup, _) => false,
            (_, rider) => *rider == Self::None,
        }
    }
}

/// One object to publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Revision of the record to replace; 0 to create it.
    pub base: i64,
    /// The new record.
    pub record: SpecRecord,
    /// What goes with it.
    pub rider: Rider,
    /// What is written down of it for the site's audit chain, and the version that is kept, in the same transaction.
    pub edit: Option<Edit>,
}

/// One object to replace by a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub struct Burial {
    /// Revision of the record to replace.
    pub base: i64,
    /// The tombstone.
    pub tombstone: Tombstone,
    /// What goes with it.
    pub rider: Rider,
    /// What is written down of it for the site's audit chain, and the version that is kept, in the same transaction.
    pub edit: Option<Edit>,
}

/// Where a publication stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// `mod_revision` of the record; for the annotation, and for the caller's copy of the records.
    pub revision: i64,
}

/// Why something was not published. Nothing was changed, except perhaps after [`PublishError::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another site is the authority, or the authority record moved: read it again and decide anew.
    #[error("this site is not the authority, or the authority moved")]
    NotAuthority,
    /// Another replica leads the site.
    #[error("this replica does not lead its site any more")]
    NotLeader,
    /// The record is not the one that the object was built from. Never retried: decide anew from what there is.
    #[error("the record was changed by another")]
    Conflict {
        /// The record as it is; `None` where there is none.
        current: Option<Box<Versioned<Record>>>,
    },
    /// The unit's budget does not allow it.
    #[error("the unit's budget does not allow it: {0}")]
    Refused(Refusal),
    /// After a restore of the arbiter a group may not be made: a site has seen it, or has not said yet.
    #[error("the group cannot be made after the restore of the arbiter")]
    NotConfirmed(#[source] NotConfirmed),
    /// The ledger or the group record kept changing.
    #[error("the ledger or the group record kept changing; try again")]
    Contended,
    /// The answer was lost, and a read did not tell either. It may still be carried out, at most once.
    #[error("whether it was published is not known yet; look again")]
    Unknown(#[source] StoreError),
    /// A programming error: the kind must carry its ledger or group record, and this publication does not.
    #[error("a record of {0} must change together with its ledger or group record, and with no other")]
    WrongRider(Kind),
    /// Reading what it depends on failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not carry it out.
    #[error("publishing to the arbiter failed")]
    Store(#[source] StoreError),
}

impl From<ActError> for PublishError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::NotAuthority => Self::NotAuthority,
            ActError::NotLeader => Self::NotLeader,
            ActError::Read(error) => Self::Read(error),
            ActError::Store(error) => Self::Store(error),
        }
    }
}

/// The rider as it goes into one attempt.
#[derive(Default)]
struct Ride {
    ledger: Option<LedgerSwap>,
    group: Option<GroupChange>,
}

impl<S: Store> Arbiter<S> {
    /// Publishes one object. Tried again, a few times, only where nothing but the ledger or the group record had moved.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, mandate: &Mandate, publication: Publication) -> Result<Published, PublishError> {
        let Publication { base, record, rider, edit } = publication;
        self.commit(mandate, SpecChange { base, record: Record::Live(record) }, &rider, edit.as_ref()).await
    }

    /// Replaces one object's record by a tombstone.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn tombstone(&self, mandate: &Mandate, burial: Burial) -> Result<Published, PublishError> {
        let Burial { base, tombstone, rider, edit } = burial;
        self.commit(mandate, SpecChange { base, record: Record::Tombstone(tombstone) }, &rider, edit.as_ref()).await
    }

    async fn commit(
        &self,
        mandate: &Mandate,
        change: SpecChange,
        rider: &Rider,
        edit: Option<&Edit>,
    ) -> Result<Published, PublishError> {
        let key = change.record.key();
        if !rider.suits(key.kind, matches!(change.record, Record::Tombstone(_))) {
            return Err(PublishError::WrongRider(key.kind));
        }
        for _ in 0..TRIES {
            let ride = self.ride(rider, &key.name).await?;
            let mut txn = txn::publish(self.site(), mandate, &change, ride.ledger.as_ref(), ride.group.as_ref());
            if let Some(edit) = edit {
                txn::note(&mut txn, self.site(), notes::publication(edit, &change));
                if let Some(version) = &edit.version {
                    txn::keep_version(&mut txn, &change, version);
                }
            }
            match self.store.txn(&txn).await {
                Ok(answer) if answer.succeeded => return Ok(Published { revision: answer.revision }),
                Ok(answer) => refused(mandate, &change, &answer)?,
                Err(lost @ StoreError::Unknown(_)) => return self.read_back(mandate, &change, lost).await,
                Err(error) => return Err(PublishError::Store(error)),
            }
        }
        Err(PublishError::Contended)
    }

    /// Reads what the rider changes and says what shall become of it.
    async fn ride(&self, rider: &Rider, name: &str) -> Result<Ride, PublishError> {
        let get = |key: &Key| Txn { then: vec![Op::get(key)], ..Txn::default() };
        match rider {
            Rider::None => Ok(Ride::default()),
            Rider::Ledger { unit, change } => {
                let answer = self.store.txn(&get(&Key::Ledger(unit.clone()))).await.map_err(ReadError::from)?;
                let found = answer.one(0);
                let current: Option<LedgerRecord> = found.map(read).transpose()?;
                let next = change.apply(current.as_ref().map(|found| &found.ledger)).map_err(PublishError::Refused)?;
                let next = next.map(|ledger| LedgerRecord { unit: unit.clone(), ledger });
                let swap = LedgerSwap { unit: unit.clone(), revision: moved(found), next };
                Ok(Ride { ledger: Some(swap), group: None })
            }
            Rider::Group { .. } | Rider::Retire => {
                let answer = self.store.txn(&get(&Key::Group(name.to_owned()))).await.map_err(ReadError::from)?;
                let found = answer.one(0);
                let current: Option<GroupRecord> = found.map(read).transpose()?;
                let next = match (rider, current) {
                    (Rider::Group { preferred }, None) => Some(GroupRecord::first(preferred)),
                    (Rider::Group { .. }, Some(group)) => {
                        group.retired.then_some(GroupRecord { retired: false, ..group })
                    }
                    // The authority itself hangs on this record.
                    (_, Some(_)) if name == PLATFORM => None,
                    (_, group) => {
                        group.filter(|group| !group.retired).map(|group| GroupRecord { retired: true, ..group })
                    }
                };
                if name == PLATFORM && next.is_none() {
                    // Compared by the mandate already, and not written.
                    return Ok(Ride::default());
                }
                let mut also = Vec::new();
                if found.is_none() && next.is_some() {
                    let testimony = self.testimony().await?;
                    testimony.may_create(name).map_err(PublishError::NotConfirmed)?;
                    also = txn::founding(&testimony);
                }
                let change = GroupChange { group: name.to_owned(), revision: moved(found), next, also };
                Ok(Ride { ledger: None, group: Some(change) })
            }
        }
    }

    /// After a lost answer: reads what there is, and says what can be said.
    async fn read_back(
        &self,
        mandate: &Mandate,
        change: &SpecChange,
        lost: StoreError,
    ) -> Result<Published, PublishError> {
        let mut look = txn::publish(self.site(), mandate, change, None, None);
        // Only the reads, whichever way the comparisons go.
        look.then.clone_from(&look.otherwise);
        let Ok(answer) = self.store.txn(&look).await else { return Err(PublishError::Unknown(lost)) };
        let found = answer.one(2);
        if moved(found) == change.base {
            // Not carried out so far; it cannot be any more if what it compares has moved.
            stands(mandate, answer.one(0), answer.one(1))?;
            return Err(PublishError::Unknown(lost));
        }
        let current = current(change, found)?;
        match &current {
            Some(current) if same(&current.value, &change.record) => Ok(Published { revision: current.revision }),
            _ => Err(PublishError::Conflict { current: current.map(Box::new) }),
        }
    }
}

/// Why a publication's comparisons failed; `Ok` where only the rider had moved.
fn refused(mandate: &Mandate, change: &SpecChange, answer: &TxnAnswer) -> Result<(), PublishError> {
    stands(mandate, answer.one(0), answer.one(1))?;
    let found = answer.one(2);
    if moved(found) == change.base {
        return Ok(());
    }
    Err(PublishError::Conflict { current: current(change, found)?.map(Box::new) })
}

fn current(change: &SpecChange, found: Option<&Kv>) -> Result<Option<Versioned<Record>>, ReadError> {
    let record = |kv: &Kv| -> Result<Record, RecordError> { decode_spec(change.record.key(), &kv.value) };
    found
        .map(|kv| match record(kv) {
            Ok(record) => Ok(Versioned::new(kv.mod_revision, record)),
            Err(source) => Err(ReadError::Record { key: kv.key.clone(), source }),
        })
        .transpose()
}

/// Whether a record is the one that we sent: published from the same object in the same generation, alive or buried alike.
fn same(found: &Record, sent: &Record) -> bool {
    std::mem::discriminant(found) == std::mem::discriminant(sent)
        && found.id() == sent.id()
        && found.origin() == sent.origin()
}
