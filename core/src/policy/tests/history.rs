//! Who set a rule, since when, and what was in force before.

use super::*;
use crate::failover::Language;
use crate::policy::{Difference, Gap, Moment, Set};

fn known(by: &str, revision: i64, request: Option<&str>, oldest: bool) -> Set {
    let request = request.map(str::to_owned);
    Set::Known { by: by.to_owned(), since: when(revision), revision, request, oldest }
}

fn at(objects: &Objects, moment: Moment) -> Result<Difference, Gap> {
    Difference::since(objects, head(None), moment)
}

fn ids(rules: &[Rule]) -> Vec<&str> {
    rules.iter().map(|rule| rule.id.as_str()).collect()
}

/// A unit of one environment, that came with revision 10 and was resized by a request with 30; the profile demands digests since
/// 20, and was written again with 40.
fn story() -> Objects {
    let mut objects = objects();
    objects.remove(&key(Kind::Environment, "health-test"));
    let quota = |cpu: &str| json!({"cpu": cpu, "memory": "64Gi", "storage": "1Ti", "pods": 100});
    let images = |digest: bool| json!({"registries": ["registry.gov.example"], "requireDigest": digest});
    with_versions(&mut objects, &key(Kind::Unit, "health"), &[(5, "wang", Some(json!({})))]);
    let of_environment = [
        (10, "tandem:operator", Some(json!({"quota": quota("8"), "request": "health-a"}))),
        (30, "tandem:operator", Some(json!({"quota": quota("16"), "request": "health-b"}))),
        (50, "wang", Some(json!({"quota": quota("16000m"), "request": "health-b", "expiresAt": null}))),
    ];
    with_versions(&mut objects, &key(Kind::Environment, "health-prod"), &of_environment);
    let of_profile = [
        (3, "chen", Some(json!({"images": images(false)}))),
        (20, "chen", Some(json!({"images": images(true)}))),
        (40, "zhou", Some(json!({"images": images(true), "requiredLabels": ["gov.example/owner"]}))),
    ];
    with_versions(&mut objects, &key(Kind::SecurityProfile, "mlps-3"), &of_profile);
    objects
}

#[test]
fn who_set_a_rule_is_who_wrote_the_first_version_of_the_unbroken_run() {
    let rules = document(&story()).rules;
    let set = |id: &str| rule(&rules, id, None).set.clone();
    assert_eq!(set("quota.cpu"), known("tandem:operator", 30, Some("health-b"), false), "16000m is what 16 is");
    assert_eq!(set("quota.memory"), known("tandem:operator", 10, Some("health-a"), true));
    assert_eq!(set("images.requireDigest"), known("chen", 20, None, false), "written again is not set again");
    // The profile is older than the environment: it binds it since that is there.
    assert_eq!(set("pods.podSecurity"), known("tandem:operator", 10, Some("health-a"), true));
    assert_eq!(set("budget.cpu"), known("wang", 5, None, true));
    assert_eq!(set("network.defaultDeny"), Set::BuiltIn);
    assert_eq!(set("network.gateway.hall.public"), Set::BeforeVersions, "the application has no version");
}

#[test]
fn what_another_object_has_versions_of_is_not_credited_to_who_wrote_those() {
    let mut objects = objects();
    with_versions(&mut objects, &key(Kind::SecurityProfile, "mlps-3"), &[(7, "chen", Some(json!({})))]);
    with_versions(&mut objects, &key(Kind::Unit, "health"), &[(9, "wang", Some(json!({})))]);
    let rules = document(&objects).rules;
    let set = |id: &str| rule(&rules, id, Some("health-prod")).set.clone();
    assert_eq!(set("quota.cpu"), Set::BeforeVersions, "the environment has no version");
    assert_eq!(set("protection.profile"), known("wang", 9, None, true));
    assert_eq!(rule(&rules, "pods.podSecurity", Some("health-test")).set, Set::BeforeVersions);
    // Which profile the unit named before 9 is not known, so that it is not known what bound the environment then.
    assert_eq!(set("pods.podSecurity"), Set::BeforeVersions);
}

