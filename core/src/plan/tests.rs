use super::*;
use crate::failover::Language;
use serde_json::Value;
use std::collections::BTreeSet;
use tandem_crds::{Application, DataLoss, Environment};

/// A city of two sites and four groups, and a plan for it that the command line and the REST API show alike.
fn example() -> Value {
    serde_json::from_str(include_str!("example.json")).unwrap()
}

/// The city, with nothing held.
fn view() -> View {
    let example = example();
    let mut view = View::new(
        serde_json::from_value(example["datacentres"].clone()).unwrap(),
        serde_json::from_value(example["failovergroups"].clone()).unwrap(),
    );
    view.groups.get_mut("hall").unwrap().metadata.annotations = None;
    view
}

fn all(kind: Option<FailoverType>) -> Wanted {
    Wanted { kind, selector: FailoverSelector { all: true, ..FailoverSelector::default() }, ..Wanted::default() }
}

fn these(names: &[&str], kind: Option<FailoverType>) -> Wanted {
    let groups = names.iter().map(|name| (*name).to_owned()).collect();
    Wanted { kind, selector: FailoverSelector { groups, ..FailoverSelector::default() }, ..Wanted::default() }
}

#[test]
fn groups_in_a_circle_are_in_no_wave() {
    let mut view = view();
    view.groups.get_mut("ledger").unwrap().spec.depends_on = vec!["tax".into()];
    let plan = plan(&view, &these(&["ledger", "tax", "hall"], None)).unwrap();
    let unmovable: Vec<&str> = plan.unmovable.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(unmovable, ["ledger", "tax"]);
    assert!(plan.unmovable.iter().all(|group| group.refused[0].reason == "DependsOnStuck"));
    assert_eq!(plan.waves.len(), 1);
}

#[test]
fn a_living_site_is_not_failed_over() {
    let plan = plan(&view(), &these(&["hall"], Some(FailoverType::Failover))).unwrap();
    let reasons: Vec<&str> = plan.groups().flat_map(|group| &group.refused).map(|why| why.reason.as_str()).collect();
    assert_eq!(reasons, ["HolderAlive"]);
}

