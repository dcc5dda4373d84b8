//! What a request makes of the environment: once, and whoever dies in between.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use tandem_crds::{Environment, EnvironmentRequestSpec, RequestPhase, RequestType, SitePhase, SiteProvisioning};

use super::*;
use crate::requests::{
    Expiry, GRACE, Obstacle, Outcome, PATIENCE, Scene, WARN_DAYS, expiry, next_look, outcome, phase, standing,
};

fn look(
    request: &EnvironmentRequestSpec,
    environment: Option<&Environment>,
    applications: &BTreeSet<String>,
    hours: i64,
) -> Result<Outcome, Obstacle> {
    let scene = Scene { demands_security: false, environment, applications, grace: GRACE, now: hour(hours) };
    outcome("health-1", request, scene)
}

#[track_caller]
fn written(outcome: Result<Outcome, Obstacle>) -> Environment {
    match outcome {
        Ok(Outcome::Write { environment: Some(environment), .. }) => *environment,
        other => panic!("{other:?}"),
    }
}

fn carried_out(request: &EnvironmentRequestSpec) -> EnvironmentRequestSpec {
    EnvironmentRequestSpec { carried_out: Some(Time(hour(2))), ..request.clone() }
}

#[test]
fn what_is_not_approved_does_nothing() {
    for kind in [RequestType::Create, RequestType::Resize, RequestType::Extend, RequestType::Delete] {
        let request = spec(kind, &json!({}));
        let refused = after(&request, false, &wang(), &reject(&request, DecisionRole::Platform));
        for request in [request, refused] {
            assert_eq!(look(&request, Some(&environment()), &none(), 1), Ok(Outcome::Nothing));
        }
    }
}

#[test]
fn an_environment_is_made_with_its_applications_and_once() {
    let component = json!({"name": "web", "image": "r/w", "resources": {"cpu": "1", "memory": "1Gi"}});
    let app = |name: &str| {
        json!({"name": name, "labels": {"owner": "health"},
        "spec": {"displayName": {"zh": "病历"}, "components": [component]}})
    };
    let request = spec(
        RequestType::Create,
        &json!({"applications": [app("records"), app("portal")], "until": "2031-01-01T00:00:00Z", "purpose": "Test"}),
    );
    let request = after(&request, false, &wang(), &approve(&request, DecisionRole::Platform));
    let Ok(Outcome::Write { environment: Some(made), applications }) = look(&request, None, &none(), 1) else {
        panic!("nothing is made")
    };
    assert_eq!(made.metadata.name.as_deref(), Some("health-prod"));
    assert_eq!(made.spec.request.as_deref(), Some("health-1"));
    assert_eq!(made.spec.expires_at.as_deref(), Some("2031-01-01T00:00:00Z"));
    assert_eq!(applications.len(), 2);
    assert_eq!(applications[0].metadata.namespace.as_deref(), Some("health-prod"));
    assert_eq!(applications[0].metadata.labels.as_ref().unwrap()["owner"], "health");
    // It died after the environment and the first application.
    let some = BTreeSet::from(["records".to_owned()]);
    let Ok(Outcome::Write { environment: None, applications }) = look(&request, Some(&made), &some, 1) else {
        panic!("the second application is forgotten")
    };
    assert_eq!(applications[0].metadata.name.as_deref(), Some("portal"));
    let both = BTreeSet::from(["portal".to_owned(), "records".to_owned()]);
    assert_eq!(look(&request, Some(&made), &both, 1), Ok(Outcome::Done));
    // What the agency changes later stays: also an application that it deletes.
    assert_eq!(look(&carried_out(&request), Some(&made), &none(), 1), Ok(Outcome::Nothing));
    assert_eq!(look(&carried_out(&request), None, &none(), 1), Ok(Outcome::Nothing), "it is not made anew");
    assert_eq!(look(&request, Some(&environment()), &none(), 1), Err(Obstacle::Exists));
}

