//! `tandem arbiter status`.

use super::access::Access;
use super::args::StatusArgs;
use super::{ArbiterError, now, shown};
use crate::exit::Exit;
use crate::language::Lang;
use crate::output;
use jiff::Timestamp;
use serde::Serialize;
use tandem_arbiter::health::{ArbiterSeen, Finding, findings, look, name};
use tandem_arbiter::pins::Acceptance;
use tandem_arbiter::records::{Phase, RestorePhase};
use tandem_arbiter::store::Store;
use tandem_logs::Chain;

/// Everything that is told of the arbiter.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The cluster id, in hexadecimal; absent where nobody answers.
    pub(crate) cluster: Option<String>,
    /// Generation of the data; 1 without any restore.
    pub(crate) generation: Option<u64>,
    /// `Restoring` or `Confirming`; absent where there was no restore.
    pub(crate) restore: Option<RestorePhase>,
    /// What a site is told to follow after a restore.
    pub(crate) word: Option<String>,
    /// The revision of the data.
    pub(crate) revision: Option<i64>,
    /// How many group records there are.
    pub(crate) groups: usize,
    /// Groups that wait to be confirmed.
    pub(crate) unconfirmed: Vec<String>,
    /// The members.
    pub(crate) members: Vec<MemberRow>,
    /// The sites' replicas.
    pub(crate) replicas: Vec<ReplicaRow>,
    /// What is wrong.
    pub(crate) findings: Vec<FindingRow>,
    /// Why what stands in the arbiter could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unread: Option<String>,
}

/// One member.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRow {
    /// Its id, in hexadecimal; empty where it does not answer and the others do not tell.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Where it was asked; empty where it was not.
    pub(crate) endpoint: String,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// `leader`, `follower` or `learner`; empty where it does not answer.
    pub(crate) role: String,
    /// etcd's version.
    pub(crate) version: String,
    /// The size of its database in bytes, and how much of its quota that is in per cent.
    pub(crate) db_bytes: i64,
    /// How much of its quota that is, in per cent.
    pub(crate) db_percent: u64,
    /// raft's term.
    pub(crate) term: u64,
    /// raft's index.
    pub(crate) index: u64,
    /// How many entries it is behind the member that is furthest.
    pub(crate) behind: u64,
    /// Until when the certificate is good that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_expires: Option<Timestamp>,
}

/// One replica of a site.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReplicaRow {
    /// The site.
    pub(crate) site: String,
    /// The replica.
    pub(crate) replica: String,
    /// The revision of its last heartbeat.
    pub(crate) heartbeat: i64,
    /// The generation that it goes by; 0 where it cannot be read.
    pub(crate) generation: u64,
    /// Whether its disk is part of the report of what was seen before the restore; absent without a restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reported: Option<bool>,
}

/// A finding for programs and people.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FindingRow {
    #[serde(flatten)]
    pub(crate) finding: Finding,
    pub(crate) message: String,
    pub(crate) message_zh: String,
    pub(crate) mend: String,
    pub(crate) mend_zh: String,
}

impl From<Finding> for FindingRow {
    fn from(finding: Finding) -> Self {
        Self {
            message: finding.english(),
            message_zh: finding.chinese(),
            mend: finding.mend().to_owned(),
            mend_zh: finding.mend_chinese().to_owned(),
            finding,
        }
    }
}

