//! Every operation of the OpenAPI document stands in a table with what each role is answered, and every one that writes in
//! another with the entry that it leaves in the audit chain; one that does not fails here.

use super::*;
use crate::routes::{failovers, findings};
use tandem_core::requests::content_digest;

/// What is answered: to nobody, agency administrator, agency viewer, platform operator, security administrator, auditor.
/// Agencies' people are of the unit `health`; the path's names are filled in with things of the unit `water`.
const AUTHORISATION: [(&str, &str, [u16; 6]); 45] = [
    ("get", "/healthz", [200; 6]),
    ("get", "/readyz", [200; 6]),
    ("get", "/metrics", [200; 6]),
    ("get", "/v1/me", [401, 200, 200, 200, 200, 200]),
    ("get", "/v1/units", [401, 200, 200, 200, 200, 200]),
    ("get", "/v1/units/{name}", [401, 404, 404, 200, 200, 200]),
    ("put", "/v1/units/{name}", [401, 404, 404, 202, 403, 403]),
    ("get", "/v1/environments", [401, 200, 200, 200, 200, 200]),
    ("get", "/v1/environments/{name}", [401, 404, 404, 200, 200, 200]),
    ("get", "/v1/requests", [401, 200, 200, 200, 200, 200]),
    ("post", "/v1/requests", [401, 201, 403, 403, 403, 403]),
    ("get", "/v1/requests/{name}", [401, 404, 404, 200, 200, 200]),
    ("get", "/v1/requests/{name}/events", [401, 404, 404, 200, 200, 200]),
    ("post", "/v1/requests/{name}/withdraw", [401, 404, 404, 403, 403, 403]),
    ("post", "/v1/requests/{name}/undo", [401, 404, 404, 409, 403, 403]),
    // The platform operator's is the one decision that it needs.
    ("post", "/v1/requests/{name}/decisions", [401, 404, 404, 202, 409, 403]),
    ("get", "/v1/applications", [401, 200, 200, 200, 200, 200]),
    ("get", "/v1/applications/{environment}/{name}", [401, 404, 404, 200, 200, 200]),
    ("put", "/v1/applications/{environment}/{name}", [401, 404, 404, 403, 403, 403]),
    ("delete", "/v1/applications/{environment}/{name}", [401, 404, 404, 403, 403, 403]),
    ("get", "/v1/data-centres", [401, 403, 403, 200, 200, 200]),
    ("get", "/v1/data-centres/{name}", [401, 404, 404, 200, 200, 200]),
    ("put", "/v1/data-centres/{name}", [401, 404, 404, 202, 403, 403]),
    ("get", "/v1/failover-groups", [401, 200, 200, 200, 200, 200]),
    ("get", "/v1/failover-groups/{name}", [401, 404, 404, 200, 200, 200]),
    ("put", "/v1/failover-groups/{name}", [401, 404, 404, 202, 403, 403]),
    ("get", "/v1/failovers", [401, 200, 200, 200, 200, 200]),
    ("post", "/v1/failovers", [401, 403, 403, 201, 403, 403]),
    ("post", "/v1/failovers/plan", [401, 403, 403, 200, 200, 200]),
    ("get", "/v1/failovers/{name}", [401, 404, 404, 200, 200, 200]),
    ("get", "/v1/failovers/{name}/events", [401, 404, 404, 200, 200, 200]),
    ("get", "/v1/failovers/{name}/report", [401, 404, 404, 409, 409, 409]),
    ("post", "/v1/failovers/{name}/approvals", [401, 404, 404, 202, 403, 403]),
    ("post", "/v1/failovers/{name}/pause", [401, 404, 404, 202, 403, 403]),
    ("post", "/v1/failovers/{name}/resume", [401, 404, 404, 202, 403, 403]),
    ("post", "/v1/failovers/{name}/abort", [401, 404, 404, 202, 403, 403]),
    ("get", "/v1/audit", [401, 403, 403, 403, 403, 200]),
    ("get", "/v1/audit/file", [401, 403, 403, 403, 403, 200]),
    ("get", "/v1/audit/segments", [401, 403, 403, 403, 403, 200]),
    ("get", "/v1/audit/proof", [401, 403, 403, 403, 403, 200]),
    ("get", "/v1/security/findings", [401, 200, 200, 403, 200, 200]),
    ("get", "/v1/security/profiles", [401, 200, 200, 200, 200, 200]),
    ("get", "/v1/security/profiles/{name}", [401, 404, 404, 200, 200, 200]),
    ("put", "/v1/security/profiles/{name}", [401, 404, 404, 403, 202, 403]),
    ("get", "/v1/security/policies", [401, 404, 404, 403, 200, 200]),
];

