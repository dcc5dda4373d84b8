//! Every rule that is enforced is in the document, and none that is not.

use std::collections::BTreeSet;

use tandem_crds::{Environment, SecurityProfile, SecurityProfileSpec, Unit};

use super::*;
use crate::policy::Area;
use crate::render;

fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                paths(value, &format!("{path}.{name}"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn every_field_of_a_profile_gives_a_rule() {
    let spec: SecurityProfileSpec = serde_json::from_value(profile()).unwrap();
    // Without `..`: a field that is new does not compile, and is to be set in the profile above.
    let SecurityProfileSpec {
        id: _,
        display_name: _,
        mlps_level: _,
        pod_security: _,
        egress: _,
        images: _,
        storage_classes: _,
        ingress_class: _,
        host_name_suffixes: _,
        required_labels: _,
        controls: _,
        security_decision: _,
        waivers: _,
    } = &spec;
    let mut fields = BTreeSet::new();
    paths(&json!(spec), "spec", &mut fields);
    // What names it, and what stands with the rules themselves.
    let no_rules = ["spec.id", "spec.displayName.zh", "spec.displayName.en", "spec.controls"];
    fields.retain(|field| !no_rules.contains(&field.as_str()));
    let rules = document(&objects()).rules;
    let of_profile = |rule: &&Rule| rule.source.name.as_deref() == Some("mlps-3");
    let given: BTreeSet<String> =
        rules.iter().filter(of_profile).filter_map(|rule| rule.source.field.clone()).collect();
    assert_eq!(given, fields, "every field of the profile sets one rule");
    // Each has a value of its own, not what it is where nothing is set.
    for rule in rules.iter().filter(of_profile).filter(|rule| rule.id != "protection.profile") {
        let elsewhere =
            rules.iter().find(|other| other.id == rule.id && other.source.name.as_deref() == Some("mlps-2"));
        assert_ne!(elsewhere.unwrap().value, rule.value, "{}", rule.id);
    }
}

fn typed<T: serde::de::DeserializeOwned>(name: &str, spec: &Value) -> T {
    serde_json::from_value(
        json!({"apiVersion": "tandem.dev/v1alpha1", "kind": "?", "metadata": {"name": name}, "spec": spec}),
    )
    .unwrap()
}

#[test]
fn the_document_says_what_is_rendered() {
    let (unit, environment): (Unit, Environment) =
        (typed("health", &unit()), typed("health-prod", &environment("health-prod")));
    let profile: SecurityProfile = typed("mlps-3", &profile());
    let rendered = render::environment(&environment, &unit, &profile).unwrap();
    let rules = document(&objects()).rules;
    let says = |id: &str| rule(&rules, id, Some("health-prod")).value.clone();

    let hard = &rendered.quota.value()["spec"]["hard"];
    let exposure = says("network.exposure");
    let mut expected = json!({
        "limits.cpu": says("quota.cpu"), "requests.cpu": says("quota.cpu"),
        "limits.memory": says("quota.memory"), "requests.memory": says("quota.memory"),
        "requests.storage": says("quota.storage"), "pods": says("quota.pods").to_string(),
    });
    expected.as_object_mut().unwrap().extend(exposure.as_object().unwrap().clone());
    assert_eq!(hard, &expected);

    let limits = &rendered.limits.value()["spec"]["limits"][0];
    let defaults = says("pods.defaults");
    assert_eq!((&limits["default"], &limits["defaultRequest"]), (&defaults["limits"], &defaults["requests"]));
    let account = &rendered.service_account;
    let token = says("pods.serviceAccountToken");
    assert_eq!(token["serviceAccount"], account.name());
    assert_eq!(token["automountServiceAccountToken"], account.value()["automountServiceAccountToken"]);

    let policies: Vec<&str> = rendered.policies.iter().map(render::Manifest::name).collect();
    assert_eq!(policies, ["tandem-default-deny", "tandem-allow-dns", "tandem-allow-egress"]);
    let egress: Vec<Value> = rendered.policies[2].value()["spec"]["egress"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            let ports = rule["ports"].as_array().into_iter().flatten().map(|port| port["port"].clone());
            json!({"cidr": rule["to"][0]["ipBlock"]["cidr"], "ports": ports.collect::<Vec<_>>()})
        })
        .collect();
    assert_eq!(says("network.egress"), json!(egress));

    // Who is bound to a role, by the unit and by the environment.
    let groups = |n: usize| -> BTreeSet<&str> {
        let subjects = rendered.bindings[n].value()["subjects"].as_array().unwrap();
        subjects.iter().map(|subject| subject["name"].as_str().unwrap()).collect()
    };
    let named = |ids: &[&str]| -> BTreeSet<String> {
        let all = ids.iter().flat_map(|id| rule(&rules, id, None).value.as_array().unwrap().clone());
        all.map(|group| group.as_str().unwrap().to_owned()).collect()
    };
    let administrators = named(&["access.administrators", "access.environmentAdministrators"]);
    assert_eq!(groups(0), administrators.iter().map(String::as_str).collect());
    let viewers = named(&["access.viewers"]);
    assert_eq!(groups(1), viewers.iter().map(String::as_str).collect());
    let secrets: Vec<&Value> = rendered
        .roles
        .iter()
        .flat_map(|role| role.value()["rules"].as_array().unwrap())
        .filter(|rule| rule["resources"] == json!(["secrets"]))
        .collect();
    assert_eq!(secrets.len(), 1);
    assert!(["get", "list", "watch", "patch"].iter().all(|verb| !secrets[0]["verbs"].to_string().contains(verb)));
}

#[test]
fn an_application_adds_what_it_declares_and_nothing_of_what_it_runs() {
    let rules = document(&objects()).rules;
    let of_application: Vec<&str> =
        rules.iter().filter(|rule| rule.places[0].application.is_some()).map(|rule| rule.id.as_str()).collect();
    let wanted = [
        "protection.application.hall",
        "network.access.hall.from.health-prod.intake",
        "network.access.hall.to.data-prod.exchange",
        "network.gateway.hall.public",
    ];
    assert_eq!(of_application, wanted);
    assert_eq!(rule(&rules, "network.gateway.hall.public", None).value["tlsSecret"], "hall-tls");
}

#[test]
fn what_nothing_enforces_is_said_to_be_so() {
    let rules = document(&objects()).rules;
    let loose: Vec<(&str, &str)> = rules
        .iter()
        .filter(|rule| !rule.enforced)
        .map(|rule| (rule.id.as_str(), rule.source.name.as_deref().unwrap()))
        .collect();
    assert_eq!(
        loose,
        [("storage.classes", "mlps-3"), ("lifetime.expiry", "health-prod"), ("lifetime.expiry", "health-test")]
    );
}

#[test]
fn a_rule_bears_the_controls_of_its_field_and_of_what_that_is_part_of() {
    let mut objects = objects();
    let profile = objects.get_mut(&key(Kind::SecurityProfile, "mlps-3")).unwrap();
    let controls = profile.now.as_mut().unwrap()["controls"].as_array_mut().unwrap();
    controls.push(json!({"rule": "image", "control": "9.9"}));
    let document = document(&objects);
    let controls = |id: &str| rule(&document.rules, id, Some("health-prod")).controls.clone();
    assert_eq!(controls("images.requireDigest"), ["8.1.4.5", "8.1.4.6"]);
    assert_eq!(controls("images.registries"), ["8.1.4.5"]);
    assert_eq!(controls("network.egress"), ["8.1.3.2"]);
    assert_eq!(controls("network.defaultDeny"), ["8.1.3.2"]);
    assert!(controls("network.dns").is_empty() && controls("quota.cpu").is_empty());
    assert!(rule(&document.rules, "images.registries", Some("health-test")).controls.is_empty());
    // A control of no rule is a slip, and is told once.
    assert_eq!(document.head.notes.len(), 1);
    assert!(document.head.notes[0].en.contains("image serves control 9.9"), "{:?}", document.head.notes);
}

#[test]
fn a_rule_that_is_the_same_in_several_places_stands_once() {
    let rules = document(&objects()).rules;
    let places =
        |id: &str| -> Vec<usize> { rules.iter().filter(|rule| rule.id == id).map(|rule| rule.places.len()).collect() };
    assert_eq!(places("network.dns"), [2]);
    assert_eq!(places("pods.podSecurity"), [1, 1]);
    let areas: Vec<Area> = rules.iter().map(|rule| rule.area).collect();
    assert!(areas.is_sorted(), "{areas:?}");
}

#[test]
fn of_one_environment_its_own_and_the_units_rules_are_told() {
    let one = Document::of(&objects(), head(Some("health-test"))).unwrap();
    assert!(one.rules.iter().all(|rule| rule.places.len() == 1));
    let places: BTreeSet<_> = one.rules.iter().map(|rule| rule.places[0].environment.as_deref()).collect();
    assert_eq!(places, BTreeSet::from([None, Some("health-test")]));
    assert!(one.rules.iter().any(|rule| rule.id == "lifetime.marked"));
}

#[test]
fn every_text_is_in_both_languages() {
    let mut strict = objects();
    let unit = strict.get_mut(&key(Kind::Unit, "health")).unwrap();
    unit.now.as_mut().unwrap()["suspended"] = json!(true);
    unit.now.as_mut().unwrap()["viewers"] = json!([]);
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    for rule in document(&strict).rules {
        for text in [rule.title, rule.sentence] {
            assert!(!chinese(&text.en) && chinese(&text.zh), "{}: {text:?}", rule.id);
            assert!(!text.en.is_empty());
        }
    }
    for area in Area::ALL {
        assert!(chinese(&area.title().zh) && !chinese(&area.title().en));
    }
}
