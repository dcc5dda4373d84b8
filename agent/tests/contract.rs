//! The example service keeps the contract: as docs/hooks.openapi.yaml has it, over restarts, and with the switch.
#![allow(clippy::unwrap_used)]

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tandem_agent::agent::{Keeper, listen};
use tandem_agent::hook::{Config, Service, service};
use tandem_arbiter::clock::ManualClock;
use tandem_arbiter::deadman::Poll;
use tandem_arbiter::hooks::{Call, Order, State};
use tandem_core::failover::{Dropped, Role, Token};
use tower::ServiceExt;

struct Site {
    folder: tempfile::TempDir,
    clock: ManualClock,
    keeper: Keeper,
    service: Arc<Service<ManualClock>>,
}

fn open(folder: &Path, clock: &ManualClock) -> Arc<Service<ManualClock>> {
    let config = Config {
        group: "ledger".to_owned(),
        folder: folder.join("data"),
        first: Role::Active,
        gate_file: folder.join("gate.json"),
        agent: folder.join("agent.sock"),
        boot_id: "boot".to_owned(),
    };
    Service::open(config, clock.clone()).unwrap()
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keeper = Keeper::open("ledger", "boot", &folder.path().join("gate.json")).unwrap();
        let (listening, socket) = (keeper.clone(), folder.path().join("agent.sock"));
        let at = socket.clone();
        tokio::spawn(async move { listen(listening, &at).await });
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        let clock = ManualClock::default();
        clock.advance(Duration::from_secs(100));
        let service = open(folder.path(), &clock);
        Self { folder, clock, keeper, service }
    }

    /// The gate says yes for so many seconds, from now on.
    fn opened(&self, token: Token, seconds: u64) {
        let now = tandem_arbiter::clock::Clock::now(&self.clock);
        let poll = Poll { active: true, token, valid_for: Duration::from_secs(seconds) };
        self.keeper.refresh(now, &poll).unwrap().unwrap();
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = service::router(Arc::clone(&self.service)).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn call(&self, call: Call, token: Token) -> (u16, Value) {
        let order = Order { group: "ledger".to_owned(), token, temporary: false };
        self.ask("POST", call.name(), &json!(order)).await
    }

    async fn write(&self, value: u64) -> u16 {
        self.ask("POST", "entries", &json!({"value": value})).await.0
    }
}

fn token(epoch: u64, step: u32) -> Token {
    Token { generation: 1, epoch, execution: 7, step }
}

/// The contract, and whether something is as it has it.
struct Contract(Value);

impl Contract {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hooks.openapi.yaml");
        // Aliases are resolved on the way.
        Self(serde_yaml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    fn follow<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }

    /// The schema of an answer; fails where the contract knows no such answer.
    fn answer(&self, path: &str, method: &str, status: u16) -> &Value {
        let answers = &self.0["paths"][path][method]["responses"];
        let answer =
            answers.get(status.to_string()).unwrap_or_else(|| panic!("{method} {path} may not answer {status}"));
        &self.follow(answer)["content"]["application/json"]["schema"]
    }

    /// Every field is known and of its type, and none that is required is missing.
    fn holds(&self, schema: &Value, value: &Value) {
        let schema = self.follow(schema);
        match schema["type"].as_str().unwrap() {
            "object" => {
                let fields = value.as_object().unwrap_or_else(|| panic!("{value} is no object"));
                for required in schema["required"].as_array().into_iter().flatten() {
                    assert!(fields.contains_key(required.as_str().unwrap()), "{required} is missing in {value}");
                }
                for (name, field) in fields {
                    let known = schema["properties"].get(name).unwrap_or_else(|| panic!("{name} is not known"));
                    self.holds(known, field);
                }
            }
            "integer" => assert!(value.is_u64(), "{value}"),
            "boolean" => assert!(value.is_boolean(), "{value}"),
            _ => {
                assert!(value.is_string(), "{value}");
                let known = schema["enum"].as_array();
                assert!(known.is_none_or(|known| known.contains(value)), "{value}");
            }
        }
    }
}

