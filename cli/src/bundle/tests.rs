//! A bundle of a made-up site that is full of secrets has none of them; the other site is dead.

use super::archive::Archive;
use super::args::BundleArgs;
use super::sites;
use crate::arbiter::args::AccessArgs;
use crate::doctor;
use crate::doctor::args::SitesArgs;
use flate2::read::GzDecoder;
use http::{Request, Response};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

/// Every planted secret has it in its text.
const PLANTED: &str = "hunter2";
/// A person, who is named in fields.
const PERSON: &str = "wang.wei";

fn log() -> String {
    [
        "2030-01-02T03:04:05Z INFO started",
        "Authorization: Bearer hunter2hunter2hunter2",
        "connecting to postgres://hall:hunter2@db:5432/hall",
        "-----BEGIN PRIVATE KEY-----",
        "hunter2AAAA",
        "-----END PRIVATE KEY-----",
        r#"{"level":"info","message":"signed in","token":"hunter2","fields":{"password":"hunter2 with spaces"}}"#,
        "api_key=hunter2 done",
        "2030-01-02T03:04:06Z INFO went on",
    ]
    .join("\n")
}

fn application() -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Application",
        "metadata": {
            "name": "web", "namespace": "hall-prod",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"password\":\"hunter2\"}", "note": "hunter2"}
        },
        "spec": {
            "displayName": {"zh": "网站"}, "failoverGroup": "hall-web",
            "components": [{
                "name": "web", "image": "registry.example/web@sha256:ab", "secrets": ["web-db"],
                "env": [{"name": "DB_PASSWORD", "value": "hunter2"}], "config": {"app.ini": "key = hunter2"},
                "args": ["--password=hunter2"], "command": ["sh", "-c", "echo hunter2"]
            }]
        },
        "status": {"conditions": [{
            "type": "Ready", "status": "False", "reason": "X", "message": "pull failed: https://u:hunter2@registry.example/",
            "lastTransitionTime": "2030-01-01T00:00:00Z"
        }]}
    })
}

fn failover() -> Value {
    json!({
        "apiVersion": "tandem.dev/v1alpha1", "kind": "Failover", "metadata": {"name": "move"},
        "spec": {
            "type": "Switchover", "to": "dc-b", "selector": {"all": true}, "reason": "told wang.wei that the password is hunter2",
            "requestedBy": PERSON, "idempotencyKey": "hunter2",
            "approvals": [{"by": PERSON, "at": "2030-01-01T00:00:00Z", "note": "hunter2"}]
        }
    })
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "tandem-operator-0", "namespace": "tandem-system"},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "operator", "image": "x@sha256:ab", "env": [{"name": "T", "value": "hunter2"}], "args": ["hunter2"]}]
        },
        "status": {"phase": "Running", "containerStatuses": [
            {"name": "operator", "ready": true, "restartCount": 1, "image": "x", "imageID": "x"}
        ]}
    })
}

/// An API server with secrets wherever they may be; what it was asked is kept.
fn server() -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        kept.lock().unwrap().push(path.clone());
        let list =
            |items: Value| json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}).to_string();
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {}, "status": {"allowed": true}});
        let event = |of: &str| {
            json!({
                "metadata": {"name": "e", "namespace": "hall-prod"}, "involvedObject": {"apiVersion": of, "kind": "X", "name": "x"},
                "reason": "R", "message": "secret: hunter2"
            })
        };
        let last = path.rsplit('/').next().unwrap_or_default();
        let answer = match (path.as_str(), last) {
            ("/version", _) => json!({
                "major": "1", "minor": "20", "gitVersion": "v1.20.2", "gitCommit": "x", "gitTreeState": "clean",
                "buildDate": "x", "goVersion": "x", "compiler": "x", "platform": "x"
            })
            .to_string(),
            (path, _) if path.ends_with("accessreviews") => review.to_string(),
            (_, "log") => log(),
            (_, "metrics") => "tandem_fenced 0\n# token=hunter2\n".to_owned(),
            (_, "applications") => list(json!([application()])),
            (_, "failovers") => list(json!([failover()])),
            (_, "pods") => list(json!([pod()])),
            ("/api/v1/events", _) => list(json!([event("tandem.dev/v1alpha1"), event("v1")])),
            _ => list(json!([])),
        };
        let answer = Response::builder().body(Body::from(answer.into_bytes())).unwrap();
        async move { Ok::<_, Infallible>(answer) }
    });
    (Client::new(service, "default"), asked)
}

fn args() -> BundleArgs {
    BundleArgs {
        sites: SitesArgs { contexts: Vec::new(), kubeconfig: None, namespace: "tandem-system".into() },
        output: None,
        log_lines: 100,
        max_mib: 1,
        access: AccessArgs::default(),
    }
}

#[tokio::test]
async fn no_planted_secret_is_in_a_bundle_and_a_dead_site_is_listed() {
    let (client, asked) = server();
    let clients =
        [("dc-a".to_owned(), Ok(client)), ("dc-b".to_owned(), Err("refused: https://x:hunter2@b/".to_owned()))];
    let mut archive = Archive::new(1 << 20);
    let seen = sites(&mut archive, &clients, &args()).await;
    let (checks, anybody) = doctor::checks(&seen, &Err("token=hunter2".into()), &[], Timestamp::UNIX_EPOCH);
    assert!(anybody);
    archive.data("doctor.json", &checks);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b.tar.gz");
    archive.save(&path, Timestamp::UNIX_EPOCH).unwrap();
    assert!(archive.save(&path, Timestamp::UNIX_EPOCH).is_err(), "a file that is there stays");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut raw = Vec::new();
    GzDecoder::new(File::open(&path).unwrap()).read_to_end(&mut raw).unwrap();
    let text = String::from_utf8_lossy(&raw);
    for planted in [PLANTED, PERSON] {
        let around = text.find(planted).map(|at| text[at.saturating_sub(120)..at + 20].to_owned());
        assert_eq!(around, None, "{planted}");
    }
    for kept in
        ["INFO went on", "hall-web", "DB_PASSWORD", "web-db", "tandem_fenced 0", "person-", "registry.example/web"]
    {
        assert!(text.contains(kept), "{kept}");
    }

    let mut unpacked = tar::Archive::new(raw.as_slice());
    let files: Vec<(String, Vec<u8>)> = unpacked
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        })
        .collect();
    assert!(files[0].0.ends_with("/MANIFEST.json"), "{}", files[0].0);
    let manifest: Value = serde_json::from_slice(&files[0].1).unwrap();
    assert_eq!(manifest["files"].as_array().unwrap().len() + 1, files.len());
    let missed = manifest["missed"].as_array().unwrap();
    assert!(missed.iter().any(|missed| missed["what"] == "sites/dc-b"), "{missed:?}");
    assert!(manifest["removed"]["field-not-listed"].as_u64() > Some(4), "{manifest}");
    let of = |end: &str| files.iter().find(|(name, _)| name.ends_with(end)).unwrap_or_else(|| panic!("no {end}"));
    let events: Vec<Value> = serde_json::from_slice(&of("events-of-objects.json").1).unwrap();
    assert_eq!(events.len(), 1, "agencies' own events are not taken");
    of("logs/tandem-operator-0-operator-previous.log");
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|path| !path.contains("/secrets")), "no Secret is read");
}

#[test]
fn what_goes_beyond_the_bound_is_listed() {
    let mut archive = Archive::new(10);
    archive.text("small", "12345");
    archive.text("large", "1234567");
    archive.text("small-again", "12345");
    assert_eq!(archive.counts(), (2, 1));
}
