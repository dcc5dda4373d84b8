//! Role × transition: everybody, everything, in every standing.

use serde_json::json;
use tandem_crds::{DecisionRole, EnvironmentRequestSpec, RequestType};

use super::*;
use crate::requests::Standing;

/// A column of the matrix: a standing, as a request that has it. All are deletions under a profile that demands nothing, so
/// that every action has a standing in which somebody may do it.
fn standings() -> [(&'static str, EnvironmentRequestSpec); 5] {
    let fresh = spec(RequestType::Delete, &json!({}));
    let yes = after(&fresh, false, &wang(), &approve(&fresh, DecisionRole::Platform));
    let no = after(&fresh, false, &wang(), &reject(&fresh, DecisionRole::Platform));
    let back = after(&fresh, false, &li(), &withdraw());
    let undone = after(&yes, false, &li(), &undo());
    [("Pending", fresh), ("Approved", yes), ("Rejected", no), ("Withdrawn", back), ("Undone", undone)]
}

/// The rows: one of each role, the requester, and people of another unit and of none.
fn people() -> Vec<(&'static str, Principal)> {
    vec![
        ("requester", li()),
        ("colleague", person("sun", Some("health"), &[Role::AgencyAdmin])),
        ("viewer", person("zhou", Some("health"), &[Role::AgencyViewer])),
        ("platform", person("wu", None, &[Role::Platform])),
        ("security", zhao()),
        ("auditor", person("zheng", None, &[Role::Auditor])),
        ("other admin", person("feng", Some("tax"), &[Role::AgencyAdmin])),
        ("other viewer", person("chen", Some("tax"), &[Role::AgencyViewer])),
        ("unitless admin", person("chu", None, &[Role::AgencyAdmin])),
        ("nobody", person("wei", Some("health"), &[])),
    ]
}

fn actions(request: &EnvironmentRequestSpec) -> Vec<(&'static str, Action)> {
    let amended = EnvironmentRequestSpec { reason: "two new wards".into(), ..request.clone() };
    vec![
        ("read", Action::Read),
        ("submit", Action::Submit),
        ("amend", Action::Amend(Box::new(amended))),
        ("approve p", approve(request, DecisionRole::Platform)),
        ("approve s", approve(request, DecisionRole::Security)),
        ("reject p", reject(request, DecisionRole::Platform)),
        ("reject s", reject(request, DecisionRole::Security)),
        ("withdraw", withdraw()),
        ("undo", undo()),
    ]
}

/// One cell: the standing afterwards, or the code of the refusal.
fn cell(request: &EnvironmentRequestSpec, principal: &Principal, action: &Action) -> String {
    match act(request, false, principal, action) {
        Ok(Next { standing, .. }) => match standing {
            Standing::Pending { .. } => "→ Pending",
            Standing::Approved => "→ Approved",
            Standing::Rejected { .. } => "→ Rejected",
            Standing::Withdrawn { .. } => "→ Withdrawn",
            Standing::Undone { .. } => "→ Undone",
        }
        .to_owned(),
        Err(refusal) => refusal.code().to_owned(),
    }
}

/// What is allowed where; everything that is not here is refused with the code of [`refused`].
fn allowed(who: &str, what: &str, standing: &str) -> Option<&'static str> {
    let sees = !matches!(who, "other admin" | "other viewer" | "unitless admin" | "nobody");
    match (what, who, standing) {
        ("read", _, "Pending") if sees => Some("→ Pending"),
        ("read", _, "Approved") if sees => Some("→ Approved"),
        ("read", _, "Rejected") if sees => Some("→ Rejected"),
        ("read", _, "Withdrawn") if sees => Some("→ Withdrawn"),
        ("read", _, "Undone") if sees => Some("→ Undone"),
        // What is submitted is new: of these requests only the pending one could be.
        ("submit", "requester", "Pending") => Some("→ Pending"),
        ("amend", "requester", "Pending") => Some("→ Pending"),
        ("approve p", "platform", "Pending") => Some("→ Approved"),
        ("reject p", "platform", "Pending") => Some("→ Rejected"),
        // Security may always refuse, and agrees only where it is asked.
        ("reject s", "security", "Pending") => Some("→ Rejected"),
        ("withdraw", "requester" | "colleague", "Pending") => Some("→ Withdrawn"),
        ("undo", "requester" | "colleague" | "platform", "Approved") => Some("→ Undone"),
        _ => None,
    }
}

