//! A worker with real processes and an API server that only listens.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::pods::Context;
use super::super::programs::Programs;
use super::{Order, Worker};

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers every request with the pod.
async fn serve(mut stream: TcpStream, pod: Value, requests: Requests) {
    let mut data = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = data.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut data).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8_lossy(&data[..head]).to_lowercase();
        let length = text.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        while data.len() < head + length {
            stream.read_buf(&mut data).await.unwrap();
        }
        let body = serde_json::from_slice(&data[head..head + length]).unwrap_or_default();
        let method = text.split(' ').next().unwrap().to_owned();
        requests.lock().unwrap().push((method, body));
        data.drain(..head + length);
        let answer = pod.to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).await.unwrap();
    }
}

struct Bench {
    dir: tempfile::TempDir,
    requests: Requests,
    orders: watch::Sender<Order>,
    pod: Value,
    context: Arc<Context>,
    worker: JoinHandle<()>,
}

impl Bench {
    /// A pod whose one container runs `script`.
    async fn new(script: &str, policy: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let app = dir.path().join("app");
        std::fs::write(&app, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&app, PermissionsExt::from_mode(0o755)).unwrap();
        let pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "5"},
            "spec": {"restartPolicy": policy, "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "c", "image": "tandem.dev/app:dev"}]}});

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Requests::default();
        let (answer, log) = (pod.clone(), requests.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), log.clone()));
            }
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let (_, services) = watch::channel(Some(Arc::default()));
        let context = Arc::new(Context {
            client: kube::Client::try_from(config).unwrap(),
            node: "node".into(),
            dir: dir.path().to_owned(),
            programs: Programs::new(dir.path(), dir.path().join("copies"), dir.path().join("images")).unwrap(),
            host_ip: Ipv4Addr::LOCALHOST,
            services,
            isolated: watch::channel(std::collections::BTreeMap::new()).1,
        });
        let (orders, worker) = start(&context, &pod);
        Self { dir, requests, orders, pod, context, worker }
    }

    fn said(&self, holds: impl Fn(&Value) -> bool) -> bool {
        self.requests.lock().unwrap().iter().any(|(m, b)| m == "patch" && holds(&b["status"]))
    }

    fn deleted(&self) -> Option<Value> {
        self.requests.lock().unwrap().iter().find(|(m, _)| m == "delete").map(|(_, b)| b.clone())
    }

    async fn eventually(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !holds(self) {
            assert!(Instant::now() < deadline, "{what}: {:#?}", self.requests.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("pods/ns_p_u/c.log")).unwrap_or_default()
    }

    fn delete(&mut self) {
        self.pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        self.pod["metadata"]["deletionGracePeriodSeconds"] = json!(1);
        self.orders.send_replace(Order { pod: parse(&self.pod), gone: false });
    }
}

fn parse(pod: &Value) -> Arc<Pod> {
    Arc::new(serde_json::from_value(pod.clone()).unwrap())
}

fn start(context: &Arc<Context>, pod: &Value) -> (watch::Sender<Order>, JoinHandle<()>) {
    let (orders, receiver) = watch::channel(Order { pod: parse(pod), gone: false });
    let worker = Worker::new(context.clone(), receiver, Ipv4Addr::new(127, 1, 2, 3));
    (orders, tokio::spawn(worker.run()))
}

fn state(status: &Value) -> &Value {
    &status["containerStatuses"][0]["state"]
}

/// Other users than one's own need root, as the lab does.
fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[tokio::test]
async fn a_container_that_crashes_comes_back_and_its_backoff_shows() {
    if !root() {
        return;
    }
    let mut bench = Bench::new("echo run; exit 7", "Always").await;
    bench.eventually("a back-off", |b| b.said(|s| state(s)["waiting"]["reason"] == "CrashLoopBackOff")).await;
    assert!(bench.said(|s| {
        let c = &s["containerStatuses"][0];
        c["lastState"]["terminated"]["exitCode"] == 7 && c["restartCount"] == 2 && s["phase"] == "Running"
    }));
    bench.eventually("a third run", |b| b.log().lines().count() >= 3).await;
    bench.orders.send_modify(|o| o.gone = true);
    (&mut bench.worker).await.unwrap();
    assert_eq!(bench.requests.lock().unwrap().iter().filter(|(m, _)| m == "delete").count(), 0, "it is gone already");
}

#[tokio::test]
async fn a_deleted_pod_ends_by_force_if_need_be_and_then_its_object_goes() {
    if !root() {
        return;
    }
    let mut bench = Bench::new("trap 'echo asked' TERM; echo up; while :; do sleep 0.1; done", "Always").await;
    bench.eventually("the process runs", |b| b.log().contains("up") && b.said(|s| s["phase"] == "Running")).await;
    bench.delete();
    bench.eventually("a deletion", |b| b.deleted().is_some()).await;
    let options = bench.deleted().unwrap();
    assert_eq!((&options["gracePeriodSeconds"], &options["preconditions"]["uid"]), (&json!(0), &json!("u")));
    assert!(bench.log().contains("asked"), "SIGTERM comes first");
    assert!(bench.said(|s| state(s)["terminated"]["signal"] == 9), "SIGKILL after the grace");
    (&mut bench.worker).await.unwrap();
    assert!(!bench.dir.path().join("pods/ns_p_u/state.json").exists());
}

#[tokio::test]
async fn a_pod_that_is_to_run_once_succeeds() {
    if !root() {
        return;
    }
    let mut bench = Bench::new("echo done", "Never").await;
    bench.eventually("success", |b| b.said(|s| s["phase"] == "Succeeded")).await;
    bench.delete();
    (&mut bench.worker).await.unwrap();
    assert_eq!(bench.log(), "done\n");
}

#[tokio::test]
async fn a_process_outlives_its_node_and_is_taken_over() {
    if !root() {
        return;
    }
    let mut bench = Bench::new("echo $$; exec sleep 1000", "Always").await;
    bench.eventually("the process runs", |b| b.said(|s| s["phase"] == "Running")).await;
    bench.worker.abort(); // as if the node had been killed
    let _ = (&mut bench.worker).await;
    let running = |pid: &str| Path::new("/proc").join(pid).exists();
    let pid = bench.log().trim().to_owned();
    assert!(running(&pid));

    (bench.orders, bench.worker) = start(&bench.context, &bench.pod);
    bench.delete();
    bench.eventually("a deletion", |b| b.deleted().is_some()).await;
    (&mut bench.worker).await.unwrap();
    assert_eq!(bench.log().lines().count(), 1, "not started again");
}

#[tokio::test]
async fn a_node_that_ends_does_not_call_its_pods_ended() {
    if !root() {
        return;
    }
    let mut bench = Bench::new("echo up; exec sleep 1000", "Always").await;
    bench.eventually("the process runs", |b| b.said(|s| s["phase"] == "Running")).await;
    bench.orders.send_modify(|o| o.gone = true);
    (&mut bench.worker).await.unwrap();
    let phases = bench.requests.lock().unwrap().iter().map(|(_, b)| b["status"]["phase"].clone()).collect::<Vec<_>>();
    assert!(phases.iter().all(|p| p == "Running" || p == "Pending"), "{phases:?}");
}
