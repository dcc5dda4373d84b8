//! After a restore of the arbiter: nobody holds anything until both sites have spoken, or two people for a silent one.
//!
//! In order: [`generation`] with `Restoring` (whoever sees that refuses to act), [`unconfirm`] in portions, [`generation`]
//! with `Confirming`. A crash in between is mended by going on. Then sites [`report`], people [`attest`], and [`confirm`]
//! gives a group back, one transaction each, which compares every record that the decision was made from.

use std::collections::{BTreeMap, BTreeSet};

use super::{Compare, Op, Txn};
use crate::records::{
    AttestationRecord, Entry, GenerationRecord, GroupRecord, HighestRecord, Key, Mark, Phase, RestorePhase, Versioned,
};

/// By how much a confirmed epoch is raised where a site's own word is missing: far more than a site can have moved a group
/// between two backups, so that epochs only grow even then.
pub const ATTESTED_STRIDE: u64 = 1_000;

/// How many people have to say that a silent site is off.
pub const APPROVERS: usize = 2;

/// Writes the generation record in place of the one read at `known` (0: there was none). With `all` only if no group's
/// record was written after that revision: none may have appeared since they were made unconfirmed.
#[must_use]
pub fn generation(known: i64, record: &GenerationRecord, all: Option<i64>) -> Txn {
    let mut compare = vec![Compare::unchanged(Key::Generation, known)];
    compare.extend(all.map(|list| Compare::all_before(Key::groups(), list + 1)));
    Txn { compare, then: vec![Op::put(Key::Generation, record)], otherwise: vec![Op::get(Key::Generation)] }
}

/// Makes groups unconfirmed, each as it was read. At most 100 at a time.
#[must_use]
pub fn unconfirm(generation: i64, groups: &[(&str, &Versioned<GroupRecord>)]) -> Txn {
    let mut txn = Txn {
        compare: vec![Compare::unchanged(Key::Generation, generation)],
        then: Vec::new(),
        otherwise: vec![Op::get(Key::Generation)],
    };
    for (group, record) in groups {
        let key = Key::Group((*group).to_owned());
        txn.compare.push(Compare::unchanged(&key, record.revision));
        txn.then.push(Op::put(&key, &GroupRecord { phase: Phase::Unconfirmed, ..record.value.clone() }));
    }
    txn
}

/// Reports a site's high-water marks, in place of the report read at `known` (0: there was none).
#[must_use]
pub fn report(site: &str, generation: i64, known: i64, record: &HighestRecord) -> Txn {
    let key = Key::Highest(site.to_owned());
    Txn {
        compare: vec![Compare::unchanged(Key::Generation, generation), Compare::unchanged(&key, known)],
        then: vec![Op::put(&key, record)],
        otherwise: vec![Op::get(Key::Generation), Op::get(&key)],
    }
}

/// Keeps a person's word that a silent site is off. The same person's second word replaces the first, and stays one.
#[must_use]
pub fn attest(site: &str, approver: &str, generation: i64, record: &AttestationRecord) -> Txn {
    let key = Key::Attestation { site: site.to_owned(), approver: approver.to_owned() };
    Txn {
        compare: vec![Compare::unchanged(Key::Generation, generation)],
        then: vec![Op::put(&key, record)],
        otherwise: vec![Op::get(Key::Generation)],
    }
}

/// What was read before a group is confirmed or created after a restore; each with its `mod_revision`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// The generation record; `None` where the arbiter was never restored.
    pub generation: Option<Versioned<GenerationRecord>>,
    /// The report of each of its sites that has one.
    pub reports: BTreeMap<String, Versioned<HighestRecord>>,
    /// What people said of each site: the approver, and the word.
    pub attestations: BTreeMap<String, Vec<(String, Versioned<AttestationRecord>)>>,
}

/// Why a group is not confirmed, or not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConfirmed {
    /// There was no restore, or the group is confirmed already.
    #[error("there is nothing to confirm")]
    Nothing,
    /// The restore has not been carried out to its end.
    #[error("the restore was begun and not ended; run tandem arbiter restore again")]
    Unfinished,
    /// A site has not reported, and not enough people say that it is off.
    #[error("{site} has not reported, and {approvers} of {APPROVERS} approvers say that it is off")]
    Silent {
        /// The site.
        site: String,
        /// How many people say so.
        approvers: usize,
    },
    /// A site has seen this group under an epoch: it is confirmed, not created.
    #[error("{site} has seen this group under epoch {epoch}: confirm it instead of creating it")]
    Known {
        /// The site.
        site: String,
        /// The epoch.
        epoch: u64,
    },
}

/// Everything that has to be said before a group is confirmed.
struct Complete<'a> {
    /// The reports that count.
    reports: Vec<(&'a str, &'a HighestRecord)>,
    /// The sites for which people spoke.
    silent: Vec<&'a str>,
}

