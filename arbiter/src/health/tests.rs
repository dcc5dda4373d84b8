use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{ArbiterSeen, Certificate, CertificateProblem, EndpointSeen, Finding, QUOTA, findings};
use crate::store::{Member, MemberStatus};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn until(days: i64) -> Result<Certificate, CertificateProblem> {
    Ok(Certificate { name: "x".into(), expires: NOW + SignedDuration::from_hours(24 * days) })
}

fn member(id: u64) -> Member {
    Member { id, name: format!("m{id}"), peer_urls: Vec::new(), client_urls: Vec::new(), learner: false }
}

fn endpoint(id: u64) -> EndpointSeen {
    let status = MemberStatus {
        cluster: 7,
        member: id,
        version: "3.4.23".into(),
        db_bytes: 1 << 20,
        db_bytes_in_use: 1 << 19,
        leader: 1,
        term: 3,
        index: 10_000,
        applied: 10_000,
        revision: 9_000,
        learner: false,
        errors: Vec::new(),
    };
    EndpointSeen {
        endpoint: format!("https://192.0.2.{id}:2379"),
        status: Ok(status),
        took: Duration::from_millis(3),
        certificate: until(300),
    }
}

fn healthy() -> ArbiterSeen {
    ArbiterSeen { members: (1..=3).map(member).collect(), endpoints: (1..=3).map(endpoint).collect(), own: until(300) }
}

fn with(change: impl FnOnce(&mut ArbiterSeen)) -> Vec<Finding> {
    let mut seen = healthy();
    change(&mut seen);
    findings(&seen, QUOTA, NOW)
}

fn status(seen: &mut ArbiterSeen, place: usize, change: impl FnOnce(&mut MemberStatus)) {
    change(seen.endpoints[place].status.as_mut().unwrap());
}

#[test]
fn a_healthy_arbiter_has_nothing_to_say() {
    assert_eq!(with(|_| {}), []);
}

#[test]
fn each_cause_is_named_and_no_other() {
    let lost = |seen: &mut ArbiterSeen, place: usize| seen.endpoints[place].status = Err("refused".into());
    assert_eq!(with(|seen| lost(seen, 2)), [Finding::NoTolerance { lost: vec!["m3".into()] }]);
    let two = with(|seen| {
        lost(seen, 2);
        lost(seen, 1);
    });
    assert_eq!(two, [Finding::NoQuorum { answering: 1, members: 3 }]);
    let leaderless = with(|seen| (0..3).for_each(|place| status(seen, place, |status| status.leader = 0)));
    assert_eq!(leaderless, [Finding::NoQuorum { answering: 0, members: 3 }]);
    let none = with(|seen| {
        (0..3).for_each(|place| lost(seen, place));
        seen.members.clear();
    });
    assert_eq!(none, [Finding::NoQuorum { answering: 0, members: 3 }]);
    let full = with(|seen| status(seen, 0, |status| status.errors = vec!["memberID:2 alarm:NOSPACE ".into()]));
    assert_eq!(full, [Finding::OutOfSpace { member: "m2".into() }]);
    let nearly = with(|seen| status(seen, 0, |status| status.db_bytes = 5 << 30));
    assert_eq!(nearly, [Finding::NearlyFull { member: "m1".into(), percent: 62 }]);
    let slow = with(|seen| seen.endpoints[1].took = Duration::from_millis(800));
    assert_eq!(slow, [Finding::Slow { member: "m2".into(), millis: 800 }]);
    let behind = with(|seen| status(seen, 1, |status| status.applied = 1_000));
    assert_eq!(behind, [Finding::Lagging { member: "m2".into(), behind: 9_000 }]);
    let two = with(|seen| status(seen, 2, |status| status.cluster = 8));
    assert_eq!(two, [Finding::TwoClusters { clusters: vec!["7".into(), "8".into()] }]);
}

#[test]
fn certificates_are_told_of_before_and_after_their_end() {
    let soon = with(|seen| seen.endpoints[0].certificate = until(3));
    assert!(matches!(&soon[..], [Finding::CertificateExpires { whose, .. }] if whose == "m1"), "{soon:?}");
    let own = with(|seen| seen.own = until(-1));
    assert_eq!(own, [Finding::CertificateExpired { whose: "this client".into() }]);
    // A member whose certificate has expired cannot be asked: both are told.
    let expired = with(|seen| {
        seen.endpoints[2].certificate = Err(CertificateProblem::Expired);
        seen.endpoints[2].status = Err("refused".into());
    });
    let whose = "https://192.0.2.3:2379".to_owned();
    let lost = vec!["m3".to_owned()];
    assert_eq!(expired, [Finding::NoTolerance { lost }, Finding::CertificateExpired { whose }]);
}

#[test]
fn a_member_that_only_learns_is_no_vote() {
    let found = with(|seen| {
        seen.members[2].learner = true;
        status(seen, 2, |status| status.learner = true);
    });
    assert_eq!(found, [Finding::NoTolerance { lost: Vec::new() }, Finding::Learner { member: "m3".into() }]);
}

#[test]
fn every_finding_is_told_in_both_languages_with_what_to_do() {
    let all = [
        Finding::NoQuorum { answering: 1, members: 3 },
        Finding::NoTolerance { lost: vec!["witness".into()] },
        Finding::NoTolerance { lost: Vec::new() },
        Finding::OutOfSpace { member: "witness".into() },
        Finding::Corrupt { member: "witness".into() },
        Finding::RestoreUnfinished,
        Finding::Unconfirmed { groups: 4 },
        Finding::Unprotected { silent: "dc-b".into() },
        Finding::AuditBehind { waiting: 7 },
    ];
    for finding in all {
        let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(!chinese(&finding.english()) && !chinese(finding.mend()), "{finding:?}");
        assert!(chinese(&finding.chinese()) && chinese(finding.mend_chinese()), "{finding:?}");
        let tagged = serde_json::to_value(&finding).unwrap();
        assert_eq!(tagged["reason"], finding.reason());
    }
}
