//! The authority's side: from local objects to records.

use super::{ConflictSeed, LocalView, Record, SpecRecord, Versioned, mint_id};

/// What the authority does about one object.
#[derive(Clone, Debug, PartialEq)]
pub enum PublishPlan {
    /// Nothing to do, or nothing until a view that lags has caught up.
    Nothing,
    /// Publish the object.
    Publish {
        /// Revision of the record to replace; 0 to create it.
        base: i64,
        /// Durable id to publish under; to be written into `spec.id` of record and object.
        id: String,
    },
    /// The record says it already: write id, annotations and finalizer to the local object.
    Heal {
        /// Durable id for `spec.id`.
        id: String,
        /// Revision for the annotation.
        revision: i64,
    },
    /// The record was moved by another since the object was last in step with it. Keep `seed`, if there is one, as a
    /// conflict record; then do what [`plan_follow`](super::plan_follow) says.
    Conflict {
        /// The edit that loses, if there was one.
        seed: Option<ConflictSeed>,
    },
    /// The object bears an arbiter revision that the arbiter's records do not account for. Never published: report it.
    Quarantine {
        /// What does not fit, for people.
        why: String,
    },
    /// The object cannot be published as it is; the text says how to mend it.
    Refuse {
        /// What was wrong and how to mend it, for people.
        why: String,
    },
    /// The object is being deleted: replace the record by a tombstone.
    Tombstone {
        /// Revision of the record to replace.
        base: i64,
        /// Durable id of the object.
        id: String,
    },
    /// The object is wanted but not there, and no deletion was seen: create it from the record.
    Restore {
        /// Revision of the record.
        revision: i64,
    },
    /// The object's deletion needs nothing more from us: take the finalizer off.
    ReleaseFinalizer,
}

/// Whether deletions that are seen here are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restraint {
    /// The CRD is Established and not being deleted: a deletion is a person's wish.
    None,
    /// The CRD is not Established or is itself being deleted, and the API server deletes its objects with it: such a
    /// deletion never becomes a tombstone.
    CrdUnsettled,
}

/// What the authority `site` does about one object, from what it sees of it and the record.
#[must_use]
pub fn plan_publish(
    site: &str,
    local: Option<&LocalView>,
    record: Option<&Versioned<Record>>,
    restraint: Restraint,
) -> PublishPlan {
    let Some(local) = local else {
        return match record {
            Some(Versioned { revision, value: Record::Live(_) }) => PublishPlan::Restore { revision: *revision },
            _ => PublishPlan::Nothing,
        };
    };
    if !local.deleting {
        return present(site, local, record);
    }
    if !local.has_finalizer {
        // Others hold it or it is as good as gone. Without our finalizer its deletion proves nothing.
        return PublishPlan::Nothing;
    }
    match restraint {
        Restraint::None => deleting(site, local, record),
        Restraint::CrdUnsettled => match present(site, local, record) {
            PublishPlan::Publish { base, id } => PublishPlan::Publish { base, id },
            PublishPlan::Conflict { seed: Some(seed) } => PublishPlan::Conflict { seed: Some(seed) },
            _ => PublishPlan::ReleaseFinalizer,
        },
    }
}

fn present(site: &str, local: &LocalView, record: Option<&Versioned<Record>>) -> PublishPlan {
    match record {
        None => match local.arbiter_revision {
            Some(revision) => PublishPlan::Quarantine {
                why: format!("it was in step with arbiter revision {revision}, but the arbiter has no such record"),
            },
            None => first(site, local, 0),
        },
        Some(Versioned { revision, value: Record::Tombstone(_) }) => match local.arbiter_revision {
            None => first(site, local, *revision),
            Some(seen) if seen > *revision => PublishPlan::Nothing,
            // Deleted by another authority before this one began.
            Some(_) => PublishPlan::Conflict { seed: local.conflict(site, None, *revision) },
        },
        Some(Versioned { revision, value: Record::Live(published) }) => compared(site, local, *revision, published),
    }
}

/// An object that was never published, under a key that is free.
fn first(site: &str, local: &LocalView, base: i64) -> PublishPlan {
    let minted = mint_id(site, local.key.kind, &local.uid);
    match &local.id {
        Some(id) if *id != minted => foreign_id(id),
        _ => PublishPlan::Publish { base, id: minted },
    }
}

fn compared(site: &str, local: &LocalView, revision: i64, record: &SpecRecord) -> PublishPlan {
    if local.arbiter_revision.is_some_and(|seen| seen > revision) {
        return PublishPlan::Nothing;
    }
    if let Some(id) = local.id.as_ref().filter(|id| **id != record.id) {
        return match local.arbiter_revision {
            None if *id != mint_id(site, local.key.kind, &local.uid) => foreign_id(id),
            // The name passed to another object, or the id was tampered with: the record stands.
            _ => overtaken(site, local, revision, record),
        };
    }
    if local.settled(revision, record) {
        return PublishPlan::Nothing;
    }
    if local.says(record) {
        return PublishPlan::Heal { id: record.id.clone(), revision };
    }
    if local.arbiter_revision == Some(revision) {
        return PublishPlan::Publish { base: revision, id: record.id.clone() };
    }
    let ours = record.origin.site == site && record.origin.uid == local.uid;
    match (ours, record.origin.generation <= local.generation) {
        // Our own publication, whose answer was lost or whose annotation was not written yet.
        (true, true) => PublishPlan::Publish { base: revision, id: record.id.clone() },
        // A publication of a generation that this view of the object has not reached yet.
        (true, false) => PublishPlan::Nothing,
        (false, _) => overtaken(site, local, revision, record),
    }
}

fn deleting(site: &str, local: &LocalView, record: Option<&Versioned<Record>>) -> PublishPlan {
    let Some(Versioned { revision, value: Record::Live(record) }) = record else {
        // Never published, or a tombstone already; or a key that is gone: then a person is removing what was quarantined.
        return PublishPlan::ReleaseFinalizer;
    };
    let ours = record.origin.site == site && record.origin.uid == local.uid;
    match local.arbiter_revision {
        Some(seen) if seen > *revision => PublishPlan::Nothing,
        _ if local.id.as_ref().is_some_and(|id| *id != record.id) => PublishPlan::ReleaseFinalizer,
        Some(seen) if seen == *revision => tombstone(*revision, record),
        _ if ours => tombstone(*revision, record),
        Some(_) => overtaken(site, local, *revision, record),
        // Another object under the same name, never published.
        None => PublishPlan::ReleaseFinalizer,
    }
}

fn tombstone(base: i64, record: &SpecRecord) -> PublishPlan {
    PublishPlan::Tombstone { base, id: record.id.clone() }
}

fn overtaken(site: &str, local: &LocalView, revision: i64, record: &SpecRecord) -> PublishPlan {
    PublishPlan::Conflict { seed: local.conflict(site, Some(record), revision) }
}

fn foreign_id(id: &str) -> PublishPlan {
    PublishPlan::Refuse {
        why: format!("spec.id is {id}, which Tandem did not mint for this object; remove spec.id; Tandem mints it"),
    }
}
