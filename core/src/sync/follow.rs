//! The follower's side: from records to local objects.

use super::{ConflictSeed, LocalView, Record, SpecRecord, Versioned};

/// What a following site does about one object. A conflict is always recorded first, and the object then changed with its
/// `resourceVersion`: where the API server answers 409, look again and start over.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowPlan {
    /// Nothing to do, or nothing until a view that lags has caught up.
    Nothing,
    /// Create the object from the record.
    Create,
    /// Overwrite the object with the record, annotations and finalizer included.
    Update {
        /// The local edit that is overwritten.
        conflict: Option<ConflictSeed>,
    },
    /// The object was deleted by the authority: delete it and take the finalizer off.
    Delete {
        /// The local edit that goes with it.
        conflict: Option<ConflictSeed>,
    },
    /// The object is being deleted here although it is wanted: take the finalizer off, then create it again.
    Recreate {
        /// The local edit that is lost with the old object.
        conflict: Option<ConflictSeed>,
    },
    /// The object was written here without authority: delete it.
    RemoveUnauthorised {
        /// What was written.
        conflict: Option<ConflictSeed>,
    },
    /// The object bears an arbiter revision that the records do not account for. Left alone: report it.
    Quarantine {
        /// What does not fit, for people.
        why: String,
    },
    /// The object's deletion needs nothing more from us: take the finalizer off.
    ReleaseFinalizer,
}

/// What the following `site` does about one object, from the record and what it sees of the object.
#[must_use]
pub fn plan_follow(site: &str, record: Option<&Versioned<Record>>, local: Option<&LocalView>) -> FollowPlan {
    match (record, local) {
        (Some(Versioned { value: Record::Live(_), .. }), None) => FollowPlan::Create,
        (_, None) => FollowPlan::Nothing,
        (None, Some(local)) => without_record(site, local),
        (Some(record), Some(local)) if local.arbiter_revision > Some(record.revision) => {
            // The object is ahead of this copy of the records.
            FollowPlan::Nothing
        }
        (Some(Versioned { revision, value: Record::Tombstone(_) }), Some(local)) => tombstoned(site, *revision, local),
        (Some(Versioned { revision, value: Record::Live(record) }), Some(local)) => {
            live(site, *revision, record, local)
        }
    }
}

fn without_record(site: &str, local: &LocalView) -> FollowPlan {
    match (local.deleting, local.arbiter_revision) {
        (true, _) => finish_deletion(local, FollowPlan::ReleaseFinalizer),
        (false, Some(revision)) => FollowPlan::Quarantine {
            why: format!("it was in step with arbiter revision {revision}, but the arbiter has no such record"),
        },
        (false, None) => FollowPlan::RemoveUnauthorised { conflict: local.conflict(site, None, 0) },
    }
}

/// A tombstone above the object's revision ends the object, also where it bears another durable id: a key passes to a new
/// id over the tombstone of the old one only, so an older object was deleted before what this tombstone deleted was made.
fn tombstoned(site: &str, revision: i64, local: &LocalView) -> FollowPlan {
    let conflict = local.conflict(site, None, revision);
    match local.arbiter_revision {
        Some(_) => finish_deletion(local, FollowPlan::Delete { conflict }),
        None => finish_deletion(local, FollowPlan::RemoveUnauthorised { conflict }),
    }
}

fn live(site: &str, revision: i64, record: &SpecRecord, local: &LocalView) -> FollowPlan {
    let conflict = || local.conflict(site, Some(record), revision);
    if local.deleting {
        return finish_deletion(local, FollowPlan::Recreate { conflict: conflict() });
    }
    if local.id.as_ref().is_some_and(|id| *id != record.id) {
        return match local.arbiter_revision {
            // `spec.id` cannot be changed in place: the next look finds nothing here and creates the record's object.
            None => FollowPlan::RemoveUnauthorised { conflict: conflict() },
            // The record's id succeeded the object's, over a tombstone that was not seen here.
            Some(seen) if seen < revision => FollowPlan::Delete { conflict: conflict() },
            // In step, but the id was tampered with; the API server let it through, so it will let it back.
            Some(_) => FollowPlan::Update { conflict: conflict() },
        };
    }
    if local.settled(revision, record) {
        return FollowPlan::Nothing;
    }
    FollowPlan::Update { conflict: conflict() }
}

/// What a plan becomes for an object that may be on its way out: without our finalizer there is nothing left to do.
fn finish_deletion(local: &LocalView, plan: FollowPlan) -> FollowPlan {
    if local.deleting && !local.has_finalizer { FollowPlan::Nothing } else { plan }
}