#[test]
fn a_quota_and_an_expiry_are_set_once() {
    let larger = spec(RequestType::Resize, &json!({"quota": quota("12")}));
    let larger = after(&larger, false, &wang(), &approve(&larger, DecisionRole::Platform));
    let after_it = written(look(&larger, Some(&environment()), &none(), 1));
    assert_eq!(after_it.spec.quota.cpu.0, "12");
    assert_eq!(look(&larger, Some(&after_it), &none(), 1), Ok(Outcome::Done));
    assert_eq!(look(&carried_out(&larger), Some(&environment()), &none(), 1), Ok(Outcome::Nothing));
    assert_eq!(look(&larger, None, &none(), 1), Err(Obstacle::Gone));

    let longer = approved(RequestType::Extend);
    let kept = written(look(&longer, Some(&environment()), &none(), 1));
    assert_eq!(kept.spec.expires_at.as_deref(), Some("2032-01-01T00:00:00Z"));
    let mut later = environment();
    later.spec.expires_at = Some("2033-01-01T00:00:00Z".into());
    assert!(matches!(look(&longer, Some(&later), &none(), 1), Err(Obstacle::NotLater { .. })), "never shortened");
    let mut other = environment();
    other.spec.unit = "tax".into();
    assert_eq!(look(&longer, Some(&other), &none(), 1), Err(Obstacle::OtherUnit));
}

#[test]
fn a_deletion_waits_for_its_grace_and_can_be_called_off() {
    let request = approved(RequestType::Delete);
    let marked = written(look(&request, Some(&environment()), &none(), 1));
    assert_eq!(marked.spec.delete_after.as_deref(), Some((hour(1) + GRACE).to_string().as_str()));
    assert_eq!(look(&request, Some(&marked), &none(), 1000), Ok(Outcome::Done), "first it says so");
    let request = carried_out(&request);
    let over = 1 + GRACE.as_hours();
    assert_eq!(look(&request, Some(&marked), &none(), over - 1), Ok(Outcome::Nothing));
    assert_eq!(look(&request, Some(&marked), &none(), over), Ok(Outcome::Remove));
    assert_eq!(look(&request, None, &none(), over), Ok(Outcome::Nothing));
    // Protected meanwhile.
    let mut kept = marked.clone();
    kept.spec.deletion_protection = true;
    assert_eq!(look(&request, Some(&kept), &none(), over), Err(Obstacle::Protected));
    // Nothing is enlarged while it is marked.
    let larger = approved(RequestType::Resize);
    let scene = Scene {
        demands_security: false,
        environment: Some(&marked),
        applications: &none(),
        grace: GRACE,
        now: hour(2),
    };
    assert!(matches!(outcome("health-2", &larger, scene), Err(Obstacle::Marked { .. })));

    let facts = Facts { demands_security: false, environment: Some(&marked) };
    let late = decide(&request, facts, &li(), &undo(), hour(over));
    assert_eq!(late, Err(Refusal::GraceOver));
    let gone = Facts { demands_security: false, environment: None };
    assert_eq!(decide(&request, gone, &li(), &undo(), hour(2)), Err(Refusal::GraceOver));
    let undone = decide(&request, facts, &li(), &undo(), hour(over - 1)).unwrap().spec;
    let lifted = written(look(&undone, Some(&marked), &none(), over));
    assert_eq!(lifted.spec.delete_after, None);
    assert_eq!(look(&undone, Some(&lifted), &none(), over), Ok(Outcome::Nothing));
    // Another request has marked it since: that one is not called off with it.
    let mut again = marked;
    again.spec.request = Some("health-2".into());
    assert_eq!(look(&undone, Some(&again), &none(), over), Ok(Outcome::Nothing));
    assert_eq!(look(&request, Some(&again), &none(), over), Ok(Outcome::Nothing));
}

