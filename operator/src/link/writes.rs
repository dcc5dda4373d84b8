//! What this site writes into the arbiter: what it publishes, what it reports, and its brake.

use super::{Link, LinkError, Publication, now};
use tandem_arbiter::arbiter::{Burial, Publication as LivePublication, PublishError, Rider, StatusReport};
use tandem_arbiter::records::{BrakeRecord, Confirmation, ConflictRecord, DataRecord, StatusRecord};
use tandem_arbiter::txn::Scribe;
use tandem_core::audit::Actor;
use tandem_core::sync::{ConflictSeed, ObjectKey, Record, Tripped, Versioned};
use tandem_crds::Kind;

impl Link {
    /// Makes the record of who has authority where the arbiter has none. Only the preferred site does.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn ensure_platform(&self) -> Result<(), LinkError> {
        if self.site == self.preferred && self.pause.acts() {
            self.arbiter.ensure_platform(&self.preferred).await?;
        }
        Ok(())
    }

    /// Publishes one object, or buries it, under this site's authority. Gives back the record's revision.
    ///
    /// # Errors
    /// See [`LinkError`]; on any of them what stands in the arbiter has to be looked at anew.
    pub async fn publish(&self, publication: Publication) -> Result<i64, LinkError> {
        let mandate = self.mandate()?;
        let Publication { record, base, ledger, edit } = publication;
        let edit = Some(edit);
        let rider = match (ledger, &record) {
            (Some((unit, change)), _) => Rider::Ledger { unit, change },
            (None, Record::Live(live)) if live.key.kind == Kind::FailoverGroup => {
                Rider::Group { preferred: self.preferred.clone() }
            }
            (None, Record::Tombstone(tombstone)) if tombstone.key.kind == Kind::FailoverGroup => Rider::Retire,
            (None, _) => Rider::None,
        };
        let published = match record {
            Record::Live(record) => self.arbiter.publish(&mandate, LivePublication { base, record, rider, edit }).await,
            Record::Tombstone(tombstone) => {
                self.arbiter.tombstone(&mandate, Burial { base, tombstone, rider, edit }).await
            }
        };
        match published {
            Ok(published) => Ok(published.revision),
            Err(PublishError::Refused(refusal)) => Err(LinkError::OverBudget { message: refusal.to_string() }),
            Err(error) => Err(LinkError::Publish(Box::new(error))),
        }
    }

    /// Keeps an edit that is about to be overwritten, and writes down who made it.
    ///
    /// # Errors
    /// When the arbiter does not take it; then the edit must not be overwritten.
    pub async fn record_conflict(&self, seed: ConflictSeed, by: &Actor) -> Result<(), LinkError> {
        self.may_act()?;
        let at = now();
        self.arbiter.record_conflict(&ConflictRecord::new(seed, at), Some(Scribe { actor: by, at })).await?;
        Ok(())
    }

    /// Writes what this site says of some objects.
    ///
    /// # Errors
    /// When this replica does not lead, or the arbiter does not take it.
    pub async fn report_status(&self, reports: &[(ObjectKey, StatusRecord)]) -> Result<(), LinkError> {
        let token = self.token()?;
        let reports = reports
            .iter()
            .map(|(object, status)| StatusReport { object: object.clone(), status: Some(status.clone()) })
            .collect();
        self.arbiter.report_status(token.mod_revision, reports).await?;
        Ok(())
    }

    /// Tells the other site that this one is paused: the one report that goes out meanwhile.
    ///
    /// # Errors
    /// When this replica does not hold the lead, or the arbiter does not take it.
    pub async fn report_pause(&self, object: &ObjectKey, status: StatusRecord) -> Result<(), LinkError> {
        let token = self.lead().ok_or(LinkError::MayNotAct)?;
        let report = StatusReport { object: object.clone(), status: Some(status) };
        self.arbiter.report_status(token.mod_revision, vec![report]).await?;
        Ok(())
    }

    /// Takes back what this site said of an object that is gone.
    ///
    /// # Errors
    /// When this replica does not lead, or the arbiter does not take it.
    pub async fn retract_status(&self, object: ObjectKey) -> Result<(), LinkError> {
        let token = self.token()?;
        self.arbiter.report_status(token.mod_revision, vec![StatusReport { object, status: None }]).await?;
        Ok(())
    }

    /// Writes how groups' data stands at this site.
    ///
    /// # Errors
    /// When this replica does not lead, or the arbiter does not take it.
    pub async fn report_data(&self, reports: &[(String, DataRecord)]) -> Result<(), LinkError> {
        Ok(self.arbiter.report_data(self.token()?.mod_revision, reports).await?)
    }

    /// How far this site had applied the records when that was last written.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn applied(&self) -> Result<i64, LinkError> {
        Ok(self.arbiter.applied(&self.site).await?.unwrap_or(0))
    }

    /// Writes how far this site has applied the records, where that is news.
    ///
    /// # Errors
    /// When this replica does not lead, or the arbiter does not take it.
    pub async fn set_applied(&self, revision: i64) -> Result<(), LinkError> {
        self.arbiter.set_applied(self.token()?.mod_revision, revision).await?;
        Ok(())
    }

    /// Collects the tombstones that every site has applied; the authority's work.
    ///
    /// # Errors
    /// When this site has no authority, or the arbiter does not take it.
    pub async fn collect_tombstones(&self, sites: &[String]) -> Result<usize, LinkError> {
        Ok(self.arbiter.collect_tombstones(&self.mandate()?, sites).await?)
    }

    /// This site's brake as it was last recorded.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn brake(&self) -> Result<Option<Versioned<BrakeRecord>>, LinkError> {
        Ok(self.arbiter.brake(&self.site).await?)
    }

    /// Records that this site's brake tripped and holds back what was written from revision `from` on. Gives back the
    /// revision that a person confirms.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn trip_brake(&self, tripped: &Tripped, from: i64) -> Result<i64, LinkError> {
        self.may_act()?;
        Ok(self.arbiter.trip_brake(&BrakeRecord::new(tripped, from, now())).await?.revision)
    }

    /// Records that a person confirmed the trip of this revision, and writes down who it was as far as that is known. Says
    /// whether it is confirmed now.
    ///
    /// # Errors
    /// When the arbiter does not take it.
    pub async fn confirm_brake(&self, revision: i64, by: &str, actor: &Actor) -> Result<bool, LinkError> {
        self.may_act()?;
        let at = now();
        let confirmation = Confirmation { by: by.to_owned(), at };
        Ok(self.arbiter.confirm_brake(&self.site, revision, confirmation, Some(Scribe { actor, at })).await?)
    }
}