/// A path with names in it.
fn filled(path: &str) -> String {
    let name = match path {
        "/v1/units/{name}" => "water",
        "/v1/environments/{name}" => "water-prod",
        "/v1/applications/{environment}/{name}" => "portal",
        path if path.starts_with("/v1/requests/{name}") => "water-longer",
        "/v1/data-centres/{name}" => "dc-a",
        "/v1/failover-groups/{name}" => "water-group",
        path if path.starts_with("/v1/failovers/{name}") => "water-move",
        "/v1/security/profiles/{name}" => "level-3",
        _ => "",
    };
    let path = match path {
        "/v1/audit/proof" => "/v1/audit/proof?seq=1",
        "/v1/security/policies" => "/v1/security/policies?unit=water",
        path => path,
    };
    path.replace("{environment}", "water-prod").replace("{name}", name)
}

/// A body that holds, for what writes.
fn body(path: &str, site: &Site) -> Value {
    let outcome = || {
        let requests = &site.now().requests;
        let asked = requests.iter().find(|request| request.metadata.name.as_deref() == Some("water-longer"));
        serde_json::json!({"outcome": "Approve", "digest": content_digest(&asked.unwrap().spec)})
    };
    match path {
        "/v1/requests" => writes::wanted("health-new"),
        "/v1/requests/{name}/decisions" => outcome(),
        "/v1/units/{name}" => writes::changed(&**site.now().units.last().unwrap()),
        "/v1/applications/{environment}/{name}" => writes::changed(&**site.now().applications.last().unwrap()),
        "/v1/data-centres/{name}" => writes::changed(&**site.now().data_centres.last().unwrap()),
        "/v1/failover-groups/{name}" => writes::changed(&**site.now().failover_groups.last().unwrap()),
        "/v1/security/profiles/{name}" => writes::changed(&**site.now().security_profiles.last().unwrap()),
        "/v1/failovers" => {
            serde_json::json!({"type": "Switchover", "selector": {"groups": ["water-group"]}, "to": "dc-a",
                                              "reason": "storage work"})
        }
        "/v1/failovers/plan" => serde_json::json!({"selector": {"groups": ["water-group"]}, "to": "dc-a"}),
        path if path.ends_with("/pause") || path.ends_with("/resume") || path.ends_with("/abort") => {
            serde_json::json!({})
        }
        _ => serde_json::json!({"note": "no more"}),
    }
}

fn operations() -> BTreeSet<(String, String)> {
    let document = crate::openapi::document();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())))
        .collect()
}

#[test]
fn every_operation_has_its_line_in_the_table() {
    let lines: BTreeSet<(String, String)> =
        AUTHORISATION.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    let operations = operations();
    let lacking: Vec<_> = operations.difference(&lines).collect();
    assert!(lacking.is_empty(), "give these operations a line in AUTHORISATION: {lacking:?}");
    let gone: Vec<_> = lines.difference(&operations).collect();
    assert!(gone.is_empty(), "these lines of AUTHORISATION have no operation: {gone:?}");
}