#[test]
fn only_a_deletion_is_called_off() {
    let refused = act(&approved(RequestType::Create), false, &li(), &undo());
    assert_eq!(refused, Err(Refusal::NotADeletion { kind: RequestType::Create }));
}

fn site(name: &str, phase: SitePhase) -> SiteProvisioning {
    SiteProvisioning { site: name.into(), generation: 1, phase, message: String::new() }
}

#[test]
fn the_phase_is_that_of_all_sites() {
    let request = carried_out(&approved(RequestType::Create));
    let at = |sites: &[SiteProvisioning], seconds: i64| {
        let now = hour(2) + SignedDuration::from_secs(seconds);
        phase(&request, &standing(&request, false), sites, now)
    };
    use SitePhase::{Failed, Provisioned, Provisioning, Waiting};
    let patience = PATIENCE.as_secs();
    assert_eq!(at(&[], 0), RequestPhase::Provisioning);
    assert_eq!(at(&[site("dc-a", Provisioning), site("dc-b", Waiting)], 9_999), RequestPhase::Provisioning);
    let half = [site("dc-a", Provisioned), site("dc-b", Waiting)];
    assert_eq!(at(&half, patience), RequestPhase::Provisioning, "the other is about to");
    assert_eq!(at(&half, patience + 1), RequestPhase::PartiallyProvisioned);
    let failed = [site("dc-a", Provisioned), site("dc-b", Failed)];
    assert_eq!(at(&failed, 0), RequestPhase::PartiallyProvisioned);
    assert_eq!(at(&[site("dc-a", Provisioned), site("dc-b", Provisioned)], 0), RequestPhase::Provisioned);
    let waiting = approved(RequestType::Create);
    let early = phase(&waiting, &standing(&waiting, false), &half, hour(3));
    assert_eq!(early, RequestPhase::Approved, "nothing was carried out");
    // A stricter profile does not take back what was done.
    assert_eq!(standing(&request, true).phase(), RequestPhase::Approved);
}

#[test]
fn an_expiry_warns_and_does_nothing() {
    let mut spec = environment().spec;
    let at = |spec: &tandem_crds::EnvironmentSpec, text: &str| expiry(spec, &WARN_DAYS, text.parse().unwrap());
    let end: Timestamp = "2031-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(at(&spec, "2030-12-01T23:59:59Z"), Expiry::Far);
    assert_eq!(at(&spec, "2030-12-02T00:00:00Z"), Expiry::Soon { at: end, days: 30 });
    assert_eq!(at(&spec, "2030-12-24T23:59:59Z"), Expiry::Soon { at: end, days: 30 }, "the same until the next");
    assert_eq!(at(&spec, "2030-12-25T00:00:00Z"), Expiry::Soon { at: end, days: 7 });
    assert_eq!(at(&spec, "2030-12-31T00:00:00Z"), Expiry::Soon { at: end, days: 1 });
    assert_eq!(at(&spec, "2031-01-01T00:00:00Z"), Expiry::Expired { at: end });
    // The next look is when something else will be said, and not before.
    let mut now = hour(0);
    let mut said = vec![expiry(&spec, &WARN_DAYS, now)];
    while let Some(next) = next_look(&spec, &WARN_DAYS, now) {
        let just_before = expiry(&spec, &WARN_DAYS, next - SignedDuration::from_nanos(1));
        assert_eq!(Some(&just_before), said.last());
        now = next;
        said.push(expiry(&spec, &WARN_DAYS, now));
    }
    assert_eq!(said.len(), 5);
    spec.expires_at = Some("soon".into());
    assert_eq!(at(&spec, "2030-12-31T00:00:00Z"), Expiry::Unreadable { text: "soon".into() });
    assert_eq!(next_look(&spec, &WARN_DAYS, now), None);
    spec.expires_at = None;
    assert_eq!(at(&spec, "2030-12-31T00:00:00Z"), Expiry::Never);
}
