//! What is sent is what the API's contract (docs/openapi.json) has, and what the contract says is understood.

use super::server::{Pki, Seen, json_answer, pending, request, tandem};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tandem_cli::request::args::{PhaseArg, PurposeArg, RoleArg, TypeArg};
use tandem_crds::{DecisionRole, Purpose, RequestPhase, RequestType};

fn contract() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The schema of that name has every field of the body, and the body every one that it asks for.
fn fits(contract: &Value, schema: &str, body: &Value) {
    let schema = &contract["components"]["schemas"][schema];
    for field in body.as_object().unwrap().keys() {
        assert!(schema["properties"].get(field).is_some(), "{field} is no field of {schema}");
    }
    for field in schema["required"].as_array().into_iter().flatten() {
        assert!(body.get(field.as_str().unwrap()).is_some(), "{field} is missing");
    }
}

/// The operation is there, and asks for a key where something is sent.
fn has(contract: &Value, call: &Seen) {
    let path = call.path.split('?').next().unwrap().replace("health-1", "{name}");
    let operation = &contract["paths"][&path][call.method.as_str().to_lowercase()];
    assert!(operation.is_object(), "{} {path}", call.method);
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    for name in
        call.path.split('?').skip(1).flat_map(|query| query.split('&')).map(|pair| pair.split('=').next().unwrap())
    {
        assert!(parameters.contains(&name), "{name} is no parameter of {path}");
    }
    assert_eq!(call.headers.contains_key("idempotency-key"), parameters.contains(&"Idempotency-Key"), "{path}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_in_the_contract() {
    let contract = contract();
    let pki = Pki::new();
    let api = pki
        .serve(None, |call, _| match call.path.split('?').next().unwrap() {
            "/v1/requests" if call.method == "GET" => json_answer(200, &json!({"items": []})),
            _ => json_answer(200, &request(pending())),
        })
        .await;
    let create = [
        "create",
        "--type",
        "create",
        "--unit",
        "health",
        "--environment",
        "health-new",
        "--cpu",
        "4",
        "--memory",
        "8Gi",
        "--storage",
        "1Ti",
        "--pods",
        "9",
        "--display-name",
        "a",
        "--display-name-en",
        "b",
        "--purpose",
        "test",
        "--security-profile",
        "c",
        "--until",
        "d",
        "--reason",
        "e",
    ];
    let list = ["list", "--unit", "a", "--environment", "b", "--type", "resize", "--phase", "pending"];
    for command in [
        &create[..],
        &list,
        &["get", "health-1"],
        &["approve", "health-1", "--yes", "--note", "a", "--role", "security"],
        &["withdraw", "health-1", "--note", "a"],
        &["undo", "health-1", "--note", "a"],
        &["watch", "health-1", "--timeout", "1"],
    ] {
        tandem(&pki, &api, command).await;
    }
    let seen = api.seen();
    for call in seen.iter().filter(|call| call.path.starts_with("/v1/requests")) {
        has(&contract, call);
        match call.path.as_str() {
            "/v1/requests" => {
                fits(&contract, "NewRequest", &call.json());
                let quota = &contract["components"]["schemas"]["NewRequest"]["properties"]["quota"];
                assert!(
                    call.json()["quota"]
                        .as_object()
                        .unwrap()
                        .keys()
                        .all(|field| quota["properties"].get(field).is_some())
                );
            }
            "/v1/requests/health-1/decisions" => fits(&contract, "NewDecision", &call.json()),
            "/v1/requests/health-1/withdraw" | "/v1/requests/health-1/undo" => fits(&contract, "NewWord", &call.json()),
            _ => assert_eq!(call.method, "GET"),
        }
    }
    let paths: BTreeSet<&str> = seen.iter().map(|call| call.path.split('?').next().unwrap()).collect();
    assert!(paths.contains("/v1/requests/health-1/events") && paths.contains("/v1/units/health"), "{paths:?}");
    for path in ["/v1/units/{name}", "/v1/environments/{name}"] {
        assert!(contract["paths"][path]["get"].is_object(), "{path}");
    }
}

#[test]
fn every_value_of_the_contract_can_be_said() {
    use clap::ValueEnum;
    let contract = contract();
    let values = |schema: &str| -> BTreeSet<String> {
        let all = contract["components"]["schemas"][schema]["oneOf"].as_array().unwrap();
        all.iter().map(|value| value["const"].as_str().unwrap().to_owned()).collect()
    };
    let said =
        |all: Vec<Value>| -> BTreeSet<String> { all.iter().map(|value| value.as_str().unwrap().to_owned()).collect() };
    let of = |all: &[TypeArg]| said(all.iter().map(|value| json!(RequestType::from(*value))).collect());
    assert_eq!(of(TypeArg::value_variants()), values("RequestType"));
    let of = |all: &[PhaseArg]| said(all.iter().map(|value| json!(RequestPhase::from(*value))).collect());
    assert_eq!(of(PhaseArg::value_variants()), values("RequestPhase"));
    let of = |all: &[PurposeArg]| said(all.iter().map(|value| json!(Purpose::from(*value))).collect());
    assert_eq!(of(PurposeArg::value_variants()), values("Purpose"));
    let of = |all: &[RoleArg]| said(all.iter().map(|value| json!(DecisionRole::from(*value))).collect());
    assert_eq!(of(RoleArg::value_variants()), values("DecisionRole"));
}