#[test]
fn a_rule_that_was_away_in_between_is_set_anew() {
    let mut objects = objects();
    let suspended = |yes: bool| Some(json!({"suspended": yes}));
    let versions = [(1, "wang", suspended(true)), (2, "li", suspended(false)), (3, "zhou", suspended(true))];
    with_versions(&mut objects, &key(Kind::Unit, "health"), &versions);
    let rules = document(&objects).rules;
    assert_eq!(rule(&rules, "lifetime.suspended", None).set, known("zhou", 3, None, false));
}

#[test]
fn who_moves_an_environment_to_another_profile_sets_what_that_changes() {
    let mut objects = objects();
    let profile = |name: &str| Some(json!({"securityProfile": name}));
    let versions = [(1, "wang", profile("mlps-3")), (2, "li", profile("mlps-2"))];
    with_versions(&mut objects, &key(Kind::Environment, "health-test"), &versions);
    let rules = document(&objects).rules;
    let set = |id| rule(&rules, id, Some("health-test")).set.clone();
    assert_eq!(set("pods.podSecurity"), known("li", 2, None, false));
    assert_eq!(set("protection.profile"), known("li", 2, None, false));
    let difference = at(&objects, Moment::Revision(1)).unwrap();
    let changed: Vec<&str> = difference.changed.iter().map(|change| change.rule.id.as_str()).collect();
    assert!(changed.contains(&"pods.podSecurity") && changed.contains(&"images.requireDigest"), "{changed:?}");
}

#[test]
fn what_is_published_and_no_version_says_is_not_credited_to_anybody() {
    let mut objects = story();
    let environment = objects.get_mut(&key(Kind::Environment, "health-prod")).unwrap();
    environment.now.as_mut().unwrap()["quota"]["pods"] = json!(7);
    let rules = document(&objects).rules;
    assert_eq!(rule(&rules, "quota.pods", None).set, Set::BeforeVersions);
}

#[test]
fn the_difference_is_by_value() {
    let objects = story();
    let difference = at(&objects, Moment::Revision(29)).unwrap();
    assert_eq!((difference.against.revision, difference.against.at), (20, when(20)));
    let changed: Vec<(&str, &Value, &Value)> =
        difference.changed.iter().map(|change| (change.rule.id.as_str(), &change.from, &change.rule.value)).collect();
    assert_eq!(changed, [("quota.cpu", &json!("8"), &json!("16"))]);
    assert_eq!(difference.changed[0].rule.set, known("tandem:operator", 30, Some("health-b"), false));
    assert!(difference.changed[0].said.en.ends_with("in each site: 8."));
    assert_eq!((ids(&difference.added), ids(&difference.removed)), (vec![], vec!["lifetime.expiry"]));
    assert_eq!(difference.removed[0].set, known("wang", 50, None, false), "who took it away");
    let earlier = at(&objects, Moment::Revision(12)).unwrap();
    assert!(earlier.changed.iter().any(|change| change.rule.id == "images.requireDigest"));
    assert!(at(&objects, Moment::Revision(50)).unwrap().is_empty());
    assert!(at(&objects, Moment::Revision(i64::MAX)).unwrap().is_empty());
}

#[test]
fn a_time_is_the_newest_version_of_that_time() {
    let objects = story();
    let by_time = at(&objects, Moment::Time(when(29))).unwrap();
    assert_eq!(by_time, at(&objects, Moment::Revision(20)).unwrap());
    assert_eq!(by_time, at(&objects, Moment::Revision(29)).unwrap());
}

#[test]
fn what_is_not_kept_is_refused_and_never_shown_as_nothing() {
    let objects = story();
    let too_early = Gap::TooEarly { since: when(3), revision: 3 };
    assert_eq!(at(&objects, Moment::Revision(2)), Err(too_early.clone()));
    assert_eq!(at(&objects, Moment::Revision(-1)), Err(too_early.clone()));
    assert_eq!(at(&objects, Moment::Time(when(2))), Err(too_early));
    // The profile's versions begin with 3, the unit's with 5.
    assert_eq!(at(&objects, Moment::Revision(4)), Err(Gap::NotThen(key(Kind::Unit, "health"))));
    assert_eq!(at(&super::objects(), Moment::Revision(4)), Err(Gap::NothingKept));
    // The environment was there, under a profile of which nothing is kept from then.
    let mut late = story();
    late.get_mut(&key(Kind::SecurityProfile, "mlps-3")).unwrap().versions.drain(..2);
    assert_eq!(at(&late, Moment::Revision(35)), Err(Gap::NotThen(key(Kind::SecurityProfile, "mlps-3"))));
    let one = Difference::since(&objects, head(Some("health-prod")), Moment::Revision(7));
    assert_eq!(one, Err(Gap::NotThen(key(Kind::Environment, "health-prod"))));
}

