//! After a restore of the arbiter, and who else the arbiter hears.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_core::failover::{Evidence, Facts, Journal, Outcome, Step};

use super::{Arbiter, ReadError, read};
use crate::peers::MembersRead;
use crate::records::{
    AttestationRecord, EntryError, GenerationRecord, GroupRecord, HighestRecord, Key, Replacement, ReplacementsRecord,
    RestorePhase, Versioned,
};
use crate::store::{Range, Store, StoreError};
use crate::txn::{self, Compare, Kv, NotConfirmed, Op, Testimony, Txn};

/// How many groups are made unconfirmed in one transaction, below etcd's limit together with what is compared.
const UNCONFIRMED_AT_ONCE: usize = 100;

/// By how much the revision is raised above the highest that was reported: pins are written every `T`, and a site that is off
/// may have seen a little more.
const REVISIONS_ABOVE: i64 = 1_000;

/// How many revisions are asked for at once.
const REVISIONS_AT_ONCE: usize = 64;

/// How many specifications are written in one transaction: a few hundred KiB, below etcd's 1.5 MiB.
const SPECS_AT_ONCE: usize = 50;

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

    /// Every replica's heartbeat, by site.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn heartbeats(&self) -> Result<BTreeMap<String, MembersRead>, StoreError> {
        let range = self.store.range(&Key::sites()).await?;
        let mut sites: BTreeMap<String, Range> = BTreeMap::new();
        for kv in range.kvs {
            if let Ok(Key::Member { site, .. }) = kv.key.parse() {
                let of_site = sites.entry(site).or_insert(Range {
                    revision: range.revision,
                    kvs: Vec::new(),
                    origin: range.origin,
                });
                of_site.kvs.push(kv);
            }
        }
        Ok(sites.into_iter().map(|(site, range)| (site.clone(), MembersRead::new(&site, &range))).collect())
    }

    /// The generation record; `None` where the arbiter was never restored.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn generation(&self) -> Result<Option<Versioned<GenerationRecord>>, ReadError> {
        self.read_one(&Key::Generation).await
    }

    /// The members of the arbiter that were replaced, with the record's revision; 0 where there is none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn replacements(&self) -> Result<Versioned<ReplacementsRecord>, ReadError> {
        let found = self.read_one(&Key::Replacements).await?;
        Ok(found.unwrap_or_else(|| Versioned::new(0, ReplacementsRecord::default())))
    }

    /// Keeps the state of a replacement, in place of the record that was read; returns what there is now.
    ///
    /// # Errors
    /// [`RestoreError::Moved`] where somebody else wrote it meanwhile; it can be called again after any error.
    pub async fn keep_replacement(
        &self,
        known: &Versioned<ReplacementsRecord>,
        replacement: Replacement,
    ) -> Result<Versioned<ReplacementsRecord>, RestoreError> {
        let record = known.value.clone().with(replacement);
        let txn = Txn {
            compare: vec![Compare::unchanged(Key::Replacements, known.revision)],
            then: vec![Op::put(Key::Replacements, &record)],
            otherwise: Vec::new(),
        };
        let answer = self.store.txn(&txn).await?;
        if answer.succeeded { Ok(Versioned::new(answer.revision, record)) } else { Err(RestoreError::Moved) }
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
        let cluster = self.store.identity().await?.identity.cluster;
        let found = self.generation().await?;
        let unfinished = |found: &GenerationRecord| {
            // One that was begun in the backup itself, or on another etcd, is no beginning of this one.
            found.phase == RestorePhase::Restoring && found.cluster == cluster
        };
        let (record, mut revision) = match found {
            Some(found) if unfinished(&found.value) => (found.value, found.revision),
            found => {
                let generation = found.as_ref().map_or(1, |found| found.value.generation) + 1;
                let phase = RestorePhase::Restoring;
                let record =
                    GenerationRecord { generation, phase, sites: sites.to_vec(), at, by: by.to_owned(), cluster };
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

    /// Raises the store's revision above every one that was reported, and writes each specification anew under such a
    /// revision, unchanged; to be called once every site has spoken, before a group is confirmed. Returns how many were.
    ///
    /// Objects at the sites bear the revision of the record that they were last in step with. Those of after the backup are
    /// above all that the restored store would give out for hours, and whoever compares them would take the records for old.
    /// After this a record is newer than every object that was ever in step with it, and what an object says beyond it is
    /// published again, or kept as a conflict.
    ///
    /// # Errors
    /// [`RestoreError`]; what was done stays done, and the next call goes on.
    pub async fn raise_revisions(&self) -> Result<usize, RestoreError> {
        let testimony = self.testimony().await?;
        testimony.spoken()?;
        let generation = testimony.generation.as_ref().ok_or(RestoreError::NotRestored)?.value.generation;
        let of_now = testimony.reports.values().filter(|report| report.value.generation == generation);
        let above = of_now.map(|report| report.value.revision).max().unwrap_or(0) + REVISIONS_ABOVE;
        let mut specs = self.store.range(&Key::specs()).await?;
        let old = |kv: &&Kv| kv.mod_revision < above - REVISIONS_ABOVE / 2;
        if !specs.kvs.iter().any(|kv| old(&kv)) && specs.revision >= above - REVISIONS_ABOVE / 2 {
            return Ok(0);
        }
        let step =
            Txn { then: vec![Op::Put { key: Key::Revision.to_string(), value: b"{}".to_vec() }], ..Txn::default() };
        let mut revision = specs.revision;
        while revision < above {
            let left = usize::try_from(above - revision).unwrap_or(usize::MAX).min(REVISIONS_AT_ONCE);
            // Each is a revision of its own: within one transaction all writes share one.
            let answers = futures::future::join_all((0..left).map(|_| self.store.txn(&step))).await;
            let mut reached = revision;
            for answer in answers {
                match answer {
                    Ok(answer) => reached = reached.max(answer.revision),
                    // Written or not, it is written again.
                    Err(StoreError::Unknown(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if reached == revision {
                return Err(RestoreError::Moved);
            }
            revision = reached;
        }
        let mut written = 0;
        // Twice at most: nobody publishes before `platform` is confirmed.
        for _ in 0..2 {
            let stale: Vec<&Kv> = specs.kvs.iter().filter(old).collect();
            for portion in stale.chunks(SPECS_AT_ONCE) {
                let txn = Txn {
                    compare: portion.iter().map(|kv| Compare::unchanged(kv.key.as_str(), kv.mod_revision)).collect(),
                    then: portion.iter().map(|kv| Op::Put { key: kv.key.clone(), value: kv.value.clone() }).collect(),
                    otherwise: Vec::new(),
                };
                match self.store.txn(&txn).await {
                    Ok(answer) if answer.succeeded => written += portion.len(),
                    Ok(_) | Err(StoreError::Unknown(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            specs = self.store.range(&Key::specs()).await?;
            if !specs.kvs.iter().any(|kv| old(&kv)) {
                return Ok(written);
            }
        }
        Err(RestoreError::Moved)
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
            evidence.push(Evidence {
                step: seen.journal.step,
                begun: at,
                ended: Some(at),
                outcome,
                note,
                facts: Facts::default(),
            });
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