#[tokio::test]
async fn the_file_the_types_and_the_service_say_the_same() {
    let (contract, site) = (Contract::read(), Site::new().await);
    let paths: BTreeSet<String> = contract.0["paths"].as_object().unwrap().keys().cloned().collect();
    let calls = Call::ALL.iter().map(|call| format!("/{}", call.name()));
    assert_eq!(paths, calls.chain(["/state".to_owned()]).collect());
    // The types, with everything that they can hold.
    let schemas = &contract.0["components"]["schemas"];
    let order = Order { group: "ledger".to_owned(), token: token(1, 1), temporary: true };
    contract.holds(&schemas["Order"], &json!(order));
    let time = "2026-01-01T00:00:00Z";
    let all = json!({"epoch": 5, "from": 1, "to": 2, "transactions": 1, "firstCommit": time, "lastCommit": time});
    let dropped: Dropped = serde_json::from_value(all.clone()).unwrap();
    assert_eq!(json!(dropped), all);
    assert_eq!(all.as_object().unwrap().len(), schemas["Dropped"]["properties"].as_object().unwrap().len());
    for role in [Role::Active, Role::Quiesced, Role::Standby, Role::Fenced, Role::Unknown] {
        let state = State {
            role,
            position: Some(1),
            lag_millis: Some(1),
            lag_age_millis: 1,
            synchronous: true,
            token: token(1, 1),
            dropped: Some(dropped),
        };
        let value = json!(state);
        assert_eq!(value.as_object().unwrap().len(), schemas["State"]["properties"].as_object().unwrap().len());
        contract.holds(&schemas["State"], &value);
    }
    // What is answered, whatever it is.
    let calls = [
        (Call::Quiesce, token(1, 1), 200),
        (Call::Quiesce, token(1, 1), 200),
        (Call::FinalSync, token(1, 2), 200),
        (Call::Demote, token(1, 3), 200),
        (Call::Fence, token(1, 4), 200),
        (Call::Fence, token(1, 4), 200),
        (Call::Quiesce, token(1, 5), 422),
        (Call::Promote, token(1, 4), 409),
        (Call::Promote, token(3, 0), 200),
        (Call::Resume, token(3, 1), 200),
        // The agent has seen nothing yet that is higher than the fence of before.
        (Call::Fence, token(3, 2), 200),
    ];
    for (call, token, expected) in calls {
        let (status, body) = site.call(call, token).await;
        assert_eq!(status, expected, "{call:?} {token:?}: {body}");
        contract.holds(contract.answer(&format!("/{}", call.name()), "post", status), &body);
        let (status, body) = site.ask("GET", "state", &Value::Null).await;
        contract.holds(contract.answer("/state", "get", status), &body);
    }
    let foreign = json!(Order { group: "tax".to_owned(), token: token(9, 9), temporary: false });
    let (status, body) = site.ask("POST", "promote", &foreign).await;
    assert_eq!(status, 404);
    contract.holds(contract.answer("/promote", "post", status), &body);
    let (_, log) = site.ask("GET", "log", &Value::Null).await;
    assert_eq!(log.as_array().unwrap().len(), calls.len(), "all that was asked of this group is kept");
}

#[tokio::test]
async fn a_write_needs_the_switch_before_and_role_and_restart_keep_the_token() {
    let mut site = Site::new().await;
    assert_eq!(site.write(1).await, 503, "everything starts passive");
    site.opened(token(1, 0), 5);
    assert_eq!((site.write(2).await, site.write(3).await), (201, 201));
    site.clock.advance(Duration::from_secs(5));
    assert_eq!(site.write(4).await, 503, "nobody refreshes it");
    site.opened(token(1, 0), 5);
    assert_eq!(site.call(Call::Quiesce, token(1, 4)).await.0, 200);
    assert_eq!(site.write(5).await, 503);
    // As after a crash.
    site.service = open(site.folder.path(), &site.clock);
    assert_eq!(site.call(Call::Resume, token(1, 3)).await.0, 409);
    assert_eq!(site.write(6).await, 503);
    assert_eq!(site.call(Call::Resume, token(1, 5)).await.0, 200);
    assert_eq!(site.write(7).await, 201);
    let (_, numbers) = site.ask("GET", "entries", &Value::Null).await;
    let values: Vec<u64> = numbers.as_array().unwrap().iter().map(|n| n["value"].as_u64().unwrap()).collect();
    assert_eq!(values, [2, 3, 7]);
}

#[tokio::test]
async fn a_temporary_fence_ends_with_the_next_refresh_and_another_does_not() {
    let site = Site::new().await;
    site.opened(token(1, 0), 5);
    let temporary = json!(Order { group: "ledger".to_owned(), token: token(1, 0), temporary: true });
    let (status, state) = site.ask("POST", "fence", &temporary).await;
    assert_eq!((status, &state["role"]), (200, &json!("Active")));
    assert_eq!(site.write(1).await, 503);
    site.opened(token(1, 0), 5);
    assert_eq!(site.write(2).await, 201);
    assert_eq!(site.call(Call::Fence, token(1, 1)).await.0, 200);
    assert_eq!(site.write(3).await, 503);
    let late = Poll { active: true, token: token(1, 1), valid_for: Duration::from_secs(5) };
    assert!(site.keeper.refresh(Duration::from_secs(100), &late).unwrap().is_err());
}
