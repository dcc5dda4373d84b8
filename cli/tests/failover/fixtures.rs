//! A city of two sites and five groups, and an API server in memory.

use http::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tandem_core::plan::View;
use tandem_crds::{DataCentre, Failover, FailoverGroup};

/// So many seconds after some instant.
pub(crate) fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_893_553_445 + seconds).unwrap()
}

pub(crate) fn site(name: &str, authority: bool) -> DataCentre {
    let preference = if authority { "Primary" } else { "Secondary" };
    serde_json::from_value(json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "DataCentre", "metadata": {"name": name},
        "spec": {"displayName": {"zh": name}, "preference": preference},
        "status": {"authority": authority, "members": [{"name": format!("operator-{name}-0")}], "heard": true}
    }))
    .unwrap()
}

/// A group that is active at `dc-a` and in order at both sites.
pub(crate) fn group(name: &str, tier: i64, depends_on: &[&str]) -> FailoverGroup {
    let note = json!({"reason": "GateOnly", "message": "no data provider", "messageZh": "无数据复制组件"});
    let at = |site: &str| json!({"site": site, "ready": true, "reason": "Ready"});
    serde_json::from_value(json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "FailoverGroup", "metadata": {"name": name},
        "spec": {"mode": "Automatic", "tier": tier, "dependsOn": depends_on},
        "status": {
            "activeSite": "dc-a", "epoch": 3, "phase": "Held", "applications": 2,
            "sites": [at("dc-a"), at("dc-b")],
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "in order",
                "lastTransitionTime": "2030-01-01T00:00:00Z"
            }],
            "readiness": {"state": "Protected", "reasons": [note]}
        }
    }))
    .unwrap()
}

pub(crate) fn view() -> View {
    View::new(
        vec![site("dc-a", true), site("dc-b", false)],
        vec![
            group("hall", 2, &[]),
            group("tax", 1, &["ledger"]),
            group("ledger", 3, &[]),
            group("archive", 3, &["tax"]),
        ],
    )
}

pub(crate) fn failover_of(status: Value) -> Failover {
    let mut object = json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Failover",
        "metadata": {"name": "move-7", "creationTimestamp": "2030-01-02T03:04:00Z"},
        "spec": {"type": "Failover", "to": "dc-b", "selector": {"site": "dc-a"}, "reason": "dc-a lost power"}
    });
    if status != json!({}) {
        object["status"] = status;
    }
    serde_json::from_value(object).unwrap()
}

/// A move half-way: one group serves, one moves, one needs a person, one is blocked, one has not begun.
pub(crate) fn moved() -> Failover {
    let at = |seconds: i64| time(seconds).to_string();
    let step = |step: &str, from: i64, to: Option<i64>, outcome: &str, evidence: &str| json!({"step": step, "began": at(from), "ended": to.map(at), "outcome": outcome, "evidence": evidence});
    let held = "the hold group/hall forbids every promotion until it is lifted";
    failover_of(json!({
        "phase": "NeedsHuman", "from": "dc-a", "to": "dc-b", "began": at(0), "reason": "TooLong",
        "message": "verifying has passed its deadline", "messageZh": "验证已超过时限",
        "waves": [
            {"number": 0, "groups": ["platform"]}, {"number": 1, "groups": ["ledger", "tax"]},
            {"number": 2, "groups": ["hall", "archive"]}
        ],
        "groups": [
            {"name": "platform", "wave": 0, "step": "Completed", "from": "dc-a", "to": "dc-b", "epoch": 5,
             "began": at(0), "ended": at(12), "steps": [
                step("Validating", 0, Some(0), "Done", ""), step("Fencing", 0, Some(10), "Done", "silent for 10 s"),
                step("EpochCommitted", 10, Some(10), "Done", "epoch 5"), step("Verifying", 11, Some(12), "Done", "")
             ]},
            {"name": "ledger", "wave": 1, "step": "Verifying", "side": "NeedsHuman", "from": "dc-a", "to": "dc-b",
             "epoch": 4, "began": at(12), "reason": "TooLong", "message": "verifying has passed its deadline",
             "messageZh": "验证已超过时限", "steps": [step("Verifying", 15, None, "", "")]},
            {"name": "tax", "wave": 1, "step": "Promoting", "from": "dc-a", "to": "dc-b", "epoch": 4, "began": at(12),
             "steps": [step("Quiescing", 12, Some(12), "SkippedUnreachable", ""), step("Promoting", 38, None, "", "")]},
            {"name": "hall", "wave": 2, "step": "Validating", "side": "Blocked", "from": "dc-a", "to": "dc-b", "epoch": 3,
             "began": at(12), "reason": "Held", "message": held, "messageZh": "冻结 group/hall 生效期间禁止任何提升"},
            {"name": "archive", "wave": 2, "from": "dc-a", "to": "dc-b", "epoch": 3}
        ]
    }))
}

