//! Single decisions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::*;

const SITE: &str = "dc-a";

fn key() -> ObjectKey {
    ObjectKey::cluster(Kind::Unit, "audit")
}

pub(super) fn fresh(uid: &str, spec: Value) -> LocalView {
    LocalView {
        key: key(),
        uid: uid.to_owned(),
        generation: 1,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        id: spec.get("id").and_then(Value::as_str).map(str::to_owned),
        spec,
        arbiter_revision: None,
        synced_hash: None,
        deleting: false,
        has_finalizer: false,
    }
}

pub(super) fn live(revision: i64, id: &str, spec: &Value, origin: (&str, &str, i64)) -> Versioned<Record> {
    Versioned::new(
        revision,
        Record::Live(SpecRecord {
            id: id.to_owned(),
            key: key(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: with_id(spec, id),
            origin: Origin { site: origin.0.to_owned(), uid: origin.1.to_owned(), generation: origin.2 },
            published_at: Timestamp::UNIX_EPOCH,
            trace: None,
        }),
    )
}

pub(super) fn buried(revision: i64, id: &str) -> Versioned<Record> {
    Versioned::new(
        revision,
        Record::Tombstone(Tombstone {
            id: id.to_owned(),
            key: key(),
            origin: Origin { site: SITE.to_owned(), uid: "u1".to_owned(), generation: 1 },
            deleted_at: Timestamp::UNIX_EPOCH,
        }),
    )
}

/// The object as it stands after it was published or followed.
fn settled(record: &Versioned<Record>, uid: &str) -> LocalView {
    let Record::Live(spec) = &record.value else { panic!("not live") };
    LocalView {
        generation: 2,
        arbiter_revision: Some(record.revision),
        synced_hash: Some(spec_hash(&spec.spec)),
        has_finalizer: true,
        ..fresh(uid, spec.spec.clone())
    }
}

fn edited(mut local: LocalView) -> LocalView {
    local.generation += 1;
    local.spec["budget"] = json!(99);
    local
}

fn publish(local: Option<&LocalView>, record: Option<&Versioned<Record>>) -> PublishPlan {
    plan_publish(SITE, local, record, Restraint::None)
}

fn minted(uid: &str) -> String {
    mint_id(SITE, Kind::Unit, uid)
}

#[test]
fn a_hash_knows_no_order_and_covers_the_id() {
    let one: Value = serde_json::from_str(r#"{"a":1,"b":{"x":[1,2],"y":"é\n"},"id":"1"}"#).unwrap();
    let two: Value = serde_json::from_str(r#"{"id":"1","b":{"y":"é\n","x":[1,2]},"a":1}"#).unwrap();
    assert_eq!(spec_hash(&one), spec_hash(&two));
    assert_ne!(spec_hash(&one), spec_hash(&with_id(&one, "2")));
    assert_ne!(spec_hash(&json!({"x": [1, 2]})), spec_hash(&json!({"x": [2, 1]})));
    assert_eq!(canonical(&json!({"b": null, "a": "\""})), r#"{"a":"\"","b":null}"#);
}

#[test]
fn an_id_is_minted_alike_after_a_crash_and_differs_from_site_to_site() {
    assert_eq!(minted("u1"), minted("u1"));
    assert_ne!(mint_id("dc-a", Kind::Unit, "u1"), mint_id("dc-b", Kind::Unit, "u1"));
    assert_ne!(mint_id("dc-a", Kind::Unit, "u1"), mint_id("dc-a", Kind::Environment, "u1"));
    assert_eq!(uuid::Uuid::parse_str(&minted("u1")).unwrap().get_version_num(), 5);
}

#[test]
fn a_new_object_is_published_under_a_minted_id() {
    let local = fresh("u1", json!({"budget": 1}));
    assert_eq!(publish(Some(&local), None), PublishPlan::Publish { base: 0, id: minted("u1") });
    let over = buried(7, "old");
    assert_eq!(publish(Some(&local), Some(&over)), PublishPlan::Publish { base: 7, id: minted("u1") });
    let written = fresh("u1", json!({"id": minted("u1")}));
    assert_eq!(publish(Some(&written), None), PublishPlan::Publish { base: 0, id: minted("u1") });
}

#[test]
fn a_foreign_id_is_refused_with_the_remedy() {
    let local = fresh("u1", json!({"id": "brought-along"}));
    for record in [None, Some(buried(7, "brought-along"))] {
        let PublishPlan::Refuse { why } = publish(Some(&local), record.as_ref()) else { panic!() };
        assert!(why.contains("remove spec.id; Tandem mints it"), "{why}");
    }
}

#[test]
fn a_lost_answer_heals_and_an_edit_meanwhile_is_published_on_top() {
    let local = fresh("u1", json!({"budget": 1}));
    let ours = live(5, &minted("u1"), &json!({"budget": 1}), (SITE, "u1", 1));
    let heal = PublishPlan::Heal { id: minted("u1"), revision: 5 };
    assert_eq!(publish(Some(&local), Some(&ours)), heal);
    let later = edited(local);
    assert_eq!(publish(Some(&later), Some(&ours)), PublishPlan::Publish { base: 5, id: minted("u1") });
}

#[test]
fn what_is_in_step_needs_nothing_and_an_edit_is_published() {
    let record = live(5, "id-1", &json!({"budget": 1}), (SITE, "u1", 1));
    let local = settled(&record, "u1");
    assert_eq!(publish(Some(&local), Some(&record)), PublishPlan::Nothing);
    let edit = edited(local.clone());
    assert_eq!(publish(Some(&edit), Some(&record)), PublishPlan::Publish { base: 5, id: "id-1".into() });
    let relabelled = LocalView { labels: [("owner".to_owned(), "x".to_owned())].into(), ..local };
    assert_eq!(publish(Some(&relabelled), Some(&record)), PublishPlan::Publish { base: 5, id: "id-1".into() });
}

#[test]
fn defaulting_by_another_release_is_no_edit() {
    let record = live(5, "id-1", &json!({"budget": 1}), ("dc-b", "x", 1));
    let mut local = settled(&record, "u1");
    local.spec["defaulted"] = json!(true);
    local.synced_hash = Some(spec_hash(&local.spec));
    assert_eq!(publish(Some(&local), Some(&record)), PublishPlan::Nothing);
    assert_eq!(plan_follow(SITE, Some(&record), Some(&local)), FollowPlan::Nothing);
}

#[test]
fn a_view_that_lags_waits() {
    let old = live(5, "id-1", &json!({"budget": 1}), (SITE, "u1", 1));
    let new = live(6, "id-1", &json!({"budget": 2}), (SITE, "u1", 9));
    // The copy of the records lags behind the object …
    assert_eq!(publish(Some(&edited(settled(&new, "u1"))), Some(&old)), PublishPlan::Nothing);
    assert_eq!(plan_follow(SITE, Some(&old), Some(&settled(&new, "u1"))), FollowPlan::Nothing);
    // … or the copy of the object behind what was published of it.
    assert_eq!(publish(Some(&settled(&old, "u1")), Some(&new)), PublishPlan::Nothing);
}

#[test]
fn what_another_moved_is_a_conflict_never_a_publication() {
    let old = live(5, "id-1", &json!({"budget": 1}), (SITE, "u1", 1));
    let moved = live(6, "id-1", &json!({"budget": 2}), ("dc-b", "other", 4));
    let local = settled(&old, "u1");
    assert_eq!(publish(Some(&local), Some(&moved)), PublishPlan::Conflict { seed: None });
    let edit = edited(local);
    let PublishPlan::Conflict { seed: Some(seed) } = publish(Some(&edit), Some(&moved)) else { panic!() };
    assert_eq!((seed.base, seed.published_revision), (Some(5), 6));
    assert_eq!((&seed.local["budget"], &seed.published.as_ref().unwrap()["budget"]), (&json!(99), &json!(2)));
    // Found again, it is the same conflict.
    assert_eq!(publish(Some(&edit), Some(&moved)), PublishPlan::Conflict { seed: Some(seed.clone()) });
    let FollowPlan::Update { conflict: Some(again) } = plan_follow(SITE, Some(&moved), Some(&edit)) else { panic!() };
    assert_eq!(again.id, seed.id);
}

#[test]
fn an_object_whose_record_is_gone_is_quarantined() {
    let record = live(5, "id-1", &json!({}), (SITE, "u1", 1));
    let local = settled(&record, "u1");
    assert!(matches!(publish(Some(&local), None), PublishPlan::Quarantine { .. }));
    assert!(matches!(plan_follow(SITE, None, Some(&local)), FollowPlan::Quarantine { .. }));
    // A person may still remove it.
    let going = LocalView { deleting: true, ..local };
    assert_eq!(publish(Some(&going), None), PublishPlan::ReleaseFinalizer);
    assert_eq!(plan_follow(SITE, None, Some(&going)), FollowPlan::ReleaseFinalizer);
}

#[test]
fn a_deletion_needs_the_finalizer_and_a_settled_crd() {
    let record = live(5, "id-1", &json!({}), (SITE, "u1", 1));
    let going = LocalView { deleting: true, ..settled(&record, "u1") };
    assert_eq!(publish(Some(&going), Some(&record)), PublishPlan::Tombstone { base: 5, id: "id-1".into() });
    let held_by_others = LocalView { has_finalizer: false, ..going.clone() };
    assert_eq!(publish(Some(&held_by_others), Some(&record)), PublishPlan::Nothing);
    let with_its_crd = plan_publish(SITE, Some(&going), Some(&record), Restraint::CrdUnsettled);
    assert_eq!(with_its_crd, PublishPlan::ReleaseFinalizer);
    // What was not published yet is, before the CRD takes it away.
    let edit = plan_publish(SITE, Some(&edited(going.clone())), Some(&record), Restraint::CrdUnsettled);
    assert_eq!(edit, PublishPlan::Publish { base: 5, id: "id-1".into() });
    // With the CRD back, it is restored; after its tombstone it is not.
    assert_eq!(publish(None, Some(&record)), PublishPlan::Restore { revision: 5 });
    assert_eq!(publish(None, Some(&buried(6, "id-1"))), PublishPlan::Nothing);
    assert_eq!(publish(Some(&going), Some(&buried(6, "id-1"))), PublishPlan::ReleaseFinalizer);
}

#[test]
fn a_deletion_that_was_overtaken_is_undone() {
    let old = live(5, "id-1", &json!({}), (SITE, "u1", 1));
    let moved = live(6, "id-1", &json!({"budget": 2}), ("dc-b", "other", 4));
    let going = LocalView { deleting: true, ..settled(&old, "u1") };
    assert_eq!(publish(Some(&going), Some(&moved)), PublishPlan::Conflict { seed: None });
    assert_eq!(plan_follow(SITE, Some(&moved), Some(&going)), FollowPlan::Recreate { conflict: None });
}

#[test]
fn the_follower_creates_updates_deletes_and_puts_back() {
    let record = live(5, "id-1", &json!({"budget": 1}), ("dc-b", "x", 1));
    assert_eq!(plan_follow(SITE, Some(&record), None), FollowPlan::Create);
    let local = settled(&record, "u1");
    assert_eq!(plan_follow(SITE, Some(&record), Some(&local)), FollowPlan::Nothing);
    let newer = live(6, "id-1", &json!({"budget": 2}), ("dc-b", "x", 2));
    assert_eq!(plan_follow(SITE, Some(&newer), Some(&local)), FollowPlan::Update { conflict: None });
    assert_eq!(plan_follow(SITE, Some(&buried(6, "id-1")), Some(&local)), FollowPlan::Delete { conflict: None });
    let edit = edited(local.clone());
    assert!(matches!(plan_follow(SITE, Some(&record), Some(&edit)), FollowPlan::Update { conflict: Some(_) }));
    let deletion = plan_follow(SITE, Some(&buried(6, "id-1")), Some(&edit));
    assert!(matches!(deletion, FollowPlan::Delete { conflict: Some(_) }));
    let relabelled = LocalView { labels: [("a".to_owned(), "b".to_owned())].into(), ..local };
    assert_eq!(plan_follow(SITE, Some(&record), Some(&relabelled)), FollowPlan::Update { conflict: None });
}

#[test]
fn what_was_written_without_authority_is_kept_and_removed() {
    let local = fresh("u1", json!({"budget": 1}));
    let FollowPlan::RemoveUnauthorised { conflict: Some(seed) } = plan_follow(SITE, None, Some(&local)) else {
        panic!()
    };
    assert_eq!((seed.durable_id, seed.published, seed.base), (minted("u1"), None, None));
}

#[test]
fn an_object_whose_id_was_succeeded_makes_room() {
    let old = live(5, "id-1", &json!({}), ("dc-b", "x", 1));
    let successor = live(9, "id-2", &json!({}), ("dc-b", "y", 1));
    let local = settled(&old, "u1");
    assert_eq!(plan_follow(SITE, Some(&successor), Some(&local)), FollowPlan::Delete { conflict: None });
    assert_eq!(publish(Some(&local), Some(&successor)), PublishPlan::Conflict { seed: None });
}

#[test]
fn only_the_users_metadata_travels() {
    let map: BTreeMap<String, String> = [
        "owner",
        "example.org/team",
        "tandem.dev/arbiter-revision",
        "lab.tandem.dev/simulated",
        "kubectl.kubernetes.io/last-applied-configuration",
    ]
    .into_iter()
    .map(|key| (key.to_owned(), "x".to_owned()))
    .collect();
    let kept: Vec<String> = travelling(&map).into_keys().collect();
    assert_eq!(kept, ["example.org/team", "owner"]);
}

#[test]
fn records_survive_json() {
    for record in [live(1, "id-1", &json!({"budget": 1}), (SITE, "u", 3)).value, buried(1, "id-1").value] {
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
    for kind in Kind::ALL {
        assert_eq!(kind.plural().parse::<Kind>().unwrap(), kind);
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.plural());
    }
}
