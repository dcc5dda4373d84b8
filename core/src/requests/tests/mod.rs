//! Tests of requests.

mod carrying;
mod matrix;
mod properties;
mod rules;
mod texts;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tandem_crds::{DecisionRole, Environment, EnvironmentRequestSpec, RequestType};

use super::{Action, Facts, Next, Principal, Refusal, Role, Ruling, content_digest, decide};

/// A moment, so many hours after the start of the tests.
fn hour(hours: i64) -> Timestamp {
    let start: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_hours(hours)
}

fn person(name: &str, unit: Option<&str>, roles: &[Role]) -> Principal {
    Principal { name: name.into(), unit: unit.map(str::to_owned), roles: roles.iter().copied().collect() }
}

/// Li administers the unit `health` and asks.
fn li() -> Principal {
    person("li", Some("health"), &[Role::AgencyAdmin])
}

fn wang() -> Principal {
    person("wang", None, &[Role::Platform])
}

fn zhao() -> Principal {
    person("zhao", None, &[Role::Security])
}

fn quota(cpu: &str) -> Value {
    json!({"cpu": cpu, "memory": "32Gi", "storage": "1Ti", "pods": 20})
}

fn spec(kind: RequestType, more: &Value) -> EnvironmentRequestSpec {
    let mut spec = json!({
        "type": kind, "unit": "health", "environment": "health-prod", "reason": "a new ward",
        "requestedBy": {"name": "li"}, "submittedAt": "2030-01-01T00:00:00Z",
    });
    match kind {
        RequestType::Create | RequestType::Resize => spec["quota"] = quota("10"),
        RequestType::Extend => spec["until"] = json!("2032-01-01T00:00:00Z"),
        RequestType::Delete => {}
    }
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

fn environment() -> Environment {
    let object = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "health-prod"},
        "spec": {"unit": "health", "quota": quota("10"), "expiresAt": "2031-01-01T00:00:00Z"},
    });
    serde_json::from_value(object).unwrap()
}

fn ruling(request: &EnvironmentRequestSpec, role: DecisionRole) -> Ruling {
    Ruling { role, digest: content_digest(request), note: String::new() }
}

fn approve(request: &EnvironmentRequestSpec, role: DecisionRole) -> Action {
    Action::Approve(ruling(request, role))
}

fn reject(request: &EnvironmentRequestSpec, role: DecisionRole) -> Action {
    Action::Reject(ruling(request, role))
}

fn withdraw() -> Action {
    Action::Withdraw { note: String::new() }
}

fn undo() -> Action {
    Action::Undo { note: String::new() }
}

/// What becomes of it where the environment stands.
fn act(
    request: &EnvironmentRequestSpec,
    demands_security: bool,
    principal: &Principal,
    action: &Action,
) -> Result<Next, Refusal> {
    let standing = environment();
    decide(request, Facts { demands_security, environment: Some(&standing) }, principal, action, hour(1))
}

/// The request after an action that is allowed.
#[track_caller]
fn after(
    request: &EnvironmentRequestSpec,
    demands: bool,
    principal: &Principal,
    action: &Action,
) -> EnvironmentRequestSpec {
    act(request, demands, principal, action).unwrap().spec
}

fn approved(kind: RequestType) -> EnvironmentRequestSpec {
    let request = spec(kind, &json!({}));
    after(&request, false, &wang(), &approve(&request, DecisionRole::Platform))
}

fn none() -> BTreeSet<String> {
    BTreeSet::new()
}
