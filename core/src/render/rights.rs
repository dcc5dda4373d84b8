//! What people may do in a namespace. Built on no built-in role: `edit` and `admin` read Secrets, and an old cluster keeps
//! service-account tokens there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tandem_crds::{Environment, MemberRole, Unit};

use super::Manifest;

const ADMINISTRATOR: &str = "tandem-administrator";
const VIEWER: &str = "tandem-viewer";
const RBAC: &str = "rbac.authorization.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];

pub(super) fn roles(namespace: &str, labels: &BTreeMap<String, String>) -> Vec<Manifest> {
    let role = |name: &str, rules: Vec<Value>| {
        Manifest::new(&format!("{RBAC}/v1"), "Role", Some(namespace), name, labels, json!({ "rules": rules }))
    };
    let mut administrator = vec![
        rule(&["tandem.dev"], &["applications"], &["get", "list", "watch", "create", "update", "patch", "delete"]),
        rule(&[""], &["pods"], &["delete"]),
        // Not `patch`: the answer to a patch, even an empty one, is the whole Secret.
        rule(&[""], &["secrets"], &["create", "update", "delete"]),
    ];
    administrator.extend(looking());
    let mut viewer = vec![rule(&["tandem.dev"], &["applications"], &READ)];
    viewer.extend(looking());
    vec![role(ADMINISTRATOR, administrator), role(VIEWER, viewer)]
}

/// What everybody may see.
fn looking() -> [Value; 5] {
    [
        rule(&[""], &["configmaps", "endpoints", "events", "limitranges", "pods", "resourcequotas", "services"], &READ),
        rule(&[""], &["pods/log"], &["get"]),
        rule(&["apps"], &["deployments", "replicasets", "statefulsets"], &READ),
        rule(&["events.k8s.io"], &["events"], &READ),
        rule(&["networking.k8s.io"], &["ingresses", "networkpolicies"], &READ),
    ]
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": groups, "resources": resources, "verbs": verbs })
}

pub(super) fn bindings(
    namespace: &str,
    labels: &BTreeMap<String, String>,
    unit: &Unit,
    environment: &Environment,
) -> Vec<Manifest> {
    let members = |role: MemberRole| {
        environment.spec.members.iter().filter(move |member| member.role == role).map(|member| &member.group)
    };
    let administrators: BTreeSet<&String> =
        unit.spec.administrators.iter().chain(members(MemberRole::Administrator)).collect();
    let viewers: BTreeSet<&String> = unit.spec.viewers.iter().chain(members(MemberRole::Viewer)).collect();
    [(ADMINISTRATOR, administrators), (VIEWER, viewers)]
        .into_iter()
        .filter(|(_, groups)| !groups.is_empty())
        .map(|(role, groups)| {
            let subjects: Vec<Value> =
                groups.into_iter().map(|group| json!({ "apiGroup": RBAC, "kind": "Group", "name": group })).collect();
            let body = json!({
                "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": role },
                "subjects": subjects,
            });
            Manifest::new(&format!("{RBAC}/v1"), "RoleBinding", Some(namespace), role, labels, body)
        })
        .collect()
}
