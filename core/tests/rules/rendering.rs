//! What is rendered, as snapshots: a change of a rendered object rolls workloads in both sites and is to be seen.

use serde_json::{Value, json};
use tandem_core::names;
use tandem_core::render::{self, Manifest, RenderError, Strength};
use tandem_crds::AdoptedKind;

use crate::fixtures::{baseline, environment, facts, hall, profile, unit, video};

/// Sorted by key, whichever map another crate makes serde_json use.
fn snapshot(name: &str, manifests: &[Manifest]) {
    let values: Vec<&Value> = manifests.iter().map(Manifest::value).collect();
    insta::with_settings!({ sort_maps => true, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_yaml_snapshot!(name, values);
    });
}

fn of_kind<'a>(manifests: &'a [Manifest], kind: &str) -> Vec<&'a Manifest> {
    manifests.iter().filter(|manifest| manifest.kind() == kind).collect()
}

#[test]
fn an_environment_is_rendered_in_full() {
    let rendered = render::environment(&environment(), &unit(), &profile()).unwrap();
    let manifests = rendered.into_manifests();
    assert_eq!(manifests[0].kind(), "Namespace");
    snapshot("environment", &manifests);
}

#[test]
fn an_active_application_is_rendered_in_full_for_1_20() {
    let rendered = render::application(&hall(), &environment(), &profile(), Strength::Active, &facts(20)).unwrap();
    assert_eq!(rendered.secrets, ["hall-database", "hall-payment", "hall-tls"]);
    snapshot("application_active_1_20", &rendered.into_manifests());
}

#[test]
fn a_standby_application_is_rendered_in_full_for_1_33() {
    let rendered = render::application(&hall(), &environment(), &baseline(), Strength::Standby, &facts(33)).unwrap();
    snapshot("application_standby_1_33", &rendered.into_manifests());
}

#[test]
fn adopted_workloads_are_only_scaled() {
    let rendered = render::application(&video(), &environment(), &profile(), Strength::Standby, &facts(20)).unwrap();
    let scales: Vec<_> =
        rendered.adopted.iter().map(|scale| (scale.kind, scale.name.as_str(), scale.replicas)).collect();
    assert_eq!(scales, [(AdoptedKind::Deployment, "vms", 3), (AdoptedKind::StatefulSet, "store", 2)]);
    assert!(rendered.deployments.is_empty() && rendered.budgets.is_empty());
    snapshot("application_adopted", &rendered.into_manifests());
}

#[test]
fn the_strength_changes_nothing_but_the_number_of_pods() {
    let at = |strength| render::application(&hall(), &environment(), &profile(), strength, &facts(20)).unwrap();
    let (active, standby) = (at(Strength::Active), at(Strength::Standby));
    for (active, standby) in active.deployments.iter().zip(&standby.deployments) {
        assert_eq!(active.value()["spec"]["template"], standby.value()["spec"]["template"]);
    }
    let replicas = |manifests: &[Manifest]| -> Vec<Value> {
        manifests.iter().map(|manifest| manifest.value()["spec"]["replicas"].clone()).collect()
    };
    assert_eq!(replicas(&active.deployments), [json!(4), json!(1)]);
    assert_eq!(replicas(&standby.deployments), [json!(2), json!(1)]);
    assert_eq!((active.services, active.policies), (standby.services, standby.policies));
}

#[test]
fn disruption_budgets_are_of_the_version_that_the_server_has() {
    for (minor, version) in [(20, "policy/v1beta1"), (21, "policy/v1"), (33, "policy/v1")] {
        let rendered =
            render::application(&hall(), &environment(), &profile(), Strength::Active, &facts(minor)).unwrap();
        let versions: Vec<&str> = rendered.budgets.iter().map(Manifest::api_version).collect();
        assert_eq!(versions, [version], "one component has two pods or more");
    }
}

#[test]
fn a_change_of_configuration_rolls_the_pods() {
    let template = |text: &str| {
        let mut application = hall();
        application.spec.components.as_mut().unwrap()[0].config.insert("hall.toml".to_owned(), text.to_owned());
        let rendered =
            render::application(&application, &environment(), &profile(), Strength::Active, &facts(20)).unwrap();
        rendered.deployments[0].value()["spec"]["template"].clone()
    };
    assert_ne!(template("a"), template("b"));
    assert_eq!(template("a"), template("a"));
}

