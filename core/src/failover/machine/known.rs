//! What is written down at a step for whoever reads about it later. Nothing is decided by it.

use super::super::facts::{Risk, Silent, Stood, millis};
use super::super::{Facts, Silence, gates};
use super::At;
use super::calls::Heard;

impl At<'_> {
    /// What the step's calls were answered.
    pub(super) fn heard(self, facts: &mut Facts, heard: &Heard) {
        facts.token = Some(self.token()).filter(|_| heard.called);
        facts.failures.clone_from(&heard.failures);
    }

    /// How the data stands at both sites, by their last reports.
    pub(super) fn reports(self, facts: &mut Facts) {
        let stood = |site: &str| {
            let data = self.seen.situation.data(site).filter(|_| self.has_data())?;
            Some(Stood::reported(data, self.now.boot))
        };
        facts.source = stood(&self.journal.from);
        facts.target = stood(&self.journal.to);
    }

    /// Whose approval counts.
    pub(super) fn approved(self, facts: &mut Facts) {
        facts.approvers = self.seen.request.approvals.iter().map(|approval| approval.by.clone()).collect();
    }

    /// What an unplanned failover is decided by.
    pub(super) fn decided(self, facts: &mut Facts, silence: Silence) {
        let (s, policy) = (&self.seen.situation, &self.seen.situation.policy);
        self.reports(facts);
        self.approved(facts);
        facts.silence = Some(Silent {
            revision: silence.newest,
            unmoved_millis: millis(self.now.boot.saturating_sub(silence.since)),
            take_over_millis: millis(policy.timing.take_over),
            fence_after_millis: millis(policy.timing.fence_after()),
        });
        let report = s.data(&self.journal.to);
        let exposure =
            gates::exposure(policy.replication, report, Some(&silence), policy.timing.fence_after(), self.now.boot);
        facts.risk = Some(Risk::of(policy.replication, exposure, policy.rpo, self.seen.request.accept_data_loss));
    }

    /// What the former source dropped in this move, and how it stands now.
    pub(super) fn returned(self, facts: &mut Facts) {
        self.reports(facts);
        let (s, journal) = (&self.seen.situation, self.journal);
        facts.dropped = s.data(&journal.from).and_then(|data| data.dropped).filter(|d| d.epoch == s.record.epoch);
    }
}
