//! The inventory of Bozhou: all of it becomes resources, and they keep to the rules.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use tandem_cli::import::known::Known;
use tandem_cli::import::{Options, Outcome, check, emit, read};
use tandem_crds::validation::broken_rules;

fn bozhou() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/bozhou/inventory.csv")).unwrap()
}

fn import(bytes: &[u8], known: &Known) -> Outcome {
    check(&read(bytes, None).unwrap(), known, Options::default())
}

#[test]
fn the_city_is_imported_whole() {
    let outcome = import(&bozhou(), &Known::default());
    assert_eq!(outcome.problems, []);
    let resources = &outcome.resources;
    assert_eq!(resources.units.len(), 54);
    assert_eq!(resources.applications.len(), 530);
    assert!((54..=66).contains(&resources.environments.len()));
    assert!(resources.active_pods() <= 900, "{} active pods", resources.active_pods());
    assert!(resources.standby_pods() <= 150, "{} standby pods", resources.standby_pods());
    assert_eq!(resources.security_profiles(), ["mlps-2", "mlps-3"]);
}

#[test]
fn every_resource_keeps_the_rules_of_its_kind() {
    let resources = import(&bozhou(), &Known::default()).resources;
    for unit in &resources.units {
        assert_eq!(broken_rules(unit, None), []);
    }
    for environment in &resources.environments {
        assert_eq!(broken_rules(environment, None), []);
    }
    for application in &resources.applications {
        assert_eq!(broken_rules(application, None), []);
    }
}

#[test]
fn quotas_add_up_to_less_than_budgets() {
    let resources = import(&bozhou(), &Known::default()).resources;
    for unit in &resources.units {
        let name = unit.metadata.name.as_deref().unwrap();
        let own = || resources.environments.iter().filter(|environment| environment.spec.unit == name);
        let cpu: i128 = own().map(|environment| environment.spec.quota.cpu.millis().unwrap()).sum();
        let memory: i128 = own().map(|environment| environment.spec.quota.memory.millis().unwrap()).sum();
        assert!(cpu <= unit.spec.budget.cpu.millis().unwrap(), "{name}");
        assert!(memory <= unit.spec.budget.memory.millis().unwrap(), "{name}");
        assert!(own().map(|environment| environment.spec.quota.pods).sum::<i64>() <= unit.spec.budget.pods, "{name}");
    }
}

#[test]
fn dependencies_lead_to_applications() {
    let resources = import(&bozhou(), &Known::default()).resources;
    let names: BTreeSet<(&str, &str)> = resources
        .applications
        .iter()
        .map(|app| (app.metadata.namespace.as_deref().unwrap(), app.metadata.name.as_deref().unwrap()))
        .collect();
    let mut needs = 0;
    for application in &resources.applications {
        let own = application.metadata.namespace.as_deref().unwrap();
        for needed in &application.spec.dependencies {
            needs += 1;
            assert!(names.contains(&(needed.environment.as_deref().unwrap_or(own), needed.application.as_str())));
        }
    }
    assert!(needs > 200, "{needs} dependencies");
}

#[test]
fn a_unit_comes_after_the_one_above_it() {
    let resources = import(&bozhou(), &Known::default()).resources;
    let mut seen = BTreeSet::new();
    for unit in &resources.units {
        assert!(unit.spec.parent.as_ref().is_none_or(|parent| seen.contains(parent)));
        seen.insert(unit.metadata.name.clone().unwrap());
    }
}

#[test]
fn importing_again_asks_for_the_same() {
    let first = import(&bozhou(), &Known::default()).resources;
    let known = Known::new(first.units.clone(), first.environments.clone(), first.applications.clone(), &[]);
    let known = Known { security_profiles: None, ..known };
    let second = import(&bozhou(), &known);
    assert_eq!(second.problems, []);
    assert_eq!(emit::yaml(&second.resources).unwrap(), emit::yaml(&first).unwrap());
}

#[test]
fn a_part_of_the_city_takes_no_room_from_the_rest() {
    let first = import(&bozhou(), &Known::default()).resources;
    let known = Known::new(first.units.clone(), first.environments.clone(), first.applications.clone(), &[]);
    let known = Known { security_profiles: None, ..known };
    let text = String::from_utf8(bozhou()).unwrap();
    let part: Vec<&str> = text.lines().take(12).collect();
    let part = import(part.join("\r\n").as_bytes(), &known);
    assert_eq!(part.problems, []);
    let quota = |environments: &[tandem_crds::Environment]| {
        environments.iter().find(|e| e.metadata.name.as_deref() == Some("data-prod")).unwrap().spec.quota.clone()
    };
    assert_eq!(quota(&part.resources.environments), quota(&first.environments));
}

#[test]
fn the_city_in_gb18030_is_the_same() {
    let text = String::from_utf8(bozhou()).unwrap();
    let (bytes, _, _) = encoding(&text);
    let here = import(&bytes, &Known::default());
    let there = import(&bozhou(), &Known::default());
    assert_eq!(emit::yaml(&here.resources).unwrap(), emit::yaml(&there.resources).unwrap());
}

fn encoding(text: &str) -> (Vec<u8>, &'static encoding_rs::Encoding, bool) {
    let (bytes, encoding, lossy) = encoding_rs::GB18030.encode(text.trim_start_matches('\u{feff}'));
    (bytes.into_owned(), encoding, lossy)
}
