//! How the arbiter stands, what is wrong with it, and what to do: for people, and for the operators' alarms.

mod certificates;
mod der;
mod look;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use certificates::{Certificate, CertificateProblem, certificate, served, shown};
pub use look::look;
pub use texts::mend;

use crate::store::{Member, MemberStatus};

/// etcd's quota, in bytes, where nobody says another one: 8 GiB.
pub const QUOTA: u64 = 8 << 30;
/// From how many per cent of its quota on a member is nearly full.
pub const NEARLY_FULL: u64 = 60;
/// How long before its end a certificate is worth a word.
pub const EXPIRES_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// An answer that takes as long as an election is slow: a disk, most of the time.
pub const SLOW: Duration = Duration::from_millis(500);
/// By how many entries a member may lag behind the others.
pub const LAG: u64 = 5_000;

/// What one endpoint answered.
#[derive(Clone, Debug)]
pub struct EndpointSeen {
    /// The endpoint.
    pub endpoint: String,
    /// How its member stands, or why nothing is known of it.
    pub status: Result<MemberStatus, String>,
    /// How long the answer took.
    pub took: Duration,
    /// The certificate that it shows.
    pub certificate: Result<Certificate, CertificateProblem>,
}

/// How the arbiter stands, as far as it answers.
#[derive(Clone, Debug)]
pub struct ArbiterSeen {
    /// Its members, as it lists them; empty where nobody answers.
    pub members: Vec<Member>,
    /// Each endpoint.
    pub endpoints: Vec<EndpointSeen>,
    /// The certificate with which it was asked.
    pub own: Result<Certificate, CertificateProblem>,
}