#[test]
fn missing_information_refuses() {
    let mut view = view();
    view.groups.get_mut("hall").unwrap().status.as_mut().unwrap().readiness = None;
    view.groups.get_mut("tax").unwrap().status = None;
    let reasons = |name: &str| {
        let wanted = Wanted { to: Some("dc-b".into()), ..these(&[name], None) };
        let plan = plan(&view, &wanted).unwrap();
        plan.groups().flat_map(|group| group.refused.clone()).map(|why| why.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons("hall"), ["RoomUnknown"]);
    assert_eq!(reasons("tax"), ["StaleView"]);
}

#[test]
fn a_site_that_is_paused_neither_gives_nor_takes() {
    let paused = |site: &str, condition: Value| {
        let mut view = view();
        let status = view.sites.get_mut(site).unwrap().status.as_mut().unwrap();
        let mut condition = condition;
        condition["lastTransitionTime"] = "2030-01-01T00:00:00Z".into();
        condition["message"] = "paused by wang: network works".into();
        condition["reason"] = "Paused".into();
        status.conditions = vec![serde_json::from_value(condition).unwrap()];
        let plan = plan(&view, &these(&["hall"], Some(FailoverType::Switchover))).unwrap();
        let refused = plan.groups().flat_map(|group| group.refused.clone());
        refused.map(|why| why.reason).collect::<Vec<_>>()
    };
    let (own, told) = (
        serde_json::json!({"type": "Paused", "status": "True"}),
        serde_json::json!({"type": "Ready", "status": "False"}),
    );
    let holder = view().active("hall").unwrap().to_owned();
    let other = view().other(&holder).unwrap().to_owned();
    assert_eq!(paused(&holder, own.clone()), ["SourceNotReady"]);
    assert_eq!(paused(&holder, told.clone()), ["SourceNotReady"], "as the other site shows it");
    assert_eq!(paused(&other, own), ["TargetNotReady"]);
    assert_eq!(paused(&other, told), ["TargetNotReady"]);
}

#[test]
fn consent_to_a_loss_takes_two_people_and_an_unplanned_move() {
    let mut view = view();
    view.sites.get_mut("dc-a").unwrap().status.as_mut().unwrap().heard = Some(false);
    let loss = Some(DataLoss { max_seconds: Some(30) });
    let wanted = Wanted { accept_data_loss: loss, ..these(&["hall"], Some(FailoverType::Failover)) };
    assert_eq!(plan(&view, &wanted).unwrap().approvals_wanted, 2);
    let planned = Wanted { kind: Some(FailoverType::Switchover), ..wanted };
    assert_eq!(plan(&view, &planned).unwrap_err(), PlanError::FailoverOnly { field: "acceptDataLoss" });
}

#[test]
fn what_is_not_known_is_named() {
    let mut view = view();
    let told = |view: &_, wanted: &Wanted| plan(view, wanted).unwrap_err().to_string();
    assert!(told(&view, &these(&["hall", "nowhere"], None)).contains("no failover group nowhere"));
    assert!(told(&view, &Wanted { to: Some("dc-c".into()), ..all(None) }).contains("the sites are dc-a and dc-b"));
    let unit = FailoverSelector { unit: Some("nobody".into()), ..FailoverSelector::default() };
    assert!(told(&view, &Wanted { selector: unit, ..Wanted::default() }).contains("unit nobody"));
    view.groups.get_mut("hall").unwrap().status.as_mut().unwrap().active_site = Some("dc-b".into());
    assert!(told(&view, &all(None)).contains("active at dc-a and dc-b: say where"));
    let failback = plan(&view, &all(Some(FailoverType::Failback))).unwrap();
    assert_eq!(failback.to, "dc-a");
    let moving: Vec<&str> = failback.groups().map(|group| group.name.as_str()).collect();
    assert_eq!(moving, ["hall"], "the others are home already");
}

#[test]
fn a_units_groups_are_those_of_its_applications() {
    let environment: Environment = serde_json::from_value(serde_json::json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "tax-prod"},
        "spec": {"unit": "tax", "quota": {"cpu": "1", "memory": "1Gi", "storage": "1Gi", "pods": 1}},
    }))
    .unwrap();
    let application = |namespace: &str, name: &str, group: Option<&str>| -> Application {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "Application", "metadata": {"namespace": namespace, "name": name},
            "spec": {"displayName": {"zh": "应用"}, "adopt": [{"kind": "Deployment", "name": name}], "failoverGroup": group},
        }))
        .unwrap()
    };
    let applications = [
        application("tax-prod", "counter", Some("tax")),
        application("tax-prod", "portal", None),
        application("water-prod", "portal", Some("hall")),
    ];
    let view =
        view().with_unit("tax", [&environment], &applications).with_unit("nobody", [&environment], &applications);
    let wanted = BTreeSet::from(["tax".to_owned(), crate::names::default_group("tax-prod", "portal")]);
    assert_eq!(view.units, BTreeMap::from([("tax".to_owned(), wanted)]));
}

#[test]
fn the_example_is_what_the_rules_say() {
    let example = example();
    let view = View::new(
        serde_json::from_value(example["datacentres"].clone()).unwrap(),
        serde_json::from_value(example["failovergroups"].clone()).unwrap(),
    );
    let wanted = Wanted { to: Some("dc-b".into()), ..these(&["tax", "hall"], Some(FailoverType::Switchover)) };
    let plan = plan(&view, &wanted).unwrap();
    assert!(plan.refuses() && plan.waves.len() == 2);
    // As it is written and read.
    let shown: Value = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(shown, example["plan"], "{shown:#}");
}

#[test]
fn every_error_names_its_field_and_is_said_in_both_languages() {
    for error in [
        PlanError::NoSites,
        PlanError::UnknownSite { field: "to", site: "dc-c".into(), known: vec!["dc-a".into(), "dc-b".into()] },
        PlanError::UnknownGroups { names: vec!["a".into(), "b".into()], more: 3 },
        PlanError::UnknownUnit("nobody".into()),
        PlanError::Nothing,
        PlanError::WhereTo { active: Vec::new() },
        PlanError::NoPreferred,
        PlanError::FailoverOnly { field: "despiteNotReady" },
    ] {
        let (english, chinese) = (error.sentence(Language::English), error.sentence(Language::Chinese));
        let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(!is_chinese(&english) && is_chinese(&chinese), "{english} {chinese}");
        assert!(!error.field().is_empty() && english == error.to_string());
    }
    let only = PlanError::FailoverOnly { field: "despiteNotReady" }.to_string();
    assert!(only.contains("--despite-not-ready") && only.contains("despiteNotReady"), "{only}");
}
