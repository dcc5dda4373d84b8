use serde_json::json;

use super::*;

fn drifted(desired: &Value, observed: &Value) -> Vec<String> {
    let paths = differences(desired, observed);
    assert_eq!(paths.is_empty(), covers(desired, observed), "differences and covers disagree: {paths:?}");
    paths
}

#[test]
fn defaults_and_additions_are_no_drift() {
    let desired = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "hall-web", "labels": { "a": "b" } },
        "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "web", "image": "i:1" }] } } },
    });
    let observed = json!({
        "metadata": { "name": "hall-web", "uid": "1", "labels": { "a": "b", "c": "d" }, "annotations": { "x": "y" } },
        "spec": {
            "replicas": 2, "progressDeadlineSeconds": 600,
            "template": { "spec": { "containers": [
                { "name": "sidecar", "image": "s:1" },
                { "name": "web", "image": "i:1", "imagePullPolicy": "IfNotPresent" },
            ] } },
        },
        "status": { "replicas": 2 },
    });
    assert_eq!(drifted(&desired, &observed), Vec::<String>::new());
}

#[test]
fn what_was_changed_or_taken_out_is_drift() {
    let desired = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "hall-web", "labels": { "tandem.dev/id": "1" } },
        "spec": { "replicas": 2, "containers": [{ "name": "web", "image": "i:1" }, { "name": "api", "image": "a" }] },
    });
    let observed = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "hall-web" },
        "spec": { "replicas": 5, "containers": [{ "name": "web", "image": "i:2" }] },
    });
    assert_eq!(
        drifted(&desired, &observed),
        ["metadata.labels", "spec.containers[web].image", "spec.containers[api]", "spec.replicas"]
    );
}

#[test]
fn at_most_eight_differences_are_told() {
    let desired: Map<String, Value> = (0..20).map(|n| (format!("k{n:02}"), json!(n))).collect();
    assert_eq!(differences(&Value::Object(desired.clone()), &json!({})).len(), 8);
    assert!(!covers(&Value::Object(desired), &json!({})));
}

#[test]
fn empty_and_absent_are_one() {
    for empty in [json!(null), json!([]), json!({})] {
        assert_eq!(drifted(&json!({ "a": empty }), &json!({})), Vec::<String>::new());
        assert_eq!(drifted(&json!({ "a": empty }), &json!({ "a": null })), Vec::<String>::new());
        assert_eq!(drifted(&json!({ "a": empty }), &json!({ "a": { "b": 1 } })), Vec::<String>::new());
    }
    // The value of an environment variable that is empty is left out by the server.
    let desired = json!({ "env": [{ "name": "A", "value": "" }] });
    assert_eq!(drifted(&desired, &json!({ "env": [{ "name": "A" }] })), Vec::<String>::new());
    assert_eq!(drifted(&desired, &json!({ "env": [{ "name": "A", "value": "x" }] })), ["env[A].value"]);
}

#[test]
fn false_and_zero_are_asked_for() {
    assert_eq!(drifted(&json!({ "a": false, "b": 0 }), &json!({})), ["a", "b"]);
}

#[test]
fn quantities_are_compared_as_amounts_where_they_stand() {
    let desired = json!({ "spec": { "hard": { "limits.cpu": "2", "requests.memory": "1Gi" } }, "image": "2" });
    let observed =
        json!({ "spec": { "hard": { "limits.cpu": "2000m", "requests.memory": "1024Mi" } }, "image": "2000m" });
    assert_eq!(drifted(&desired, &observed), ["image"]);
    let less = json!({ "spec": { "hard": { "limits.cpu": "1", "requests.memory": "1Gi" } }, "image": "2" });
    assert_eq!(drifted(&desired, &less), ["spec.hard[limits.cpu]"]);
}

#[test]
fn a_selector_may_not_get_narrower() {
    let desired = json!({ "kind": "Service", "metadata": {}, "spec": { "selector": { "a": "b" } } });
    let observed = json!({ "kind": "Service", "spec": { "selector": { "a": "b", "c": "d" } } });
    assert_eq!(drifted(&desired, &observed), ["spec.selector.c"]);
}

#[test]
fn a_network_policy_may_not_get_wider_nor_select_less() {
    let deny = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "tandem-default-deny", "labels": {} },
        "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [] },
    });
    let mut observed = deny.clone();
    observed["spec"] = json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] });
    observed["metadata"]["labels"] = json!({ "team": "x" });
    assert_eq!(drifted(&deny, &observed), Vec::<String>::new());
    observed["spec"]["ingress"] = json!([{}]);
    assert_eq!(drifted(&deny, &observed), ["spec.ingress"]);
    observed["spec"]["ingress"] = json!([]);
    observed["spec"]["podSelector"] = json!({ "matchLabels": { "a": "b" } });
    assert_eq!(drifted(&deny, &observed), ["spec.podSelector.matchLabels"]);
}

#[test]
fn a_role_may_get_no_rule_and_no_subject_more() {
    let role = json!({ "kind": "Role", "metadata": { "name": "r" }, "rules": [{ "verbs": ["get"] }] });
    let more =
        json!({ "kind": "Role", "metadata": { "name": "r" }, "rules": [{ "verbs": ["get"] }, { "verbs": ["*"] }] });
    let wider = json!({ "kind": "Role", "metadata": { "name": "r" }, "rules": [{ "verbs": ["get", "list"] }] });
    assert_eq!(drifted(&role, &more), ["rules"]);
    assert_eq!(drifted(&role, &wider), ["rules[0].verbs"]);
    let binding = json!({ "kind": "RoleBinding", "metadata": { "name": "b" }, "subjects": [{ "name": "g" }] });
    let with =
        json!({ "kind": "RoleBinding", "metadata": { "name": "b" }, "subjects": [{ "name": "g" }, { "name": "h" }] });
    assert_eq!(drifted(&binding, &with), ["subjects"]);
}

#[test]
fn rules_of_an_ingress_are_one_list() {
    let desired = json!({ "rules": [{ "host": "a.example", "http": { "paths": [{ "path": "/" }] } }] });
    let more = json!({ "rules": [
        { "host": "a.example", "http": { "paths": [{ "path": "/", "pathType": "Prefix" }] } },
        { "host": "b.example" },
    ] });
    assert_eq!(drifted(&desired, &more), ["rules"]);
    let same =
        json!({ "rules": [{ "host": "a.example", "http": { "paths": [{ "path": "/", "pathType": "Prefix" }] } }] });
    assert_eq!(drifted(&desired, &same), Vec::<String>::new());
}

#[test]
fn items_with_the_same_key_are_compared_in_order() {
    let ports = json!({ "ports": [{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }] });
    assert_eq!(drifted(&ports, &ports), Vec::<String>::new());
    let swapped = json!({ "ports": [{ "port": 53, "protocol": "TCP" }, { "port": 53, "protocol": "UDP" }] });
    assert_eq!(drifted(&ports, &swapped), ["ports[0].protocol", "ports[1].protocol"]);
}
