//! The OpenAPI 3.1 document: paths from the handlers, schemas from the types (JSON Schema 2020-12, which is what 3.1 speaks).
//!
//! `docs/openapi.json` is its golden file; a test compares the two and says how to write it anew.

use crate::problem::ProblemBody;
use crate::routes;
use crate::views::{
    ApplicationItem, ApplicationList, DataCentreItem, DataCentreList, EnvironmentItem, EnvironmentList,
    EnvironmentRequestItem, EnvironmentRequestList, FailoverGroupItem, FailoverGroupList, FailoverItem, FailoverList,
    SecurityProfileItem, SecurityProfileList, UnitItem, UnitList,
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The problems that any operation may answer, by status, with a description.
const COMMON: [(&str, &str); 5] = [
    ("401", "Not signed in, or what was shown does not hold."),
    ("403", "The roles do not allow it."),
    ("429", "Too many requests of this address, person or unit; see `Retry-After`."),
    ("503", "Overloaded, or something was not there yet; see `Retry-After`."),
    ("504", "It took too long; see `Retry-After`."),
];

/// The problems that any operation that writes may answer besides.
const WRITING: [(&str, &str); 6] = [
    ("400", "A field is wrong; `errors` names it."),
    ("409", "Not as things stand; `reason` says why in one word. Or a request with this key is being worked on."),
    ("413", "The body is too long."),
    ("415", "The body is not said to be JSON."),
    ("421", "Another site has authority; `address` is that of its API."),
    ("422", "The key was used for another request."),
];

/// Operations that change nothing although they are sent a body: they need no key.
pub(crate) const QUESTIONS: [&str; 1] = ["planFailover"];

/// The document.
#[must_use]
pub fn document() -> Value {
    let paths = routes::open().merge(routes::signed_in()).into_openapi();
    let mut document = serde_json::to_value(paths).unwrap_or_default();
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "Tandem",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "The agencies' API of one site. Errors are application/problem+json (RFC 9457).",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    });
    document["components"] = json!({
        "schemas": schemas(),
        "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                      "description": "A token of the configured OpenID Connect issuer's."},
            "certificate": {"type": "mutualTLS",
                            "description": "A client certificate: CN=<name>, O=tandem:unit:<unit>, O=tandem:role:<role>."},
        },
    });
    document["security"] = json!([{"token": []}, {"certificate": []}]);
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (method, operation) in paths.values_mut().filter_map(Value::as_object_mut).flatten() {
            complete(method, operation);
        }
    }
    sorted(document)
}

/// Adds what all operations of a kind have in common.
fn complete(method: &str, operation: &mut Value) {
    let open = operation.get("security").is_some();
    let list = operation["operationId"].as_str().is_some_and(|id| id.starts_with("list"));
    if list {
        let text = json!({"type": "string"});
        let number = json!({"type": "integer", "minimum": 1, "maximum": routes::page::MOST, "default": 100});
        let parameter = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema});
        let mut parameters = vec![
            parameter("limit", "How many objects a page has at most.", number),
            parameter("continue", "What the page before gave as `continue`.", text),
        ];
        parameters.extend(operation["parameters"].as_array().cloned().unwrap_or_default());
        operation["parameters"] = Value::Array(parameters);
    }
    let question = operation["operationId"].as_str().is_some_and(|id| QUESTIONS.contains(&id));
    let writes = method != "get" && !question;
    // Failovers work at either site.
    let anywhere = operation["tags"][0] == "failovers";
    if writes {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"});
        let key = json!({"name": "Idempotency-Key", "in": "header", "required": true, "schema": schema, "description":
            "New for each request, such as a random UUID. The same request under the same key is done once."});
        let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        parameters.push(key);
        operation["parameters"] = Value::Array(parameters);
    }
    let queried = operation["parameters"].as_array().into_iter().flatten().any(|one| one["in"] == "query");
    let named = operation["parameters"].as_array().into_iter().flatten().any(|one| one["in"] == "path");
    let operation_id = operation["operationId"].as_str().map(str::to_owned);
    let operation_id = operation_id.as_deref();
    let numbered = matches!(operation_id, Some("proveAudit" | "exportAudit" | "readPolicies"));
    let responses = &mut operation["responses"];
    let problem = |description: &str| {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        json!({"description": description, "content": {crate::problem::MEDIA_TYPE: {"schema": schema}}})
    };
    if open {
        return;
    }
    for (status, description) in COMMON {
        responses[status] = problem(description);
    }
    let of_writes = |status: &str| matches!(status, "409" | "421" | "422");
    for (status, description) in WRITING {
        let due = writes || (question && !of_writes(status));
        if due && !(status == "421" && anywhere) {
            responses[status] = problem(description);
        }
    }
    if list || queried {
        responses["400"] = problem("A parameter is wrong; `errors` names it.");
    }
    if operation_id == Some("readPolicies") {
        responses["406"] = problem("It is in none of the forms that `Accept` names.");
        responses["409"] = problem("It is not published, so that nothing of it is in force.");
    }
    if operation_id == Some("reportFailover") {
        responses["406"] = problem("It is in none of the forms that `Accept` names.");
        responses["409"] = problem("There is no report: it has not ended, or was refused.");
    }
    if named || writes || numbered {
        responses["404"] = problem("There is nothing of that name, or it is not yours.");
    }
}

/// Every schema, by name.
fn schemas() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    macro_rules! add {
        ($($type:ty),* $(,)?) => {$(
            let _ = generator.subschema_for::<$type>();
        )*};
    }
    add!(
        UnitItem,
        UnitList,
        EnvironmentItem,
        EnvironmentList,
        EnvironmentRequestItem,
        EnvironmentRequestList,
        ApplicationItem,
        ApplicationList,
        DataCentreItem,
        DataCentreList,
        FailoverGroupItem,
        FailoverGroupList,
        FailoverItem,
        FailoverList,
        SecurityProfileItem,
        SecurityProfileList,
        ProblemBody,
        crate::identity::Principal,
        routes::units::UnitChange,
        routes::applications::ApplicationChange,
        routes::data_centres::DataCentreChange,
        routes::failover_groups::FailoverGroupChange,
        routes::security_profiles::SecurityProfileChange,
        routes::findings::FindingList,
        routes::policies::Policies,
        routes::audit::AuditPage,
        routes::audit::AuditSegments,
        routes::audit::AuditProof,
        routes::requests::create::NewRequest,
        routes::requests::change::NewDecision,
        routes::requests::change::NewWord,
        routes::failovers::plan::NewPlan,
        routes::failovers::plan::PlanItem,
        routes::failovers::report::ReportItem,
        routes::failovers::create::NewFailover,
        routes::failovers::change::NewWish,
    );
    generator.take_definitions(true)
}

/// The same, with every object's fields in the order of their names, so that the golden file does not depend on what else is
/// built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let fields: BTreeMap<String, Value> = map.into_iter().collect();
            Value::Object(fields.into_iter().map(|(name, value)| (name, sorted(value))).collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_golden_file_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
        let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
        if std::env::var_os("TANDEM_WRITE_OPENAPI").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            golden == text,
            "docs/openapi.json is not what the code says. Write it anew with\n  \
             TANDEM_WRITE_OPENAPI=1 cargo test -p tandem-api golden\nand commit it after looking at the difference."
        );
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 50, "{}", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_operation_says_what_it_is_and_has_an_id_of_its_own() {
        let document = document();
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
                if !matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics") {
                    assert!(operation["responses"]["401"].is_object(), "{method} {path}");
                    assert!(operation.get("security").is_none(), "{method} {path}");
                }
            }
        }
        assert_eq!(ids.len(), 45);
    }
}