#[test]
fn what_came_since_is_added_and_said_to_be_as_far_as_is_kept() {
    let mut objects = story();
    with_versions(&mut objects, &key(Kind::Application, "health-prod/hall"), &[(25, "li", Some(json!({})))]);
    let noted = |revision| {
        let difference = at(&objects, Moment::Revision(revision)).unwrap();
        let notes: Vec<String> = difference.head.notes.into_iter().map(|note| note.en).collect();
        (ids(&difference.added).contains(&"quota.cpu"), notes)
    };
    let (added, notes) = noted(7);
    assert!(added && notes.len() == 1 && notes[0].contains("environment health-prod is of"), "{notes:?}");
    let (added, notes) = noted(24);
    assert!(!added && notes.len() == 1 && notes[0].contains("application health-prod/hall is of"), "{notes:?}");
    assert_eq!(noted(25).1, [""; 0]);
}

#[test]
fn what_was_deleted_since_is_removed() {
    let mut objects = story();
    let versions = [(6, "li", Some(json!({}))), (60, "li", None)];
    with_versions(&mut objects, &key(Kind::Application, "health-prod/hall"), &versions);
    let difference = at(&objects, Moment::Revision(50)).unwrap();
    assert_eq!(difference.removed.len(), 4, "{:?}", ids(&difference.removed));
    assert_eq!(difference.removed[0].set, known("li", 60, None, false));
    assert!(document(&objects).rules.iter().all(|rule| rule.places[0].application.is_none()));
}

#[test]
fn what_is_not_published_binds_nobody() {
    let without = |name: ObjectKey| {
        let mut objects = objects();
        objects.remove(&name);
        Document::of(&objects, head(Some("health-prod"))).map(drop)
    };
    for name in [key(Kind::Unit, "health"), key(Kind::Environment, "health-prod"), key(Kind::SecurityProfile, "mlps-3")]
    {
        assert_eq!(without(name.clone()), Err(Gap::NotPublished(name)));
    }
    let mut objects = objects();
    objects.get_mut(&key(Kind::Unit, "health")).unwrap().now = Some(json!({"budget": 7}));
    assert_eq!(Document::of(&objects, head(None)).map(drop), Err(Gap::Unreadable(key(Kind::Unit, "health"))));
}

#[test]
fn every_gap_is_said_in_both_languages() {
    let here = || key(Kind::Unit, "health");
    let too_early = Gap::TooEarly { since: when(3), revision: 3 };
    for gap in [Gap::NotPublished(here()), Gap::Unreadable(here()), Gap::NothingKept, too_early, Gap::NotThen(here())] {
        assert!(gap.sentence(Language::English).is_ascii());
        assert!(!gap.sentence(Language::Chinese).is_ascii());
    }
}

#[test]
fn an_environment_of_another_unit_is_none_of_this_ones() {
    let mut objects = objects();
    objects.get_mut(&key(Kind::Environment, "health-test")).unwrap().now.as_mut().unwrap()["unit"] = json!("water");
    let text = serde_json::to_string(&document(&objects)).unwrap();
    assert!(!text.contains("health-test") && !text.contains("water"), "{text}");
    // The name was another unit's before, and so was what ran there.
    let mut objects = story();
    let environment = objects.get_mut(&key(Kind::Environment, "health-prod")).unwrap();
    environment.versions[0].value.says.as_mut().unwrap()["unit"] = json!("water");
    with_versions(&mut objects, &key(Kind::Application, "health-prod/hall"), &[(11, "zhao", Some(json!({})))]);
    let difference = at(&objects, Moment::Revision(12)).unwrap();
    assert!(difference.removed.is_empty() && ids(&difference.added).contains(&"network.gateway.hall.public"));
}