#[tokio::test]
async fn every_operation_answers_each_role_as_the_table_says() {
    let api = Api::over(city());
    api.site.publish_bound();
    api.state.coordination.audit_begin(audit::entry(0)).await.unwrap();
    for (method, path, wanted) in AUTHORISATION {
        let method: Method = method.to_uppercase().parse().unwrap();
        let bare = [Method::GET, Method::DELETE].contains(&method);
        let body = (!bare).then(|| body(path, &api.site).to_string());
        let path = filled(path);
        let mut answered = vec![api.anonymous(method.clone(), &path).await.0];
        for role in Role::ALL {
            let unit = (!role.is_office()).then_some("health");
            let token = api.token_of(role.as_str(), unit, &[role]);
            let request = Request::builder().method(method.clone()).uri(&path);
            let request = request.header("authorization", format!("Bearer {token}"));
            let request = request.header("idempotency-key", path.as_str()).header("content-type", "application/json");
            let request = request.body(body.clone().map_or_else(Body::empty, Body::from)).unwrap();
            // Only the status: a stream of events has no end.
            answered.push(api.router.clone().oneshot(request).await.unwrap().status().as_u16());
        }
        assert_eq!(answered, wanted, "{method} {path}");
    }
}

/// What every operation that writes leaves in the audit chain. The tests of [`writes`] and
/// [`failovers`](super::failovers) have it done, and look.
pub(super) const AUDITED: [(&str, &str, &str); 15] = [
    ("post", "/v1/requests", "requests.create"),
    ("post", "/v1/requests/{name}/decisions", "requests.approve"),
    ("post", "/v1/requests/{name}/withdraw", "requests.withdraw"),
    ("post", "/v1/requests/{name}/undo", "requests.undo"),
    ("put", "/v1/units/{name}", "units.update"),
    ("put", "/v1/applications/{environment}/{name}", "applications.create"),
    ("delete", "/v1/applications/{environment}/{name}", "applications.delete"),
    ("put", "/v1/data-centres/{name}", "data-centres.update"),
    ("put", "/v1/failover-groups/{name}", "failover-groups.update"),
    ("put", "/v1/security/profiles/{name}", "security-profiles.create"),
    ("post", "/v1/failovers", "failovers.create"),
    ("post", "/v1/failovers/{name}/approvals", "failovers.approve"),
    ("post", "/v1/failovers/{name}/abort", "failovers.abort"),
    ("post", "/v1/failovers/{name}/pause", "failovers.pause"),
    ("post", "/v1/failovers/{name}/resume", "failovers.resume"),
];

#[test]
fn every_operation_that_writes_has_its_line_in_the_table_of_audit_entries() {
    let lines: BTreeSet<(&str, &str)> = AUDITED.iter().map(|(method, path, _)| (*method, *path)).collect();
    let document = crate::openapi::document();
    let operations = operations();
    // What changes nothing takes no key.
    let writes = |method: &str, path: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array();
        parameters.into_iter().flatten().any(|one| one["name"] == "Idempotency-Key")
    };
    let writing = operations.iter().filter(|(method, path)| writes(method, path));
    let writing: BTreeSet<(&str, &str)> = writing.map(|(method, path)| (method.as_str(), path.as_str())).collect();
    let silent = operations.iter().filter(|(method, path)| method != "get" && !writes(method, path));
    assert_eq!(silent.count(), crate::openapi::QUESTIONS.len(), "what is no read and no question takes a key");
    assert_eq!(lines, writing, "give these operations a line in AUDITED, and a test that has it done");
}

#[test]
fn what_a_list_takes_is_what_its_document_says() {
    let mut filters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    macro_rules! add {
        ($($path:literal => $module:ident),* $(,)?) => {$(
            filters.insert($path, $module::FILTERS.iter().map(|filter| filter.name).collect());
        )*};
    }
    add! {
        "/v1/units" => units,
        "/v1/environments" => environments,
        "/v1/requests" => requests,
        "/v1/applications" => applications,
        "/v1/data-centres" => data_centres,
        "/v1/failover-groups" => failover_groups,
        "/v1/failovers" => failovers,
        "/v1/security/findings" => findings,
        "/v1/security/profiles" => security_profiles,
    }
    let document = crate::openapi::document();
    let mut lists = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let operation = &item["get"];
        if !operation["operationId"].as_str().is_some_and(|id| id.starts_with("list")) {
            continue;
        }
        let documented: Vec<&str> =
            operation["parameters"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        let taken: Vec<&str> =
            ["limit", "continue"].into_iter().chain(filters[path.as_str()].iter().copied()).collect();
        assert_eq!(documented, taken, "{path}");
        lists += 1;
    }
    assert_eq!(lists, filters.len());
}
