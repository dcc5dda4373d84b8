//! Approval by rule.

use jiff::SignedDuration;
use serde_json::json;
use tandem_crds::{DecisionRole, EnvironmentRequest, EnvironmentRequestSpec, RequestType};

use super::*;
use crate::ledger::{Amounts, Resource};
use crate::requests::{
    Person, RULE, Rule, RuleFacts, RuleSettings, Standing, Use, by_rule, decided_by_rule, last_growth, standing,
};

fn resize(cpu: &str) -> EnvironmentRequestSpec {
    spec(RequestType::Resize, &json!({"quota": quota(cpu)}))
}

/// So many millicores in use, of the 10 cores that the environment has.
fn used(cpu_millis: u64) -> Use {
    Use { amounts: Amounts { cpu_millis, ..Amounts::default() }, at: hour(1) }
}

fn judged(request: &EnvironmentRequestSpec, used: Option<Use>) -> Result<Rule, Person> {
    let standing = environment();
    let facts =
        RuleFacts { demands_security: false, environment: Some(&standing), used, last_growth: None, now: hour(1) };
    by_rule(request, facts, &RuleSettings::default())
}

#[test]
fn what_shrinks_is_approved_down_to_what_is_in_use() {
    assert_eq!(judged(&resize("6"), Some(used(6_000))), Ok(Rule::Shrinks));
    assert_eq!(judged(&resize("6"), Some(used(6_001))), Err(Person::BelowUse(Resource::Cpu)));
    assert_eq!(judged(&resize("10"), Some(used(1))), Ok(Rule::Shrinks), "nothing changes");
}

#[test]
fn what_grows_by_little_is_approved_where_it_is_used_up() {
    assert_eq!(judged(&resize("12"), Some(used(8_000))), Ok(Rule::GrowsByLittle));
    assert_eq!(judged(&resize("12"), Some(used(7_999))), Err(Person::NotUsed(Resource::Cpu)));
    assert_eq!(judged(&resize("12001m"), Some(used(9_000))), Err(Person::TooMuch(Resource::Cpu)));
    // One resource that grows does not carry another along.
    let pods =
        spec(RequestType::Resize, &json!({"quota": {"cpu": "12", "memory": "32Gi", "storage": "1Ti", "pods": 21}}));
    assert_eq!(judged(&pods, Some(used(9_000))), Err(Person::NotUsed(Resource::Pods)));
}

#[test]
fn nothing_has_no_share() {
    let mut standing = environment();
    standing.spec.quota.storage = "0".into();
    let facts = RuleFacts {
        demands_security: false,
        environment: Some(&standing),
        used: Some(used(9_000)),
        last_growth: None,
        now: hour(1),
    };
    let from_nothing = by_rule(&resize("10"), facts, &RuleSettings::default());
    assert_eq!(from_nothing, Err(Person::TooMuch(Resource::Storage)));
}

#[test]
fn unknown_use_goes_to_a_person() {
    for request in [resize("6"), resize("12")] {
        assert_eq!(judged(&request, None), Err(Person::UseUnknown));
        let old = Use { at: hour(0) - SignedDuration::from_secs(1), ..used(9_000) };
        assert_eq!(judged(&request, Some(old)), Err(Person::UseUnknown), "too old");
        let to_come = Use { at: hour(2), ..used(9_000) };
        assert_eq!(judged(&request, Some(to_come)), Err(Person::UseUnknown), "nobody has seen what is to come");
    }
}

#[test]
fn everything_else_goes_to_a_person() {
    for kind in [RequestType::Create, RequestType::Extend, RequestType::Delete] {
        assert_eq!(judged(&spec(kind, &json!({})), Some(used(9_000))), Err(Person::Kind(kind)));
    }
    let with_application = spec(
        RequestType::Resize,
        &json!({"applications": [{"name": "x", "spec": {"displayName": {"zh": "甲"}, "components": []}}]}),
    );
    assert_eq!(judged(&with_application, Some(used(9_000))), Err(Person::Applications));
    let unreadable = resize("many");
    assert_eq!(judged(&unreadable, Some(used(1))), Err(Person::Unreadable));
    let standing = environment();
    let facts = RuleFacts {
        demands_security: false,
        environment: Some(&standing),
        used: Some(used(9_000)),
        last_growth: None,
        now: hour(1),
    };
    let settings = RuleSettings::default();
    let strict = RuleFacts { demands_security: true, ..facts };
    assert_eq!(by_rule(&resize("6"), strict, &settings), Err(Person::SecurityDemanded));
    assert_eq!(by_rule(&resize("6"), RuleFacts { environment: None, ..facts }, &settings), Err(Person::NoEnvironment));
    let mut marked = environment();
    marked.spec.delete_after = Some("2030-02-01T00:00:00Z".into());
    let facts_of_marked = RuleFacts { environment: Some(&marked), ..facts };
    assert_eq!(by_rule(&resize("6"), facts_of_marked, &settings), Err(Person::NoEnvironment));
    for request in [resize("6"), resize("12")] {
        assert_eq!(by_rule(&request, facts, &RuleSettings::none()), Err(Person::Off));
    }
    assert_eq!(judged(&approved(RequestType::Resize), Some(used(9_000))), Err(Person::NotPending));
}

#[test]
fn small_steps_do_not_add_up() {
    let standing = environment();
    let settings = RuleSettings::default();
    let grown = |days: i64| {
        let facts = RuleFacts {
            demands_security: false,
            environment: Some(&standing),
            used: Some(used(9_000)),
            last_growth: Some(hour(1) - SignedDuration::from_hours(24 * days)),
            now: hour(1),
        };
        by_rule(&resize("12"), facts, &settings)
    };
    assert_eq!(grown(29), Err(Person::TooSoon));
    assert_eq!(grown(30), Ok(Rule::GrowsByLittle));
    let by_rule = decided_by_rule(&resize("12"), Rule::GrowsByLittle, hour(5));
    let by_person = after(&resize("12"), false, &wang(), &approve(&resize("12"), DecisionRole::Platform));
    let other = EnvironmentRequestSpec { environment: "health-test".into(), ..by_rule.clone() };
    let kept = [by_rule, by_person, other].map(|spec| EnvironmentRequest::new("r", spec));
    assert_eq!(last_growth("health-prod", &kept), Some(hour(5)));
    assert_eq!(last_growth("health-dev", &kept), None);
}

#[test]
fn a_rule_stands_for_the_platform_and_for_nobody_else() {
    let request = resize("6");
    let decided = decided_by_rule(&request, Rule::Shrinks, hour(1));
    assert_eq!(decided.decisions[0].by, RULE);
    assert_eq!(standing(&decided, false), Standing::Approved);
    let lacking = vec![DecisionRole::Platform, DecisionRole::Security];
    assert_eq!(standing(&decided, true), Standing::Pending { lacking }, "the profile became strict since");
}
