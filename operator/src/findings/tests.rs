//! The reports of a small city in an API server of a few lines.

use super::*;
use crate::metrics::Metrics;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use tandem_crds::{Application, FailoverGroup, SecurityProfile, Unit};

const REPORTS: &str = "/apis/wgpolicyk8s.io/v1alpha2";

/// An API server: objects by path, what is served at its other paths, and what was written.
#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    discovery: BTreeMap<String, (u16, Value)>,
    written: Vec<String>,
}

impl State {
    fn answer(&mut self, method: &Method, uri: &http::Uri, body: &[u8]) -> (u16, Value) {
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default());
        if *method != Method::GET {
            self.written.push(format!("{method} {path}"));
        }
        match *method {
            Method::GET if path == format!("{REPORTS}/policyreports") => {
                assert!(query.contains("fieldSelector=metadata.name%3Dtandem"), "{query}");
                // A page each, so that the next one has to be asked for.
                let after = query.split("continue=").nth(1).unwrap_or_default();
                let all =
                    self.objects.values().map(|object| (object["metadata"]["namespace"].as_str().unwrap(), object));
                let mut left = all.filter(|(namespace, _)| *namespace > after);
                let first = left.next();
                let next = left.next().and(first).map(|(namespace, _)| namespace);
                let items: Vec<&Value> = first.iter().map(|(_, object)| *object).collect();
                (
                    200,
                    json!({"kind": "PolicyReportList", "apiVersion": "v1", "metadata": {"continue": next}, "items": items}),
                )
            }
            Method::GET => {
                let missing =
                    json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": ""});
                self.discovery.get(&path).cloned().unwrap_or((404, missing))
            }
            Method::PATCH => {
                assert!(query.contains("fieldManager=tandem%2Ffindings") && query.contains("force=true"), "{query}");
                let mut object: Value = serde_json::from_slice(body).unwrap();
                object["metadata"]["uid"] = json!("1");
                self.objects.insert(path, object.clone());
                (200, object)
            }
            _ => {
                let options: Value = serde_json::from_slice(body).unwrap();
                let gone = self.objects.remove(&path).unwrap();
                assert_eq!(options["preconditions"]["uid"], gone["metadata"]["uid"]);
                (200, gone)
            }
        }
    }
}

/// A site with two environments; an application without a digest in one of them.
struct City {
    state: Arc<Mutex<State>>,
    leads: Arc<AtomicBool>,
    cluster: Cluster,
    units: BTreeMap<String, Unit>,
    environments: BTreeMap<String, Environment>,
    profiles: BTreeMap<String, SecurityProfile>,
    groups: BTreeMap<String, FailoverGroup>,
    applications: BTreeMap<(String, String), Application>,
    hosts: BTreeMap<String, (String, String)>,
    drifts: Vec<(String, Drift)>,
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn path(namespace: &str) -> String {
    format!("{REPORTS}/namespaces/{namespace}/policyreports/tandem")
}

impl City {
    fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let service = tower::service_fn(move |request: Request<Body>| {
            let shared = Arc::clone(&shared);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let (code, answer) = shared.lock().unwrap().answer(&head.method, &head.uri, &body);
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        let leads = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&leads);
        let guard: crate::cluster::Guard = Arc::new(move || asked.load(Ordering::SeqCst));
        let client = Client::new(service, "default");
        let environment = |name: &str| {
            let quota = json!({"cpu": "8", "memory": "8Gi", "storage": "8Gi", "pods": 20});
            let spec =
                json!({"id": format!("id-of-{name}"), "unit": "health", "quota": quota, "securityProfile": "strict"});
            (name.to_owned(), read(json!({"metadata": {"name": name}, "spec": spec})))
        };
        let component = json!({"name": "web", "image": "r.example/hall:1", "resources": {"cpu": "1", "memory": "1Gi"}});
        let hall = read(json!({"metadata": {"name": "hall", "namespace": "health-prod"},
                               "spec": {"id": "hall", "displayName": {"zh": "大厅"}, "components": [component]}}));
        let profile = read(json!({"metadata": {"name": "strict"}, "spec": {
            "displayName": {"zh": "等保二级"}, "mlpsLevel": 2, "podSecurity": "Baseline", "images": {"requireDigest": true}}}));
        let city = Self {
            state,
            leads,
            cluster: Cluster::new("dc-a", "a-0", client, 20, guard, Metrics::new().unwrap()),
            units: BTreeMap::new(),
            environments: ["health-prod", "health-test"].map(environment).into(),
            profiles: BTreeMap::from([("strict".to_owned(), profile)]),
            groups: BTreeMap::new(),
            applications: BTreeMap::from([(("health-prod".to_owned(), "hall".to_owned()), hall)]),
            hosts: BTreeMap::new(),
            drifts: Vec::new(),
        };
        city.namespace("health-prod", "id-of-health-prod");
        city.namespace("health-test", "id-of-health-test");
        city
    }

