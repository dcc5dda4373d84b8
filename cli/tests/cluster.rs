//! Applying to a cluster: a small API server in memory, with an operator that makes namespaces, and with faults.
#![allow(clippy::unwrap_used)]

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tandem_cli::import::apply::{ApplyError, Counts, How, apply, look};
use tandem_cli::import::{Options, Outcome, check, read};

const HOW: How = How { force: false, concurrency: 24, timeout: Duration::from_secs(30) };
const RULES: &str = "/apis/tandem.dev/v1alpha1";

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    revision: u64,
    patches: usize,
    order: Vec<String>,
    /// Namespaces appear that many lists after their environment.
    namespace_lag: Option<usize>,
    pending: Vec<(usize, String)>,
    namespaces: Vec<String>,
    /// What a patch is answered with instead, by its number.
    fault: Option<fn(usize) -> Option<Value>>,
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        match (method, path) {
            (&Method::GET, "/api/v1/namespaces") => (StatusCode::OK, self.list_namespaces()),
            (&Method::GET, path) => (StatusCode::OK, self.list(path)),
            (&Method::PATCH, path) => self.patch(path, body),
            other => panic!("unexpected request {other:?}"),
        }
    }

    fn list(&self, path: &str) -> Value {
        let plural = path.rsplit('/').next().unwrap();
        let wanted = format!("/{plural}/");
        let items: Vec<&Value> =
            self.objects.iter().filter(|(path, _)| path.contains(&wanted)).map(|(_, object)| object).collect();
        json!({"apiVersion": "tandem.dev/v1alpha1", "kind": "List", "metadata": {}, "items": items})
    }

    fn list_namespaces(&mut self) -> Value {
        for (lag, _) in &mut self.pending {
            *lag = lag.saturating_sub(1);
        }
        self.namespaces.extend(self.pending.extract_if(.., |(lag, _)| *lag == 0).map(|(_, name)| name));
        let items: Vec<Value> = self.namespaces.iter().map(|name| json!({"metadata": {"name": name}})).collect();
        json!({"apiVersion": "v1", "kind": "NamespaceList", "metadata": {}, "items": items})
    }

    fn patch(&mut self, path: &str, body: &[u8]) -> (StatusCode, Value) {
        self.patches += 1;
        if let Some(fault) = self.fault.and_then(|fault| fault(self.patches)) {
            let code = u16::try_from(fault["code"].as_u64().unwrap()).unwrap();
            return (StatusCode::from_u16(code).unwrap(), fault);
        }
        let mut object: Value = serde_json::from_slice(body).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if let Some(namespace) = object["metadata"]["namespace"].as_str() {
            assert!(self.namespaces.iter().any(|there| there == namespace), "{namespace} is not there yet");
        }
        // As the operator mints it, and server-side apply leaves it alone.
        object["spec"]["id"] = format!("id-of-{name}").into();
        let before = self.objects.get(path);
        if before.is_none_or(|before| before["spec"] != object["spec"]) {
            self.revision += 1;
            object["metadata"]["resourceVersion"] = self.revision.to_string().into();
            object["metadata"]["generation"] = 1.into();
        } else {
            object["metadata"] = before.unwrap()["metadata"].clone();
        }
        self.objects.insert(path.to_owned(), object.clone());
        self.order.push(path.to_owned());
        if let (true, Some(lag)) = (path.contains("/environments/"), self.namespace_lag) {
            self.pending.push((lag, name));
        }
        (StatusCode::OK, object)
    }
}

fn cluster(state: State) -> (Client, Arc<Mutex<State>>) {
    let mut state = state;
    for profile in ["mlps-2", "mlps-3"] {
        let object = json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "SecurityProfile", "metadata": {"name": profile},
            "spec": {"displayName": {"zh": profile}, "mlpsLevel": 2, "podSecurity": "Restricted", "images": {}}
        });
        state.objects.insert(format!("{RULES}/securityprofiles/{profile}"), object);
    }
    let state = Arc::new(Mutex::new(state));
    let shared = Arc::clone(&state);
    let service = tower::service_fn(move |request: Request<Body>| {
        let shared = Arc::clone(&shared);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            if head.method == Method::PATCH {
                let query = head.uri.query().unwrap();
                assert!(query.contains("fieldManager=tandem-import"), "{query}");
                assert!(!query.contains("force=true"), "{query}");
            }
            let (code, answer) = shared.lock().unwrap().answer(&head.method, head.uri.path(), &body);
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    (Client::new(service, "default"), state)
}

fn bozhou() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/bozhou/inventory.csv");
    std::fs::read_to_string(path).unwrap()
}