/// What the members say, in rows: those that were asked, then those that nobody asked.
pub(crate) fn member_rows(seen: &ArbiterSeen, quota: u64) -> Vec<MemberRow> {
    let answers = || seen.endpoints.iter().filter_map(|endpoint| endpoint.status.as_ref().ok());
    let newest = answers().map(|status| status.index).max().unwrap_or(0);
    let asked = seen.endpoints.iter().map(|endpoint| {
        let certificate_expires = endpoint.certificate.as_ref().ok().map(|certificate| certificate.expires);
        let row = MemberRow { endpoint: endpoint.endpoint.clone(), certificate_expires, ..MemberRow::default() };
        match &endpoint.status {
            Err(error) => {
                let certificate = endpoint.certificate.as_ref().err().map(|problem| format!("; {problem}"));
                let error = Some(format!("{error}{}", certificate.unwrap_or_default()));
                // Where clients reach it tells which one it is.
                let at = |member: &&tandem_arbiter::store::Member| member.client_urls.contains(&endpoint.endpoint);
                let known = seen.members.iter().find(at);
                let (id, name) = known.map(|known| (format!("{:x}", known.id), known.name.clone())).unwrap_or_default();
                MemberRow { id, name, error, ..row }
            }
            Ok(status) => MemberRow {
                id: format!("{:x}", status.member),
                name: name(&seen.members, status.member),
                role: match (status.learner, status.leader == status.member) {
                    (true, _) => "learner".to_owned(),
                    (false, true) => "leader".to_owned(),
                    (false, false) => "follower".to_owned(),
                },
                version: status.version.clone(),
                db_bytes: status.db_bytes,
                db_percent: u64::try_from(status.db_bytes).unwrap_or(0).saturating_mul(100) / quota.max(1),
                term: status.term,
                index: status.index,
                behind: newest.saturating_sub(status.applied),
                ..row
            },
        }
    });
    let mut rows: Vec<MemberRow> = asked.collect();
    for member in &seen.members {
        let id = format!("{:x}", member.id);
        if !rows.iter().any(|row| row.id == id) {
            let name = name(&seen.members, member.id);
            rows.push(MemberRow { id, name, ..MemberRow::default() });
        }
    }
    rows
}

/// Gathers everything that can be had. What stands in the arbiter needs a majority of it; the members tell of themselves.
pub(crate) async fn gather(access: &Access, quota: u64) -> Report {
    let seen = look(&access.config, &access.admin).await;
    let mut found = findings(&seen, quota, now());
    let mut report = Report { members: member_rows(&seen, quota), ..Report::default() };
    let cluster =
        seen.endpoints.iter().filter_map(|endpoint| endpoint.status.as_ref().ok()).map(|status| status.cluster).next();
    report.cluster = cluster.map(|id| format!("{id:x}"));
    if let Err(error) = records(access, &mut report, &mut found).await {
        report.unread = Some(Chain(&error).to_string());
    }
    report.findings = found.into_iter().map(Into::into).collect();
    report
}

async fn records(access: &Access, report: &mut Report, found: &mut Vec<Finding>) -> Result<(), ArbiterError> {
    let arbiter = &access.arbiter;
    let (revision, groups) = arbiter.read_groups().await?;
    (report.revision, report.groups) = (Some(revision), groups.len());
    let testimony = arbiter.testimony().await?;
    let generation = testimony.generation.as_ref().map(|record| &record.value);
    report.generation = Some(generation.map_or(1, |record| record.generation));
    report.restore = generation.map(|record| record.phase);
    let waits =
        groups.iter().filter(|(_, group)| group.value.phase == Phase::Unconfirmed).map(|(name, _)| name.clone());
    report.unconfirmed = if generation.is_some() { arbiter.unconfirmed().await? } else { waits.collect() };
    if let Some(record) = generation {
        let met = arbiter.store().identity().await?.identity;
        let word = Acceptance { generation: record.generation, cluster: met.cluster, members: met.members };
        report.word = Some(word.to_string());
        if record.phase == RestorePhase::Restoring || (record.cluster != 0 && record.cluster != met.cluster) {
            found.insert(0, Finding::RestoreUnfinished);
        }
    }
    if !report.unconfirmed.is_empty() {
        found.push(Finding::Unconfirmed { groups: report.unconfirmed.len() });
    }
    for (site, read) in arbiter.heartbeats().await? {
        for member in read.members {
            let reported = generation.map(|generation| {
                let of_site = testimony.reports.get(&site).map(|report| &report.value);
                of_site.is_some_and(|said| {
                    said.generation == generation.generation && said.replicas.contains(&member.replica)
                })
            });
            report.replicas.push(ReplicaRow {
                site: site.clone(),
                replica: member.replica,
                heartbeat: member.revision,
                generation: member.record.map_or(0, |record| record.generation),
                reported,
            });
        }
    }
    Ok(())
}

pub(super) async fn run(access: &Access, args: &StatusArgs, lang: Lang) -> Result<Exit, ArbiterError> {
    let report = gather(access, args.quota_bytes).await;
    if let Some(why) = &report.unread {
        output::note(&format!("what stands in the arbiter cannot be read: {why}"));
    }
    args.output.write(&report, || shown::report(&report, lang));
    Ok(match (&report.cluster, report.findings.is_empty()) {
        (None, _) => Exit::Cluster,
        (Some(_), true) => Exit::Ok,
        (Some(_), false) => Exit::Refused,
    })
}