    /// A namespace that bears a durable id.
    fn namespace(&self, name: &str, id: &str) {
        let labels = json!({LABEL_ID: id});
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        self.cluster.rendered.put("Namespace", read(object));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Keeps the reports, and gives back what was written for it.
    async fn keep(&self) -> Vec<String> {
        let world = World {
            units: &self.units,
            environments: &self.environments,
            profiles: &self.profiles,
            groups: &self.groups,
            applications: &self.applications,
            hosts: &self.hosts,
            now: "2027-01-01T00:00:00Z".parse().unwrap(),
        };
        let wanted = wanted(ReportKind::PolicyReport, &world, &self.drifts, &self.cluster);
        let kept = keep(&self.cluster, ReportKind::PolicyReport, wanted).await;
        let written = std::mem::take(&mut self.state().written);
        assert_eq!(kept.unwrap_or_default(), written.len());
        written
    }
}

#[tokio::test]
async fn a_report_is_made_changed_and_deleted_and_left_alone_meanwhile() {
    let mut city = City::new();
    assert_eq!(city.keep().await, [format!("PATCH {}", path("health-prod"))]);
    let made = city.state().objects[&path("health-prod")].clone();
    assert_eq!(made["summary"]["fail"], 1);
    assert_eq!(made["metadata"]["labels"]["app.kubernetes.io/managed-by"], "tandem");
    assert_eq!(city.keep().await, [""; 0], "a steady state writes nothing");

    let drift = json!({"kind": "Service", "namespace": "health-test", "name": "hall", "by": "kubectl", "fields": ["spec"],
                       "first": "2026-12-31T00:00:00Z", "last": "2026-12-31T00:00:00Z", "times": 1});
    city.drifts.push(("dc-a".to_owned(), read(drift)));
    assert_eq!(city.keep().await, [format!("PATCH {}", path("health-test"))]);
    city.drifts[0].1.times = 2;
    assert_eq!(city.keep().await, [""; 0], "that it came back does not move the report");

    city.applications.clear();
    assert_eq!(city.keep().await, [format!("DELETE {}", path("health-prod"))]);
    assert_eq!(city.keep().await, [""; 0]);
}

#[tokio::test]
async fn what_somebody_changed_in_a_report_is_put_back() {
    let city = City::new();
    city.keep().await;
    city.state().objects.get_mut(&path("health-prod")).unwrap()["results"] = json!([]);
    assert_eq!(city.keep().await.len(), 1);
    assert_eq!(city.state().objects[&path("health-prod")]["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn somebody_elses_report_of_the_name_is_neither_changed_nor_deleted() {
    let mut city = City::new();
    let theirs = json!({"apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": "PolicyReport",
                        "metadata": {"name": "tandem", "namespace": "health-prod", "uid": "9"}});
    city.state().objects.insert(path("health-prod"), theirs);
    assert_eq!(city.keep().await, [""; 0]);
    city.applications.clear();
    assert_eq!(city.keep().await, [""; 0]);
}

#[tokio::test]
async fn nothing_is_concluded_from_what_is_missing() {
    let mut city = City::new();
    city.keep().await;
    let profile = city.profiles.remove("strict");
    assert_eq!(city.keep().await, [""; 0], "without its profile nothing is known of an environment");
    city.profiles.extend(profile.map(|profile| ("strict".to_owned(), profile)));
    city.environments.clear();
    assert_eq!(city.keep().await, [""; 0]);
}

#[tokio::test]
async fn nothing_is_written_into_a_namespace_that_is_not_the_environments() {
    let city = City::new();
    city.namespace("health-prod", "somebody-elses");
    assert_eq!(city.keep().await, [""; 0]);
}

#[tokio::test]
async fn a_replica_that_does_not_lead_writes_nothing() {
    let city = City::new();
    city.leads.store(false, Ordering::SeqCst);
    assert_eq!(city.keep().await, [""; 0]);
}

#[tokio::test]
async fn the_cluster_is_asked_which_reports_it_knows() {
    let city = City::new();
    let ask = || served(&city.cluster.client);
    assert_eq!(ask().await.unwrap(), []);
    let with = |names: &[&str]| {
        let one =
            |name: &&str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": ["get"]});
        let resources: Vec<Value> = names.iter().map(one).collect();
        (200, json!({"kind": "APIResourceList", "groupVersion": "g/v", "resources": resources}))
    };
    let served_at = |path: &str, answer| city.state().discovery.insert(path.to_owned(), answer);
    served_at("/apis/openreports.io/v1alpha1", with(&["clusterreports"]));
    assert_eq!(ask().await.unwrap(), []);
    served_at("/apis/openreports.io/v1alpha1", with(&["clusterreports", "reports"]));
    assert_eq!(ask().await.unwrap(), [ReportKind::Report]);
    served_at(REPORTS, with(&["policyreports"]));
    assert_eq!(ask().await.unwrap(), ReportKind::ALL);
    let busy = json!({"kind": "Status", "status": "Failure", "code": 503, "reason": "Unavailable", "message": ""});
    served_at(REPORTS, (503, busy));
    assert!(ask().await.is_err(), "what cannot be asked is not taken for absent");
}