impl Testimony {
    /// The comparisons of everything that was read, and of what was not there.
    fn compares(&self) -> Vec<Compare> {
        let mut compare =
            vec![Compare::unchanged(Key::Generation, self.generation.as_ref().map_or(0, |record| record.revision))];
        let sites = self.generation.iter().flat_map(|record| &record.value.sites);
        compare.extend(sites.map(|site| {
            let known = self.reports.get(site).map_or(0, |report| report.revision);
            Compare::unchanged(Key::Highest(site.clone()), known)
        }));
        for (site, words) in &self.attestations {
            compare.extend(words.iter().map(|(approver, word)| {
                let key = Key::Attestation { site: site.clone(), approver: approver.clone() };
                Compare::unchanged(key, word.revision)
            }));
        }
        compare
    }

    /// Whether every site has spoken, or people for it.
    fn complete(&self) -> Result<Complete<'_>, NotConfirmed> {
        let Some(generation) = self.generation.as_ref().map(|record| &record.value) else {
            return Err(NotConfirmed::Nothing);
        };
        if generation.phase == RestorePhase::Restoring {
            return Err(NotConfirmed::Unfinished);
        }
        let (mut reports, mut silent) = (Vec::new(), Vec::new());
        for site in &generation.sites {
            let report = self.reports.get(site).map(|report| &report.value);
            if let Some(report) = report.filter(|report| report.generation == generation.generation) {
                reports.push((site.as_str(), report));
                continue;
            }
            let words = self.attestations.get(site).into_iter().flatten();
            let people: BTreeSet<&str> = words
                .filter(|(_, word)| word.value.generation == generation.generation)
                .map(|(approver, _)| approver.as_str())
                .collect();
            if people.len() < APPROVERS {
                return Err(NotConfirmed::Silent { site: site.clone(), approvers: people.len() });
            }
            silent.push(site.as_str());
        }
        Ok(Complete { reports, silent })
    }

    /// Whether every site has spoken, or people for it.
    ///
    /// # Errors
    /// [`NotConfirmed`] with who has not.
    pub fn spoken(&self) -> Result<(), NotConfirmed> {
        self.complete().map(drop)
    }

    /// Whether a group may be created: never where a site has seen it, nor before every site has said so.
    ///
    /// # Errors
    /// [`NotConfirmed`].
    pub fn may_create(&self, group: &str) -> Result<(), NotConfirmed> {
        if self.generation.is_none() {
            return Ok(());
        }
        let Complete { reports, silent } = self.complete()?;
        if let Some(site) = silent.first() {
            // People say that it is off, not what it has seen.
            return Err(NotConfirmed::Silent { site: (*site).to_owned(), approvers: APPROVERS });
        }
        let known = reports.iter().find_map(|(site, report)| Some((*site, report.groups.get(group)?)));
        known.map_or(Ok(()), |(site, mark)| Err(NotConfirmed::Known { site: site.to_owned(), epoch: mark.epoch }))
    }

    /// The record under which a group is given back: held by whoever held it under the highest epoch that anybody has seen,
    /// one epoch above that. A site that people say is off keeps its groups by this; it is silent, and they are then taken
    /// over as from any silent holder.
    ///
    /// # Errors
    /// [`NotConfirmed`].
    pub fn confirmed(&self, group: &str, record: Option<&GroupRecord>) -> Result<GroupRecord, NotConfirmed> {
        if record.is_some_and(|record| record.phase != Phase::Unconfirmed) {
            return Err(NotConfirmed::Nothing);
        }
        let Complete { reports, silent } = self.complete()?;
        let own = record.map(|record| Mark { epoch: record.epoch, active: record.active.clone() });
        let marks = reports.iter().filter_map(|(_, report)| report.groups.get(group)).chain(own.as_ref());
        let highest = marks.max_by_key(|mark| mark.epoch).ok_or(NotConfirmed::Nothing)?;
        let before = record.cloned().unwrap_or_else(|| GroupRecord::first(&highest.active));
        let stride = if silent.is_empty() { 1 } else { 1 + ATTESTED_STRIDE };
        Ok(GroupRecord {
            active: highest.active.clone(),
            epoch: highest.epoch + stride,
            phase: Phase::Held,
            execution: None,
            ..before
        })
    }
}

/// What creating a group record compares beside its absence.
#[must_use]
pub fn founding(testimony: &Testimony) -> Vec<Compare> {
    testimony.compares()
}

/// Gives a group back, under the record that [`Testimony::confirmed`] found, in place of the one read at `known` (0: the
/// backup did not have it). An execution that was under way is closed: `closing` is its last entry.
#[must_use]
pub fn confirm(group: &str, known: i64, testimony: &Testimony, next: &GroupRecord, closing: Option<&Entry>) -> Txn {
    let key = Key::Group(group.to_owned());
    let mut compare = testimony.compares();
    compare.push(Compare::unchanged(&key, known));
    let mut then = vec![Op::put(&key, next)];
    if let Some(entry) = closing {
        let journal = entry.journal();
        let key = Key::Journal { execution: journal.execution.clone(), group: journal.group.clone() };
        compare.push(Compare::unchanged(&key, entry.revision()));
        then.push(Op::put(key, journal));
    }
    Txn { compare, then, otherwise: vec![Op::get(&key)] }
}