#[test]
fn nobody_reads_secrets_or_runs_commands_in_pods() {
    let rendered = render::environment(&environment(), &unit(), &profile()).unwrap();
    for role in &rendered.roles {
        for rule in role.value()["rules"].as_array().unwrap() {
            let has = |field: &str, what: &str| rule[field].as_array().unwrap().contains(&json!(what));
            assert!(!has("verbs", "*") && !has("resources", "*") && !has("apiGroups", "*"), "{rule}");
            assert!(
                !["pods/exec", "pods/attach", "pods/portforward"].iter().any(|what| has("resources", what)),
                "{rule}"
            );
            if has("resources", "secrets") {
                // A patch answers with the whole Secret.
                for verb in ["get", "list", "watch", "patch"] {
                    assert!(!has("verbs", verb), "{} may {verb} secrets", role.name());
                }
            }
        }
    }
}

#[test]
fn nobody_is_bound_where_nobody_is_named() {
    let (mut unit, mut environment) = (unit(), environment());
    unit.spec.viewers.clear();
    environment.spec.members.clear();
    let rendered = render::environment(&environment, &unit, &profile()).unwrap();
    let bindings: Vec<&str> = rendered.bindings.iter().map(Manifest::name).collect();
    assert_eq!(bindings, ["tandem-administrator"]);
    assert_eq!(rendered.bindings[0].value()["subjects"].as_array().unwrap().len(), 1, "a group that is named twice");
}

#[test]
fn everything_bears_its_owner_and_no_owner_reference() {
    let environment = environment();
    let mut all = render::environment(&environment, &unit(), &profile()).unwrap().into_manifests();
    let own = all.len();
    for application in [hall(), video()] {
        let rendered = render::application(&application, &environment, &profile(), Strength::Active, &facts(20));
        all.extend(rendered.unwrap().into_manifests());
    }
    for (n, manifest) in all.iter().enumerate() {
        let metadata = &manifest.value()["metadata"];
        assert!(metadata.get("ownerReferences").is_none());
        assert_eq!(metadata["labels"][names::LABEL_MANAGED], "true");
        assert_eq!(metadata["annotations"][names::ANNOTATION_RENDERED], manifest.hash());
        let id = metadata["labels"][names::LABEL_ID].as_str().unwrap();
        assert_eq!(id == "id-of-data-prod", n < own, "{id}");
        assert_eq!(manifest.namespace(), (n > 0).then_some("data-prod"));
    }
    assert_eq!(of_kind(&all, "Namespace")[0].value()["metadata"]["labels"][names::LABEL_UNIT_ID], "id-of-data");
}

#[test]
fn what_is_not_published_is_not_rendered() {
    let mut application = hall();
    application.spec.id = None;
    let refused = render::application(&application, &environment(), &profile(), Strength::Active, &facts(20));
    assert!(matches!(refused, Err(RenderError::NoId { ref name, .. }) if name == "hall"), "{refused:?}");
    let mut environment = environment();
    environment.spec.id = Some(String::new());
    assert!(matches!(render::environment(&environment, &unit(), &profile()), Err(RenderError::NoId { .. })));
}

#[test]
fn what_does_not_belong_together_is_not_rendered() {
    let mut application = hall();
    application.metadata.namespace = Some("health-prod".to_owned());
    assert!(matches!(
        render::application(&application, &environment(), &profile(), Strength::Active, &facts(20)),
        Err(RenderError::WrongEnvironment { .. })
    ));
    let mut environment = environment();
    environment.spec.unit = "health".to_owned();
    assert!(matches!(render::environment(&environment, &unit(), &profile()), Err(RenderError::WrongUnit { .. })));
}

#[test]
fn an_amount_that_cannot_be_read_is_named() {
    let mut application = hall();
    application.spec.components.as_mut().unwrap()[1].resources.memory = "much".into();
    let error =
        render::application(&application, &environment(), &profile(), Strength::Active, &facts(20)).unwrap_err();
    assert_eq!(error.to_string(), "spec.components[1].resources.memory cannot be read as a quantity");
}

/// The clones of the fixtures' applications.
fn clones(addresses: &std::collections::BTreeMap<(String, String), String>) -> render::Clones {
    let (environment, profile) = (environment(), profile());
    let (hall, video) = (hall(), video());
    let rehearsed = [&hall, &video].map(|application| render::Rehearsed {
        application,
        environment: &environment,
        profile: &profile,
    });
    render::clones("0a1b2c", "hall", &rehearsed, addresses, &facts(20)).unwrap()
}

#[test]
fn clones_are_rendered_in_full() {
    let first = clones(&Default::default());
    let addresses = first.services.keys().cloned().zip((1..).map(|n| format!("10.0.0.{n}"))).collect();
    let whole = clones(&addresses);
    assert_eq!(whole.before, first.before, "what comes before the clones needs no addresses");
    let mut all = whole.before.clone();
    all.extend(whole.clones.iter().map(|clone| clone.deployment.clone()));
    snapshot("drill", &all);
    assert!(!whole.adopted.is_empty(), "adopted workloads are told, and not rehearsed");
    assert!(all.iter().all(|manifest| !["Ingress", "PodDisruptionBudget"].contains(&manifest.kind())));
}