async fn import(client: &Client, text: &str) -> (Outcome, Result<Counts, ApplyError>) {
    let known = look(client).await.unwrap();
    let outcome = check(&read(text.as_bytes(), None).unwrap(), &known, Options::default());
    let applied =
        if outcome.has_errors() { Ok(Counts::default()) } else { apply(client, &outcome.resources, &known, HOW).await };
    (outcome, applied)
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_city_is_applied_in_order_once() {
    let (client, state) = cluster(State { namespace_lag: Some(2), ..State::default() });
    let (_, counts) = import(&client, &bozhou()).await;
    assert_eq!(counts.unwrap(), Counts { created: 54 + 63 + 530, ..Counts::default() });
    {
        let state = state.lock().unwrap();
        let kinds: Vec<&str> = state.order.iter().map(|path| path.rsplit('/').nth(1).unwrap()).collect();
        assert!(kinds[..54].iter().all(|kind| *kind == "units"));
        assert!(kinds[54..54 + 63].iter().all(|kind| *kind == "environments"));
    }

    let before = state.lock().unwrap().patches;
    let (_, counts) = import(&client, &bozhou()).await;
    assert_eq!(counts.unwrap(), Counts { unchanged: 54 + 63 + 530, ..Counts::default() });
    assert_eq!(state.lock().unwrap().patches, before, "what is there already is not written again");

    let (_, counts) = import(&client, &bozhou().replace("zwfw.bz.gov.example", "services.bz.gov.example")).await;
    assert_eq!(counts.unwrap(), Counts { changed: 1, unchanged: 54 + 63 + 529, ..Counts::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_faults_are_sat_out() {
    let fault = |number: usize| match number % 27 {
        1 => Some(status(409, "Conflict", "the object has been modified")),
        4 => Some(status(429, "TooManyRequests", "slow down")),
        7 => Some(status(503, "ServiceUnavailable", "no leader")),
        _ => None,
    };
    let (client, _) = cluster(State { namespace_lag: Some(1), fault: Some(fault), ..State::default() });
    let (_, counts) = import(&client, &bozhou()).await;
    assert_eq!(counts.unwrap().created, 54 + 63 + 530);
}

#[tokio::test]
async fn fields_of_others_are_not_overwritten() {
    let fault = |_| {
        let mut answer =
            status(409, "Conflict", "Apply failed with 1 conflict: conflict with \"kubectl-edit\": .spec.budget.cpu");
        answer["details"] =
            json!({"causes": [{"reason": "FieldManagerConflict", "message": "", "field": ".spec.budget.cpu"}]});
        Some(answer)
    };
    let (client, state) = cluster(State { fault: Some(fault), ..State::default() });
    let (_, result) = import(&client, &bozhou()).await;
    let error = result.unwrap_err();
    assert!(matches!(error, ApplyError::Owned { .. }), "{error}");
    assert!(error.to_string().contains("kubectl-edit"));
    assert!(state.lock().unwrap().patches <= HOW.concurrency, "asked once each, and nothing after the first answer");
}

#[tokio::test]
async fn what_an_old_server_can_never_take_is_not_asked_again() {
    let fault = |_| Some(status(500, "InternalError", "field not declared in schema: .spec.budget"));
    let (client, state) = cluster(State { fault: Some(fault), ..State::default() });
    let (_, result) = import(&client, &bozhou()).await;
    assert!(matches!(result, Err(ApplyError::Apply { .. })));
    assert!(state.lock().unwrap().patches <= HOW.concurrency);
}

#[tokio::test]
async fn without_an_operator_it_ends_and_says_so() {
    let (client, _) = cluster(State::default());
    let known = look(&client).await.unwrap();
    let outcome = check(&read(bozhou().as_bytes(), None).unwrap(), &known, Options::default());
    let how = How { timeout: Duration::ZERO, ..HOW };
    let error = apply(&client, &outcome.resources, &known, how).await.unwrap_err();
    assert!(error.to_string().contains("agri-prod") && error.to_string().contains("58 more"), "{error}");
}

#[tokio::test]
async fn a_host_name_of_another_application_is_refused() {
    let (client, state) = cluster(State { namespace_lag: Some(1), ..State::default() });
    let other = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Application",
        "metadata": {"name": "old-hall", "namespace": "elsewhere-prod"},
        "spec": {"displayName": {"zh": "旧大厅"}, "endpoints": [{"name": "web", "port": 80, "hosts": ["zwfw.bz.gov.example"]}]}
    });
    let path = format!("{RULES}/namespaces/elsewhere-prod/applications/old-hall");
    state.lock().unwrap().objects.insert(path, other);
    let (outcome, _) = import(&client, &bozhou()).await;
    assert_eq!(outcome.problems.len(), 1);
    assert!(outcome.problems[0].what.contains("elsewhere-prod/old-hall"), "{}", outcome.problems[0]);
    assert_eq!(state.lock().unwrap().patches, 0);
}

#[tokio::test]
async fn a_missing_security_profile_is_refused() {
    let (client, state) = cluster(State::default());
    state.lock().unwrap().objects.remove(&format!("{RULES}/securityprofiles/mlps-3"));
    let (outcome, _) = import(&client, &bozhou()).await;
    assert!(outcome.is_fatal() && outcome.problems[0].what.contains("mlps-3"));
}

#[tokio::test]
async fn the_budget_of_a_unit_is_kept_and_not_passed() {
    let (client, state) = cluster(State { namespace_lag: Some(1), ..State::default() });
    import(&client, &bozhou()).await.1.unwrap();
    state.lock().unwrap().objects.get_mut(&format!("{RULES}/units/zhuji")).unwrap()["spec"]["budget"]["cpu"] =
        "1".into();
    let (outcome, _) = import(&client, &bozhou()).await;
    assert_eq!(outcome.problems.len(), 1);
    assert!(outcome.problems[0].what.contains("1 given by the unit in the cluster"), "{}", outcome.problems[0]);
}