#[derive(Default)]
struct State {
    /// By `plural/name`.
    objects: BTreeMap<String, Value>,
    revision: u64,
    /// So many changes that name a version are too late.
    conflicts: usize,
    /// What an object is next time it is read; nothing: no answer.
    scripts: BTreeMap<String, VecDeque<Option<Value>>>,
    /// Version of SelfSubjectReview, and who one is.
    me: Option<(String, String)>,
}

/// An API server in memory.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

impl Server {
    pub(crate) fn with<const N: usize>(objects: [(&str, Value); N]) -> Self {
        let server = Self::default();
        for (path, object) in objects {
            server.add(path, object);
        }
        server
    }

    pub(crate) fn add(&self, path: &str, mut object: Value) {
        object["metadata"]["resourceVersion"] = "1".into();
        self.0.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    pub(crate) fn object(&self, path: &str) -> Value {
        self.0.lock().unwrap().objects[path].clone()
    }

    pub(crate) fn conflict(&self, times: usize) {
        self.0.lock().unwrap().conflicts = times;
    }

    /// After the first read of an object, these.
    pub(crate) fn script<const N: usize>(&self, path: &str, then: [Option<Value>; N]) {
        let mut state = self.0.lock().unwrap();
        let first = state.objects[path].clone();
        let script = [Some(first)].into_iter().chain(then).collect();
        state.scripts.insert(path.to_owned(), script);
    }

    pub(crate) fn knows_me(&self, version: &str, name: &str) {
        self.0.lock().unwrap().me = Some((version.to_owned(), name.to_owned()));
    }

    pub(crate) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (code, answer) = server.0.lock().unwrap().answer(&head.method, head.uri.path(), &body);
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }
}

fn status(code: u16, reason: &str) -> (StatusCode, Value) {
    let answer = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason
    });
    (StatusCode::from_u16(code).unwrap(), answer)
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
        if let Some(version) = path.strip_prefix("/apis/authentication.k8s.io/") {
            let version = version.strip_suffix("/selfsubjectreviews").unwrap();
            return match &self.me {
                Some((known, name)) if known == version => {
                    (StatusCode::CREATED, json!({"status": {"userInfo": {"username": name}}}))
                }
                _ => status(404, "NotFound"),
            };
        }
        let path = path.strip_prefix("/apis/tandem.dev/v1alpha1/").unwrap();
        match (method, path.contains('/')) {
            (&Method::GET, true) => self.get(path),
            (&Method::GET, false) => {
                let of_kind = |(key, _): &(&String, &Value)| key.starts_with(&format!("{path}/"));
                let items: Vec<&Value> = self.objects.iter().filter(of_kind).map(|(_, object)| object).collect();
                (StatusCode::OK, json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}))
            }
            (&Method::POST, false) => {
                let object: Value = serde_json::from_slice(body).unwrap();
                let key = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
                if self.objects.contains_key(&key) {
                    return status(409, "AlreadyExists");
                }
                (StatusCode::CREATED, self.put(&key, object))
            }
            (&Method::PATCH, true) => self.patch(path, &serde_json::from_slice(body).unwrap()),
            other => panic!("unexpected request {other:?} {path}"),
        }
    }

    fn get(&mut self, path: &str) -> (StatusCode, Value) {
        if let Some(next) = self.scripts.get_mut(path).and_then(VecDeque::pop_front) {
            return next.map_or_else(|| status(503, "ServiceUnavailable"), |object| (StatusCode::OK, object));
        }
        self.objects.get(path).map_or_else(|| status(404, "NotFound"), |object| (StatusCode::OK, object.clone()))
    }

    fn put(&mut self, key: &str, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = (self.revision + 1).to_string().into();
        self.objects.insert(key.to_owned(), object.clone());
        object
    }

    fn patch(&mut self, path: &str, patch: &Value) -> (StatusCode, Value) {
        let Some(mut object) = self.objects.get(path).cloned() else { return status(404, "NotFound") };
        if let Some(version) = patch.pointer("/metadata/resourceVersion") {
            if self.conflicts > 0 {
                self.conflicts -= 1;
                self.put(path, object);
                return status(409, "Conflict");
            }
            assert_eq!(Some(version), object.pointer("/metadata/resourceVersion"));
        }
        merge(&mut object, patch);
        (StatusCode::OK, self.put(path, object))
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let object = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
