//! Whatever people do, in whatever order: the rules of separation hold.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;
use tandem_crds::{DecisionOutcome, DecisionRole, EnvironmentRequestSpec, RequestType};

use super::*;
use crate::requests::{RULE, Standing, standing};

/// People with every set of roles; some of them ask, too.
fn anybody() -> impl Strategy<Value = Principal> {
    let names = prop::sample::select(vec!["li", "wang", "zhao", "qian", "sun", RULE, ""]);
    let units = prop::sample::select(vec![None, Some("health"), Some("tax")]);
    let roles = prop::collection::btree_set(prop::sample::select(Role::ALL.to_vec()), 0..5);
    (names, units, roles).prop_map(|(name, unit, roles): (_, _, BTreeSet<Role>)| Principal {
        name: name.into(),
        unit: unit.map(str::to_owned),
        roles,
    })
}

#[derive(Clone, Debug)]
enum Doing {
    Approve(DecisionRole, bool),
    Reject(DecisionRole),
    Withdraw,
    Undo,
    Amend(u8),
}

fn anything() -> impl Strategy<Value = Doing> {
    let role = || prop::sample::select(vec![DecisionRole::Platform, DecisionRole::Security]);
    prop_oneof![
        6 => (role(), prop::bool::weighted(0.8)).prop_map(|(role, fresh)| Doing::Approve(role, fresh)),
        1 => role().prop_map(Doing::Reject),
        1 => Just(Doing::Withdraw),
        1 => Just(Doing::Undo),
        2 => (0u8..3).prop_map(Doing::Amend),
    ]
}

fn action(doing: &Doing, now: &EnvironmentRequestSpec, first: &EnvironmentRequestSpec) -> Action {
    match doing {
        // What is decided on may have been read before it was amended.
        Doing::Approve(role, fresh) => approve(if *fresh { now } else { first }, *role),
        Doing::Reject(role) => reject(now, *role),
        Doing::Withdraw => withdraw(),
        Doing::Undo => undo(),
        Doing::Amend(n) => {
            let reason = format!("reason {n}");
            Action::Amend(Box::new(EnvironmentRequestSpec { reason, ..now.clone() }))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Approved means: a platform and a security decision on this content, by two people, neither of whom asked.
    #[test]
    fn two_people_whatever_happens(
        steps in prop::collection::vec((anybody(), anything()), 1..40),
        delete in any::<bool>(),
    ) {
        let kind = if delete { RequestType::Delete } else { RequestType::Create };
        let first = spec(kind, &json!({}));
        let mut request = first.clone();
        for (who, doing) in &steps {
            let before = standing(&request, true);
            let Ok(next) = act(&request, true, who, &action(doing, &request, &first)) else { continue };
            prop_assert_eq!(&next.standing, &standing(&next.spec, true));
            // Nothing that was said is lost, and what has ended stays so.
            prop_assert!(next.spec.decisions.starts_with(&request.decisions));
            match (&before, &next.standing) {
                (Standing::Rejected { .. } | Standing::Withdrawn { .. } | Standing::Undone { .. }, after) => {
                    prop_assert_eq!(&before, after);
                }
                (Standing::Approved, after) => {
                    let stands = matches!(after, Standing::Approved | Standing::Undone { .. });
                    prop_assert!(stands);
                }
                (Standing::Pending { .. }, _) => {}
            }
            request = next.spec;
        }
        let digest = content_digest(&request);
        let by = |role: DecisionRole| -> BTreeSet<&str> {
            let of = request.decisions.iter().filter(|decision| {
                decision.role == role && decision.outcome == DecisionOutcome::Approve && decision.digest == digest
            });
            of.map(|decision| decision.by.as_str()).collect()
        };
        for decision in &request.decisions {
            prop_assert!(decision.by != "li" && decision.by != RULE && !decision.by.is_empty());
        }
        if standing(&request, true) == Standing::Approved {
            let (platform, security) = (by(DecisionRole::Platform), by(DecisionRole::Security));
            prop_assert!(!platform.is_empty() && !security.is_empty());
            prop_assert!(platform.union(&security).count() >= 2, "one person gave both: {platform:?}");
        }
    }

    /// Nor by decisions that were written in by another way than through [`decide`].
    #[test]
    fn no_list_of_decisions_passes_for_two_people(
        decisions in prop::collection::vec(
            (
                prop::sample::select(vec!["li", "wang", "zhao", RULE, "", "tandem:operator"]),
                prop::sample::select(vec![DecisionRole::Platform, DecisionRole::Security]),
                any::<bool>(),
            ),
            0..6,
        ),
    ) {
        let mut request = spec(RequestType::Create, &json!({}));
        let digest = content_digest(&request);
        for (by, role, current) in &decisions {
            let digest = if *current { digest.clone() } else { "0".repeat(64) };
            request.decisions.push(tandem_crds::Decision {
                role: *role,
                outcome: DecisionOutcome::Approve,
                by: (*by).to_owned(),
                at: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(hour(1)),
                digest,
                note: String::new(),
            });
        }
        let counted = |role| -> BTreeSet<&str> {
            let of = decisions.iter().filter(|(by, as_role, current)| {
                *current && *as_role == role && matches!(*by, "wang" | "zhao")
            });
            of.map(|(by, ..)| *by).collect()
        };
        let (platform, security) = (counted(DecisionRole::Platform), counted(DecisionRole::Security));
        let two = platform.iter().any(|one| security.iter().any(|other| one != other));
        prop_assert_eq!(standing(&request, true) == Standing::Approved, two);
        let by_rule = decisions.iter().any(|(by, role, current)| {
            *current && *role == DecisionRole::Platform && *by == RULE
        });
        prop_assert_eq!(standing(&request, false) == Standing::Approved, !platform.is_empty() || by_rule);
    }

    /// What belongs to other units does not exist, whatever is tried.
    #[test]
    fn others_units_do_not_exist(who in anybody(), doing in anything()) {
        let request = spec(RequestType::Delete, &json!({}));
        let result = act(&request, true, &who, &action(&doing, &request, &request));
        let central = [Role::Platform, Role::Security, Role::Auditor].iter().any(|role| who.is(*role));
        if who.unit.as_deref() != Some("health") && !central && !who.name.is_empty() && who.name != RULE {
            prop_assert_eq!(result, Err(Refusal::NotFound));
        }
    }
}