/// Something that is wrong with the arbiter, or with what hangs on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "reason")]
pub enum Finding {
    /// Fewer than a majority of the members answer: every site fences itself.
    NoQuorum {
        /// How many answer.
        answering: usize,
        /// How many there are.
        members: usize,
    },
    /// One more lost member, and there is no majority.
    NoTolerance {
        /// Those that are lost already.
        lost: Vec<String>,
    },
    /// A quota is used up: nothing can be written.
    OutOfSpace {
        /// The member.
        member: String,
    },
    /// A quota is nearly used up.
    NearlyFull {
        /// The member.
        member: String,
        /// How much of it is used, in per cent.
        percent: u64,
    },
    /// A member's data differ from the others'.
    Corrupt {
        /// The member.
        member: String,
    },
    /// A member answers slowly.
    Slow {
        /// The member.
        member: String,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// A member lags behind.
    Lagging {
        /// The member.
        member: String,
        /// By how many entries of the log.
        behind: u64,
    },
    /// A certificate is not good any more.
    CertificateExpired {
        /// Whose.
        whose: String,
    },
    /// A certificate ends soon.
    CertificateExpires {
        /// Whose.
        whose: String,
        /// When, to the second.
        at: Timestamp,
    },
    /// Endpoints belong to more than one cluster.
    TwoClusters {
        /// The ids, in hexadecimal.
        clusters: Vec<String>,
    },
    /// A member does not vote: it is being replaced.
    Learner {
        /// The member.
        member: String,
    },
    /// A restore was begun and not ended.
    RestoreUnfinished,
    /// Groups wait to be confirmed after a restore.
    Unconfirmed {
        /// How many.
        groups: usize,
    },
    /// A site is not heard: the groups that are active elsewhere have nowhere to go.
    Unprotected {
        /// The silent site.
        silent: String,
    },
    /// What was done more than a minute ago has no place in the site's audit chain yet.
    AuditBehind {
        /// How many entries wait.
        waiting: usize,
    },
}

/// A member's name for people: its own where it has one.
#[must_use]
pub fn name(members: &[Member], id: u64) -> String {
    let found = members.iter().find(|member| member.id == id && !member.name.is_empty());
    found.map_or_else(|| format!("{id:x}"), |member| member.name.clone())
}

/// What is wrong with the arbiter itself, the worst first.
#[must_use]
pub fn findings(seen: &ArbiterSeen, quota: u64, now: Timestamp) -> Vec<Finding> {
    let mut found = BTreeSet::new();
    let answers: Vec<&MemberStatus> =
        seen.endpoints.iter().filter_map(|endpoint| endpoint.status.as_ref().ok()).collect();
    let named = |id: u64| name(&seen.members, id);
    let voters: Vec<&Member> = seen.members.iter().filter(|member| !member.learner).collect();
    let led = |member: &Member| answers.iter().any(|status| status.member == member.id && status.leader != 0);
    let lost: Vec<String> = voters.iter().filter(|member| !led(member)).map(|member| named(member.id)).collect();
    let (count, majority) = (voters.len(), voters.len() / 2 + 1);
    if count == 0 || count - lost.len() < majority {
        // Nobody who answers lists the members: then they are at least as many as are asked.
        let members = if count == 0 { seen.endpoints.len() } else { count };
        found.insert(Finding::NoQuorum { answering: count - lost.len(), members });
    } else if count - lost.len() == majority && count > 1 {
        found.insert(Finding::NoTolerance { lost });
    }
    found.extend(
        seen.members.iter().filter(|member| member.learner).map(|member| Finding::Learner { member: named(member.id) }),
    );
    let clusters: BTreeSet<u64> = answers.iter().map(|status| status.cluster).collect();
    if clusters.len() > 1 {
        found.insert(Finding::TwoClusters { clusters: clusters.iter().map(|id| format!("{id:x}")).collect() });
    }
    let newest = answers.iter().map(|status| status.index).max().unwrap_or(0);
    for endpoint in &seen.endpoints {
        let whose = match &endpoint.status {
            Ok(status) => named(status.member),
            Err(_) => endpoint.endpoint.clone(),
        };
        certificate_findings(&mut found, &whose, &endpoint.certificate, now);
        let Ok(status) = &endpoint.status else { continue };
        let percent = u64::try_from(status.db_bytes).unwrap_or(0).saturating_mul(100) / quota.max(1);
        if percent >= NEARLY_FULL {
            found.insert(Finding::NearlyFull { member: whose.clone(), percent });
        }
        if endpoint.took >= SLOW {
            let millis = u64::try_from(endpoint.took.as_millis()).unwrap_or(u64::MAX);
            found.insert(Finding::Slow { member: whose.clone(), millis });
        }
        let behind = newest.saturating_sub(status.applied);
        if behind > LAG {
            found.insert(Finding::Lagging { member: whose, behind });
        }
        for complaint in &status.errors {
            let member = alarmed(complaint).map_or_else(|| named(status.member), named);
            if complaint.contains("NOSPACE") {
                found.insert(Finding::OutOfSpace { member });
            } else if complaint.contains("CORRUPT") {
                found.insert(Finding::Corrupt { member });
            }
        }
    }
    certificate_findings(&mut found, "this client", &seen.own, now);
    found.into_iter().collect()
}

/// The member in an alarm as a status shows it: `memberID:123 alarm:NOSPACE `.
fn alarmed(complaint: &str) -> Option<u64> {
    let rest = complaint.split_once("memberID:")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn certificate_findings(
    found: &mut BTreeSet<Finding>,
    whose: &str,
    certificate: &Result<Certificate, CertificateProblem>,
    now: Timestamp,
) {
    let whose = whose.to_owned();
    match certificate {
        Err(CertificateProblem::Expired) => drop(found.insert(Finding::CertificateExpired { whose })),
        Ok(good) if good.expires <= now => drop(found.insert(Finding::CertificateExpired { whose })),
        Ok(good) if good.expires.duration_since(now) < EXPIRES_SOON => {
            found.insert(Finding::CertificateExpires { whose, at: good.expires });
        }
        // That there is no connection is told by the member's being lost.
        Ok(_) | Err(_) => {}
    }
}
