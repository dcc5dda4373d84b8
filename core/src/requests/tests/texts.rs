//! Sentences.

use std::collections::BTreeSet;

use serde_json::json;
use tandem_crds::{DecisionRole, RequestPhase, RequestType, SitePhase, SiteProvisioning};

use super::*;
use crate::failover::Language;
use crate::ledger::Resource;
use crate::requests::{Expiry, Obstacle, Person, Rule, Standing, why};

#[track_caller]
fn two_languages(said: &mut BTreeSet<String>, english: &str, chinese: &str) {
    assert!(english.is_ascii() && english.len() > 10, "{english}");
    assert!(chinese.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{chinese}");
    assert!(!english.contains(['{', '}']) && !chinese.contains(['{', '}']), "{english} {chinese}");
    assert!(said.insert(english.to_owned()) && said.insert(chinese.to_owned()), "said twice: {english}");
}

fn refusals() -> Vec<Refusal> {
    let role = DecisionRole::Platform;
    let all = vec![
        Refusal::NotFound,
        Refusal::Nameless,
        Refusal::ReservedName { name: "tandem:x".into() },
        Refusal::AuditorWrites,
        Refusal::RoleLacking { wanted: vec![Role::AgencyAdmin, Role::Platform] },
        Refusal::OtherRequester { requester: "li".into() },
        Refusal::OwnRequest,
        Refusal::AlreadyDecided { role },
        Refusal::RoleHasDecided { role, by: "wang".into() },
        Refusal::SecurityNotAsked,
        Refusal::ContentMoved,
        Refusal::Over { standing: Standing::Withdrawn { by: "li".into() } },
        Refusal::NotADeletion { kind: RequestType::Create },
        Refusal::NotApproved,
        Refusal::GraceOver,
        Refusal::Identity { field: "spec.unit" },
        Refusal::NotFresh,
        Refusal::NoTime { text: "soon".into() },
        Refusal::TimePassed { until: "2029-01-01T00:00:00Z".into() },
    ];
    // Does not compile when one is forgotten here; then it belongs above, too.
    for refusal in &all {
        match refusal {
            Refusal::NotFound
            | Refusal::Nameless
            | Refusal::ReservedName { .. }
            | Refusal::AuditorWrites
            | Refusal::RoleLacking { .. }
            | Refusal::OtherRequester { .. }
            | Refusal::OwnRequest
            | Refusal::AlreadyDecided { .. }
            | Refusal::RoleHasDecided { .. }
            | Refusal::SecurityNotAsked
            | Refusal::ContentMoved
            | Refusal::Over { .. }
            | Refusal::NotADeletion { .. }
            | Refusal::NotApproved
            | Refusal::GraceOver
            | Refusal::Identity { .. }
            | Refusal::NotFresh
            | Refusal::NoTime { .. }
            | Refusal::TimePassed { .. } => {}
        }
    }
    all
}

#[test]
fn every_refusal_has_a_sentence_in_both_languages() {
    let mut said = BTreeSet::new();
    let codes: BTreeSet<&str> = refusals().iter().map(Refusal::code).collect();
    assert_eq!(codes.len(), 19);
    for refusal in refusals() {
        assert_eq!(refusal.to_string(), refusal.sentence(Language::English));
        two_languages(&mut said, &refusal.sentence(Language::English), &refusal.sentence(Language::Chinese));
    }
    let others = Refusal::NotFound.sentence(Language::English);
    assert!(!others.contains("health"), "what belongs to others is not named");
}

#[test]
fn so_have_obstacles_rules_and_warnings() {
    let mut said = BTreeSet::new();
    for obstacle in [
        Obstacle::Exists,
        Obstacle::Gone,
        Obstacle::OtherUnit,
        Obstacle::Marked { after: "2030-02-01T00:00:00Z".into() },
        Obstacle::Protected,
        Obstacle::NotLater { expires: "2031-01-01T00:00:00Z".into() },
        Obstacle::Unreadable { field: "spec.until" },
    ] {
        two_languages(&mut said, &obstacle.sentence(Language::English), &obstacle.sentence(Language::Chinese));
    }
    for rule in [Rule::Shrinks, Rule::GrowsByLittle] {
        two_languages(&mut said, &rule.sentence(Language::English), &rule.sentence(Language::Chinese));
    }
    for person in [
        Person::Kind(RequestType::Create),
        Person::NotPending,
        Person::SecurityDemanded,
        Person::Applications,
        Person::NoEnvironment,
        Person::Unreadable,
        Person::Off,
        Person::UseUnknown,
        Person::BelowUse(Resource::Cpu),
        Person::TooMuch(Resource::Memory),
        Person::NotUsed(Resource::Pods),
        Person::TooSoon,
    ] {
        two_languages(&mut said, &person.sentence(Language::English), &person.sentence(Language::Chinese));
    }
    for expiry in [
        Expiry::Soon { at: hour(1), days: 7 },
        Expiry::Expired { at: hour(1) },
        Expiry::Unreadable { text: "soon".into() },
    ] {
        let [english, chinese] = [Language::English, Language::Chinese].map(|l| expiry.sentence(l).unwrap());
        two_languages(&mut said, &english, &chinese);
    }
}

#[test]
fn a_status_says_who_is_waited_for() {
    let pending = Standing::Pending { lacking: vec![DecisionRole::Platform, DecisionRole::Security] };
    let told = why(RequestPhase::Pending, &pending, None, &[]);
    assert_eq!(told.message, "it waits for a decision as Platform and as Security");
    assert_eq!(told.message_zh, "等待系统管理员、安全管理员审批");
    let mut lag = SiteProvisioning { site: "dc-b".into(), phase: SitePhase::Failed, ..SiteProvisioning::default() };
    lag.message = "the namespace belongs to somebody else".into();
    let told = why(RequestPhase::PartiallyProvisioned, &Standing::Approved, None, &[lag]);
    assert_eq!(told.message, "not done yet at dc-b (dc-b: the namespace belongs to somebody else)");
    let request = spec(RequestType::Create, &json!({}));
    let no = Action::Reject(Ruling { note: "too large".into(), ..ruling(&request, DecisionRole::Security) });
    let refused = act(&request, true, &zhao(), &no).unwrap();
    let told = why(RequestPhase::Rejected, &refused.standing, None, &[]);
    assert_eq!(told.message, "zhao refused it as Security: too large");
    assert_eq!(told.message_zh, "zhao 以安全管理员身份驳回：too large");
    let told = why(RequestPhase::Approved, &Standing::Approved, Some(&Obstacle::Gone), &[]);
    assert_eq!(told.reason, "EnvironmentGone");
}
