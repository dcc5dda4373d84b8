//! After a restore of the arbiter, and who else the arbiter hears.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_core::failover::{Evidence, Journal, Outcome, Step};

use super::{Arbiter, ReadError, read};
use crate::peers::MembersRead;
use crate::records::{
    AttestationRecord, EntryError, GenerationRecord, GroupRecord, HighestRecord, Key, RestorePhase, Versioned,
};
use crate::store::{Store, StoreError};
use crate::txn::{self, NotConfirmed, Testimony};

/// How many groups are made unconfirmed in one transaction, below etcd's limit together with what is compared.
const UNCONFIRMED_AT_ONCE: usize = 100;

/// How often what a replica reports is tried where another replica of its site reported in between.
const TRIES: usize = 16;

/// Why a step of a restore was not carried out. All of them can be called again after any error.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Somebody else changed the records in between: look again.
    #[error("the records changed meanwhile; run it again")]
    Moved,
    /// The arbiter was never restored.
    #[error("the arbiter was never restored")]
    NotRestored,
    /// The group may not be confirmed yet.
    #[error("the group is not confirmed")]
    NotConfirmed(#[from] NotConfirmed),
    /// The journal of the execution that was under way cannot be closed.
    #[error("the journal of the group's execution cannot be closed")]
    Entry(#[from] EntryError),
    /// Reading what it depends on failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not carry it out, or nobody knows.
    #[error("writing to the arbiter failed")]
    Store(#[from] StoreError),
}

impl<S: Store> Arbiter<S> {
    /// The heartbeats of a site, read linearizably.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn members(&self, site: &str) -> Result<MembersRead, StoreError> {
        Ok(MembersRead::new(site, &self.store.range(&Key::members(site)).await?))
    }

    /// The generation record; `None` where the arbiter was never restored.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn generation(&self) -> Result<Option<Versioned<GenerationRecord>>, ReadError> {
        self.read_one(&Key::Generation).await
    }

    /// What sites and people have said since the last restore.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn testimony(&self) -> Result<Testimony, ReadError> {
        let mut testimony = Testimony { generation: self.generation().await?, ..Testimony::default() };
        let sites = testimony.generation.iter().flat_map(|record| record.value.sites.clone()).collect::<Vec<_>>();
        for site in sites {
            if let Some(report) = self.read_one(&Key::Highest(site.clone())).await? {
                testimony.reports.insert(site.clone(), report);
            }
            let mut words = Vec::new();
            for kv in &self.store.range(&Key::attestations(&site)).await?.kvs {
                if let Ok(Key::Attestation { approver, .. }) = kv.key.parse() {
                    words.push((approver, Versioned::new(kv.mod_revision, read::<AttestationRecord>(kv)?)));
                }
            }
            testimony.attestations.insert(site, words);
        }
        Ok(testimony)
    }

    /// Raises the generation and makes every group unconfirmed; goes on where an earlier call stopped. To be run by a person
    /// on an etcd that was restored with a fresh cluster token, before the pins of the sites are changed. Returns the
    /// generation.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub async fn restore(&self, sites: &[String], by: &str, at: Timestamp) -> Result<u64, RestoreError> {
        let found = self.generation().await?;
        let (record, mut revision) = match found {
            Some(found) if found.value.phase == RestorePhase::Restoring => (found.value, found.revision),
            found => {
                let generation = found.as_ref().map_or(1, |found| found.value.generation) + 1;
                let phase = RestorePhase::Restoring;
                let record = GenerationRecord { generation, phase, sites: sites.to_vec(), at, by: by.to_owned() };
                let known = found.map_or(0, |found| found.revision);
                let answer = self.store.txn(&txn::generation(known, &record, None)).await?;
                if !answer.succeeded {
                    return Err(RestoreError::Moved);
                }
                (record, answer.revision)
            }
        };
        let list = loop {
            let (list, groups) = self.read_groups().await?;
            let held: Vec<(&str, &Versioned<GroupRecord>)> = groups
                .iter()
                .filter(|(_, record)| record.value.phase != crate::records::Phase::Unconfirmed)
                .map(|(group, record)| (group.as_str(), record))
                .collect();
            if held.is_empty() {
                break list;
            }
            for portion in held.chunks(UNCONFIRMED_AT_ONCE) {
                if !self.store.txn(&txn::unconfirm(revision, portion)).await?.succeeded {
                    return Err(RestoreError::Moved);
                }
            }
        };
        let record = GenerationRecord { phase: RestorePhase::Confirming, ..record };
        let answer = self.store.txn(&txn::generation(revision, &record, Some(list))).await?;
        revision = answer.revision;
        tracing::info!(generation = record.generation, revision, "every group is unconfirmed");
        if answer.succeeded { Ok(record.generation) } else { Err(RestoreError::Moved) }
    }

    /// Reports what this replica has on its disk ([`Pins::highest`](crate::pins::Pins::highest)); adds to what other
    /// replicas of the site have reported. Every replica of a site should report before a group is confirmed.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub async fn report_highest(&self, mine: &HighestRecord) -> Result<(), RestoreError> {
        for _ in 0..TRIES {
            let generation = self.generation().await?.ok_or(RestoreError::NotRestored)?;
            if generation.value.generation != mine.generation {
                return Err(RestoreError::Moved);
            }
            let found: Option<Versioned<HighestRecord>> = self.read_one(&Key::Highest(self.site().to_owned())).await?;
            let known = found.as_ref().map_or(0, |found| found.revision);
            let merged = found.as_ref().map_or_else(|| mine.clone(), |found| found.value.clone().merged(mine.clone()));
            if found.is_some_and(|found| found.value == merged) {
                return Ok(());
            }
            match self.store.txn(&txn::report(self.site(), generation.revision, known, &merged)).await {
                Ok(answer) if answer.succeeded => return Ok(()),
                // The next round finds it where it was carried out.
                Ok(_) | Err(StoreError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RestoreError::Moved)
    }

    /// Keeps a person's word that a silent site is off. Who the person is has to be known for certain by the caller.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub async fn attest(&self, site: &str, approver: &str, reason: &str, at: Timestamp) -> Result<(), RestoreError> {
        let generation = self.generation().await?.ok_or(RestoreError::NotRestored)?;
        let record = AttestationRecord { generation: generation.value.generation, reason: reason.to_owned(), at };
        let answer = self.store.txn(&txn::attest(site, approver, generation.revision, &record)).await?;
        if answer.succeeded { Ok(()) } else { Err(RestoreError::Moved) }
    }

    /// Every group that waits to be confirmed: those in the arbiter, and those that a backup did not have and a site has
    /// seen.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn unconfirmed(&self) -> Result<Vec<String>, ReadError> {
        let testimony = self.testimony().await?;
        let (_, groups) = self.read_groups().await?;
        let mut names: Vec<String> = groups
            .iter()
            .filter(|(_, record)| record.value.phase == crate::records::Phase::Unconfirmed)
            .map(|(group, _)| group.clone())
            .collect();
        let reported = testimony.reports.values().flat_map(|report| report.value.groups.keys());
        names.extend(reported.filter(|group| !groups.contains_key(*group)).cloned());
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Gives a group back to whoever held it under the highest epoch that anybody has seen. An execution that was under way
    /// is closed: it did not go on, and the group is where the sites say.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub async fn confirm(&self, group: &str, at: Timestamp) -> Result<Versioned<GroupRecord>, RestoreError> {
        let testimony = self.testimony().await?;
        let found: Option<Versioned<GroupRecord>> = self.read_one(&Key::Group(group.to_owned())).await?;
        let next = testimony.confirmed(group, found.as_ref().map(|found| &found.value))?;
        let execution = found.as_ref().and_then(|found| found.value.execution.as_deref());
        let mut closing = None;
        if let Some(execution) = execution
            && let Some(seen) = self.journal(execution, group).await?
        {
            let note = "the arbiter was restored from a backup".to_owned();
            let outcome = Some(Outcome::Failed);
            let mut evidence = seen.journal.evidence.clone();
            evidence.push(Evidence { step: seen.journal.step, begun: at, ended: Some(at), outcome, note });
            closing = Some(seen.next(Journal { step: Step::RolledBack, evidence, ..seen.journal.clone() })?);
        }
        let known = found.map_or(0, |found| found.revision);
        let answer = self.store.txn(&txn::confirm(group, known, &testimony, &next, closing.as_ref())).await?;
        if answer.succeeded { Ok(Versioned::new(answer.revision, next)) } else { Err(RestoreError::Moved) }
    }

    /// The high-water marks that each of these sites has reported.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn highest(&self, sites: &[String]) -> Result<BTreeMap<String, Versioned<HighestRecord>>, ReadError> {
        let mut found = BTreeMap::new();
        for site in sites {
            if let Some(report) = self.read_one(&Key::Highest(site.clone())).await? {
                found.insert(site.clone(), report);
            }
        }
        Ok(found)
    }
}