/// The refusal of whoever may not.
fn refused(who: &str, what: &str, standing: &str) -> &'static str {
    match (who, what) {
        ("other admin" | "other viewer" | "unitless admin" | "nobody", _) => "NotFound",
        ("auditor", _) => "AuditorWrites",
        ("requester", "submit") => "NotFresh",
        ("colleague", "submit" | "amend") => "OtherRequester",
        ("requester", "amend" | "withdraw") | ("colleague", "withdraw") => "Over",
        ("platform", "approve p" | "reject p") => "Over",
        ("security", "approve s") if standing == "Pending" => "SecurityNotAsked",
        ("security", "approve s" | "reject s") => "Over",
        ("requester" | "colleague" | "platform", "undo") if standing == "Pending" => "NotApproved",
        ("requester" | "colleague" | "platform", "undo") => "Over",
        _ => "RoleLacking",
    }
}

#[test]
fn who_may_do_what_and_when() {
    let mut cells = 0;
    for (standing, request) in standings() {
        for (who, principal) in people() {
            for (what, action) in actions(&request) {
                let expected = allowed(who, what, standing).unwrap_or_else(|| refused(who, what, standing));
                assert_eq!(cell(&request, &principal, &action), expected, "{who} wants to {what} while {standing}");
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 5 * 10 * 9);
}

#[test]
fn a_refusal_changes_nothing_and_reading_neither() {
    for (_, request) in standings() {
        for (_, principal) in people() {
            if let Ok(next) = act(&request, false, &principal, &Action::Read) {
                assert!(!next.changed && next.spec == request);
            }
        }
    }
}

#[test]
fn nobody_decides_their_own_request_whatever_they_are() {
    let all = person("li", Some("health"), &[Role::AgencyAdmin, Role::Platform, Role::Security]);
    for demands in [false, true] {
        let request = spec(RequestType::Create, &json!({}));
        for role in [DecisionRole::Platform, DecisionRole::Security] {
            for action in [approve(&request, role), reject(&request, role)] {
                assert_eq!(act(&request, demands, &all, &action), Err(Refusal::OwnRequest));
            }
        }
        // Nor by writing it in by another way.
        let mut forged = after(&request, demands, &wang(), &approve(&request, DecisionRole::Platform));
        forged.decisions[0].by = "li".into();
        assert!(matches!(crate::requests::standing(&forged, demands), Standing::Pending { .. }));
    }
}

#[test]
fn a_strict_profile_takes_two_people() {
    let both = person("qian", None, &[Role::Platform, Role::Security]);
    let request = spec(RequestType::Create, &json!({}));
    for (first, second) in
        [(DecisionRole::Platform, DecisionRole::Security), (DecisionRole::Security, DecisionRole::Platform)]
    {
        let half = after(&request, true, &both, &approve(&request, first));
        assert_eq!(crate::requests::standing(&half, true), Standing::Pending { lacking: vec![second] });
        assert_eq!(
            act(&half, true, &both, &approve(&half, second)),
            Err(Refusal::AlreadyDecided { role: first }),
            "one person gives both"
        );
        let other = if second == DecisionRole::Security { zhao() } else { wang() };
        let next = act(&half, true, &other, &approve(&half, second)).unwrap();
        assert_eq!(next.standing, Standing::Approved);
    }
    // One of a kind is enough, and a second of that kind does not stand for the other.
    let half = after(&request, true, &wang(), &approve(&request, DecisionRole::Platform));
    let wu = person("wu", None, &[Role::Platform]);
    let refused = act(&half, true, &wu, &approve(&half, DecisionRole::Platform));
    assert_eq!(refused, Err(Refusal::RoleHasDecided { role: DecisionRole::Platform, by: "wang".into() }));
    assert!(matches!(
        act(&half, true, &wu, &reject(&half, DecisionRole::Platform)),
        Ok(Next { standing: Standing::Rejected { .. }, .. })
    ));
    // Both written in under one name count as one.
    let mut forged = after(&half, true, &zhao(), &approve(&half, DecisionRole::Security));
    forged.decisions[1].by = "wang".into();
    let lacking = vec![DecisionRole::Security];
    assert_eq!(crate::requests::standing(&forged, true), Standing::Pending { lacking });
}

#[test]
fn an_approval_is_of_what_was_read() {
    let request = spec(RequestType::Create, &json!({}));
    let old = approve(&request, DecisionRole::Platform);
    let larger = EnvironmentRequestSpec {
        quota: spec(RequestType::Create, &json!({"quota": quota("100")})).quota,
        ..request.clone()
    };
    let amended = after(&request, false, &li(), &Action::Amend(Box::new(larger.clone())));
    assert_eq!(act(&amended, false, &wang(), &old), Err(Refusal::ContentMoved));
    // Under two decisions: what was agreed to before the amendment counts no more.
    let half = after(&request, true, &wang(), &approve(&request, DecisionRole::Platform));
    let amended = after(&half, true, &li(), &Action::Amend(Box::new(larger)));
    let lacking = vec![DecisionRole::Platform, DecisionRole::Security];
    assert_eq!(crate::requests::standing(&amended, true), Standing::Pending { lacking });
    let again = after(&amended, true, &wang(), &approve(&amended, DecisionRole::Platform));
    assert_eq!(again.decisions.len(), 2, "the same person decides on the new content");
}

#[test]
fn an_amendment_takes_the_content_alone() {
    let request = spec(RequestType::Create, &json!({}));
    let mut sly = after(&request, false, &wang(), &approve(&request, DecisionRole::Platform));
    sly.reason = "another".into();
    sly.carried_out = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(hour(0)));
    let amended = after(&request, false, &li(), &Action::Amend(Box::new(sly)));
    assert_eq!(amended, EnvironmentRequestSpec { reason: "another".into(), ..request.clone() });
    let moved = EnvironmentRequestSpec { environment: "health-test".into(), ..request.clone() };
    let refused = act(&request, false, &li(), &Action::Amend(Box::new(moved)));
    assert_eq!(refused, Err(Refusal::Identity { field: "spec.environment" }));
}

#[test]
fn a_new_request_is_the_askers_own_and_new() {
    let request = spec(RequestType::Extend, &json!({"requestedBy": {"name": "li", "roles": ["Platform"]}}));
    let next = act(&request, false, &li(), &Action::Submit).unwrap();
    assert_eq!(next.spec.requested_by.roles, ["AgencyAdmin"], "roles are those of the sign-in");
    assert_eq!(next.spec.submitted_at.0, hour(1));
    assert!(next.changed);
    let late = spec(RequestType::Extend, &json!({"until": "2029-01-01T00:00:00Z"}));
    assert_eq!(act(&late, false, &li(), &Action::Submit).unwrap_err().code(), "TimePassed");
    let none = spec(RequestType::Extend, &json!({"until": "2031-13-01T00:00:00Z"}));
    assert_eq!(act(&none, false, &li(), &Action::Submit).unwrap_err().code(), "NoTime");
}

#[test]
fn names_that_are_nobodys_do_nothing() {
    let request = spec(RequestType::Create, &json!({}));
    let nameless = person(" ", None, &[Role::Platform]);
    assert_eq!(act(&request, false, &nameless, &Action::Read), Err(Refusal::Nameless));
    let rule = person(crate::requests::RULE, None, &[Role::Platform]);
    assert_eq!(act(&request, false, &rule, &Action::Read).unwrap_err().code(), "ReservedName");
    // Another of Tandem's names, written in by another way, approves nothing.
    let mut forged = approved(RequestType::Create);
    forged.decisions[0].by = "tandem:operator".into();
    assert!(matches!(crate::requests::standing(&forged, false), Standing::Pending { .. }));
}

#[test]
fn an_auditor_writes_nothing_whatever_else_they_are() {
    let request = spec(RequestType::Create, &json!({}));
    let mixed = person("zheng", None, &[Role::Auditor, Role::Platform, Role::Security]);
    for action in [approve(&request, DecisionRole::Platform), reject(&request, DecisionRole::Security)] {
        assert_eq!(act(&request, true, &mixed, &action), Err(Refusal::AuditorWrites));
    }
}
