//! What holds of everything that is rendered.

use proptest::prelude::*;
use serde_json::{Value, json};
use tandem_core::drift::{covers, differences};
use tandem_core::names;
use tandem_core::render::{self, Manifest, Strength};
use tandem_crds::{Application, Component, Endpoint, Replicas, StandbyClass};

use crate::fixtures::{baseline, environment, facts, hall, profile, unit, video};

fn label(most: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[a-z][-a-z0-9]{{0,{}}}[a-z0-9]", most - 2)).unwrap()
}

prop_compose! {
    fn a_component()(
        name in label(20),
        active in 0..50_i32,
        standby in proptest::option::of(0..60_i32),
        cpu in 1..64_000_i64,
        memory in 1..1_000_000_i64,
        config in proptest::collection::btree_map("[a-z.]{1,8}", ".{0,12}", 0..3),
        values in proptest::collection::vec("[ -~]{0,6}", 0..4),
    ) -> Component {
        let mut component = hall().spec.components.unwrap().remove(0);
        component.name = name;
        component.replicas = Replicas { active, standby };
        component.resources.cpu = format!("{cpu}m").as_str().into();
        component.resources.memory = format!("{memory}Ki").as_str().into();
        component.config = config;
        component.env = values
            .into_iter()
            .enumerate()
            .map(|(n, value)| tandem_crds::EnvVar { name: format!("V{n}"), value })
            .collect();
        component
    }
}

prop_compose! {
    fn an_application()(
        name in label(40),
        components in proptest::collection::vec(a_component(), 1..4),
        endpoint_names in proptest::collection::vec(label(20), 0..4),
        hosts in proptest::collection::vec("[a-z]{1,9}\\.example", 0..4),
        class in prop_oneof![Just(StandbyClass::Cold), Just(StandbyClass::Warm), Just(StandbyClass::Hot)],
    ) -> Application {
        let mut application = hall();
        application.metadata.name = Some(name);
        application.spec.standby_class = class;
        application.spec.endpoints = Some(endpoint_names.into_iter().map(|name| Endpoint {
            name,
            component: Some(components[0].name.clone()),
            selector: [].into(),
            port: 8080,
            hosts: hosts.clone(),
            path: "/".to_owned(),
            tls_secret: None,
        }).collect());
        application.spec.components = Some(components);
        application
    }
}

fn rendered(application: &Application, strength: Strength) -> Vec<Manifest> {
    render::application(application, &environment(), &profile(), strength, &facts(20)).unwrap().into_manifests()
}

/// Every manifest that the fixtures give.
fn everything() -> Vec<Manifest> {
    let mut all = render::environment(&environment(), &unit(), &profile()).unwrap().into_manifests();
    for strength in [Strength::Active, Strength::Standby] {
        all.extend(rendered(&hall(), strength));
        all.extend(rendered(&video(), strength));
        let other = render::application(&hall(), &environment(), &baseline(), strength, &facts(33)).unwrap();
        all.extend(other.into_manifests());
    }
    all
}

/// Pointers to every scalar below a value.
fn scalars(value: &Value, at: &str, found: &mut Vec<String>) {
    let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, v)| scalars(v, &format!("{at}/{}", escape(key)), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, v)| scalars(v, &format!("{at}/{n}"), found)),
        _ => found.push(at.to_owned()),
    }
}

fn changed(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_i64().unwrap() + 1),
        Value::Bool(yes) => json!(!yes),
        other => panic!("{other} is rendered"),
    }
}

/// What a server does to an object: it fills in fields and leaves empty ones out.
fn as_a_server_would(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(as_a_server_would);
            fields.retain(|_, v| !(v.is_null() || *v == json!("") || *v == json!([]) || *v == json!({})));
        }
        Value::Array(items) => items.iter_mut().for_each(as_a_server_would),
        _ => {}
    }
}

#[test]
fn no_rendered_scalar_can_be_changed_or_taken_out_unseen() {
    for manifest in everything() {
        let desired = manifest.value();
        let mut pointers = Vec::new();
        scalars(desired, "", &mut pointers);
        for pointer in pointers {
            let mut observed = desired.clone();
            let slot = observed.pointer_mut(&pointer).unwrap();
            let was = slot.clone();
            *slot = changed(&was);
            assert!(!covers(desired, &observed), "{} {}: {pointer} changed", manifest.kind(), manifest.name());
            assert!(!differences(desired, &observed).is_empty());
            *observed.pointer_mut(&pointer).unwrap() = Value::Null;
            // Items of lists hold `kind` at top level; a list of objects has neither apiVersion nor kind.
            let may_be_absent = ["/apiVersion", "/kind"].contains(&pointer.as_str()) || was == json!("");
            assert_eq!(covers(desired, &observed), may_be_absent, "{} {pointer} taken out", manifest.name());
        }
    }
}

#[test]
fn what_a_server_gives_back_is_covered() {
    for manifest in everything() {
        let mut observed = manifest.value().clone();
        as_a_server_would(&mut observed);
        observed["metadata"]["resourceVersion"] = json!("7");
        observed["metadata"]["managedFields"] = json!([{ "manager": "tandem/environment" }]);
        observed["status"] = json!({ "observedGeneration": 1 });
        assert_eq!(differences(manifest.value(), &observed), Vec::<String>::new(), "{}", manifest.kind());
    }
}

/// Any JSON, as deep as objects are.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z0-9]{0,4}".prop_map(Value::from),
    ];
    let keys = prop_oneof![
        "[a-z]{1,3}",
        proptest::sample::select(vec!["name", "port", "kind", "metadata", "hard", "selector", "rules", "labels"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 48, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(keys.clone(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rendering_is_deterministic_and_covers_itself(application in an_application()) {
        for strength in [Strength::Active, Strength::Standby] {
            let first = rendered(&application, strength);
            prop_assert_eq!(&first, &rendered(&application.clone(), strength));
            for manifest in &first {
                prop_assert!(covers(manifest.value(), manifest.value()));
                prop_assert!(manifest.name().len() <= 63, "{}", manifest.name());
            }
        }
    }

    #[test]
    fn what_changes_the_object_changes_its_hash(one in an_application(), other in an_application()) {
        for (one, other) in rendered(&one, Strength::Active).iter().zip(rendered(&other, Strength::Active)) {
            let without = |manifest: &Manifest| {
                let mut value = manifest.value().clone();
                value["metadata"]["annotations"] = Value::Null;
                value
            };
            prop_assert_eq!(without(one) == without(&other), one.hash() == other.hash());
        }
    }

    #[test]
    fn everything_covers_itself(value in json()) {
        prop_assert!(covers(&value, &value));
        prop_assert!(differences(&value, &value).is_empty());
    }

    #[test]
    fn differences_are_told_exactly_where_something_is_not_covered(desired in json(), observed in json()) {
        let told = differences(&desired, &observed);
        prop_assert_eq!(told.is_empty(), covers(&desired, &observed));
        prop_assert!(told.len() <= 8);
    }

    #[test]
    fn names_fit_and_stay_apart(
        namespace in label(63), other in label(63), application in label(63), component in label(63),
    ) {
        let group = names::default_group(&namespace, &application);
        for name in [
            &group,
            &names::workload(&application, &component),
            &names::service(&application, &component),
            &names::application_policy(&application),
            &names::adopted_policy(&application, &component),
        ] {
            prop_assert!(names::is_dns_label(name), "{}", name);
        }
        prop_assert_eq!(namespace == other, group == names::default_group(&other, &application));
    }
}