#[test]
fn clones_and_production_know_nothing_of_each_other() {
    let (environment, profile) = (environment(), profile());
    let mut production = render::environment(&environment, &unit(), &profile).unwrap().into_manifests();
    for application in [hall(), video()] {
        let rendered = render::application(&application, &environment, &profile, Strength::Active, &facts(20));
        production.extend(rendered.unwrap().into_manifests());
    }
    let whole = clones(&Default::default());
    let mut drill = whole.before.clone();
    drill.extend(whole.clones.iter().map(|clone| clone.deployment.clone()));
    let name = |manifest: &Manifest| (manifest.kind().to_owned(), manifest.name().to_owned());
    let taken: std::collections::BTreeSet<_> = production.iter().map(name).collect();
    assert!(drill.iter().all(|manifest| !taken.contains(&name(manifest))), "no name is production's");
    let labels = |value: &Value| -> std::collections::BTreeMap<String, String> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    };
    let pods = |all: &[Manifest]| -> Vec<_> {
        of_kind(all, "Deployment")
            .iter()
            .map(|d| labels(&d.value()["spec"]["template"]["metadata"]["labels"]))
            .collect()
    };
    let selectors = |all: &[Manifest]| -> Vec<(String, Value)> {
        let select = |manifest: &Manifest| {
            let spec = &manifest.value()["spec"];
            let selector = match manifest.kind() {
                "Service" => spec["selector"].clone(),
                "Deployment" | "PodDisruptionBudget" => spec["selector"]["matchLabels"].clone(),
                "NetworkPolicy" => spec["podSelector"]["matchLabels"].clone(),
                _ => return None,
            };
            Some((format!("{} {}", manifest.kind(), manifest.name()), selector))
        };
        all.iter().filter_map(select).filter(|(_, selector)| !selector.is_null()).collect()
    };
    for (of, others) in [(&production, &drill), (&drill, &production)] {
        for (name, selector) in selectors(of) {
            for pods in pods(others) {
                assert!(!render::selects(&labels(&selector), &pods), "{name} selects {pods:?}");
            }
        }
    }
    for manifest in &drill {
        let labels = labels(&manifest.value()["metadata"]["labels"]);
        assert_eq!(labels[names::LABEL_DRILL], "0a1b2c");
        assert_ne!(labels[names::LABEL_ID], hall().spec.id.unwrap(), "it would be pruned as the application's");
    }
}

#[test]
fn a_clone_may_speak_to_clones_and_dns_alone() {
    let (environment, profile) = (environment(), profile());
    let policies = render::environment(&environment, &unit(), &profile).unwrap().policies;
    for policy in &policies {
        let spec = &policy.value()["spec"];
        let everybody = spec["podSelector"].as_object().is_some_and(serde_json::Map::is_empty);
        let denies = spec["egress"] == json!([]);
        let dns = spec["egress"][0]["ports"][0]["port"] == 53;
        assert!(!everybody || denies || dns, "{} is for a clone's pods as well", policy.name());
        assert_eq!(render::spares_clones(policy.value()), policy.name() == names::ALLOW_EGRESS);
    }
    let whole = clones(&Default::default());
    let policy = of_kind(&whole.before, "NetworkPolicy");
    assert_eq!(whole.before[0].kind(), "NetworkPolicy", "before there is a pod");
    let spec = &policy[0].value()["spec"];
    assert_eq!(spec["podSelector"]["matchLabels"], json!({names::LABEL_DRILL: "0a1b2c"}));
    assert_eq!(spec["ingress"][0]["from"][0]["podSelector"], spec["podSelector"]);
    assert_eq!(spec["egress"].as_array().unwrap().len(), 2);
}

#[test]
fn a_selector_of_an_agency_that_would_find_a_clone_is_told() {
    let (environment, profile, hall) = (environment(), profile(), hall());
    let mut video = video();
    let selector = [(names::LABEL_DRILL.to_owned(), "0a1b2c".to_owned())].into();
    video.spec.endpoints.as_mut().unwrap()[0].selector = selector;
    let rehearsed = [&hall, &video].map(|application| render::Rehearsed {
        application,
        environment: &environment,
        profile: &profile,
    });
    let rendered = render::clones("0a1b2c", "hall", &rehearsed, &Default::default(), &facts(20)).unwrap();
    assert_eq!(rendered.selected.len(), 1);
    assert!(clones(&Default::default()).selected.is_empty());
}
