//! Measures the API on a lab: reads and accepted writes a second, how long they take, and memory; beside a bare axum server and a
//! bare etcd put, measured in the same run with the same client, as ratios. `make bench-api` runs it; it tests nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use axum::Router;
use axum::routing::get;
use axum_server::tls_rustls::RustlsConfig;
use futures::StreamExt;
use futures::stream::{FuturesUnordered, iter};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tandem_arbiter::records::PREFIX;
use tandem_arbiter::store::Store;
use tandem_arbiter::txn::{Op, Txn};
use tandem_crds::Kind;
use tandem_tests::https::{Caller, Shown};
use tandem_tests::{Lab, api, apply, eventually, fixtures, is_ready};

/// How many at once.
const AT_ONCE: usize = 16;
/// How many are measured of what reads, and of what writes.
const READS: usize = 4_000;
const WRITES: usize = 400;
/// No limit but the machine's, and what one lab may hold.
const UNLIMITED: [&str; 6] = [
    "--set",
    "api.limits.client={perSecond: 100000, burst: 100000}",
    "--set",
    "api.limits.unit={perSecond: 100000, burst: 100000}",
    "--set",
    "api.limits.address={perSecond: 100000, burst: 100000}",
];

/// What was measured of one thing.
struct Measured {
    name: &'static str,
    count: usize,
    all: Duration,
    each: Vec<Duration>,
}

impl Measured {
    fn a_second(&self) -> f64 {
        self.count as f64 / self.all.as_secs_f64()
    }

    fn quantile(&self, per_cent: usize) -> f64 {
        self.each[(self.each.len() - 1) * per_cent / 100].as_secs_f64() * 1_000.0
    }
}

/// Does something so many times, so many at once.
async fn measure<F: Future<Output = ()>>(
    name: &'static str,
    count: usize,
    mut act: impl FnMut(usize) -> F,
) -> Measured {
    let started = Instant::now();
    let timed = (0..count).map(|n| {
        let act = act(n);
        async move {
            let started = Instant::now();
            act.await;
            started.elapsed()
        }
    });
    let mut each: Vec<Duration> = iter(timed).buffer_unordered(AT_ONCE).collect().await;
    let all = started.elapsed();
    each.sort();
    Measured { name, count, all, each }
}

/// A bare server that says hello, over TLS.
async fn hello(dir: &Path) -> Caller {
    let issued = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let authority = dir.join("hello.crt");
    std::fs::write(&authority, issued.cert.pem()).unwrap();
    let (cert, key) = (issued.cert.pem().into_bytes(), issued.signing_key.serialize_pem().into_bytes());
    let tls = RustlsConfig::from_pem(cert, key).await.unwrap();
    let handle = axum_server::Handle::new();
    let server = axum_server::bind_rustls(SocketAddr::from(([127, 0, 0, 1], 0)), tls).handle(handle.clone());
    tokio::spawn(server.serve(Router::new().route("/", get(async || "hello")).into_make_service()));
    let address = handle.listening().await.unwrap();
    Caller::new(format!("https://{address}"), &authority, None)
}

/// How much memory a program of the lab has now, and had at most, in MiB.
fn memory(config: &Path) -> Option<(u64, u64)> {
    let wanted = format!("--config={}", config.display());
    let processes = std::fs::read_dir("/proc").ok()?;
    let found = processes.filter_map(Result::ok).map(|entry| entry.path()).find(|path| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).split('\0').any(|argument| argument == wanted)
    })?;
    let status = std::fs::read_to_string(found.join("status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let lab = Lab::start_with("bench", &UNLIMITED);
    let client = lab.client("dc-a").await;
    apply(&client, &fixtures::unit("health")).await.unwrap();
    apply(&client, &fixtures::environment("health", "prod", 4)).await.unwrap();
    let units = api(&client, Kind::Environment, None);
    eventually("the environment to be ready", Duration::from_secs(90), || async {
        is_ready(&units.get_opt("health-prod").await.ok()??).then_some(())
    })
    .await;
    let applications: FuturesUnordered<_> = (0..50)
        .map(|n| {
            let client = client.clone();
            async move { apply(&client, &fixtures::application("health-prod", &format!("app-{n}"), 0)).await.unwrap() }
        })
        .collect();
    applications.collect::<Vec<_>>().await;
    let li = lab.asks_api("dc-a", Shown::Person("li"));
    eventually("the applications to be shown", Duration::from_secs(90), || async {
        let list = li.try_get("/v1/applications?limit=100").await.ok()?;
        (list.body["items"].as_array()?.len() == 50).then_some(())
    })
    .await;

    let bare = hello(lab.dir()).await;
    let arbiter = lab.arbiter().await;
    let asks = |path: &'static str, caller: &Caller| {
        let caller = caller.clone();
        async move { assert_eq!(caller.get(path).await.status, 200, "{path}") }
    };
    let mut measured = Vec::new();
    for warm in [true, false] {
        let (reads, writes) = if warm { (200, 20) } else { (READS, WRITES) };
        measured = vec![
            measure("bare axum, hello", reads, |_| asks("/", &bare)).await,
            measure("GET /v1/me", reads, |_| asks("/v1/me", &li)).await,
            measure("GET one application", reads, |_| asks("/v1/applications/health-prod/app-7", &li)).await,
            measure("GET 50 applications", reads, |_| asks("/v1/applications?limit=100", &li)).await,
            measure("bare etcd put", writes, |n| {
                let key = format!("{PREFIX}idempotency/bench-{n}");
                let txn = Txn { then: vec![Op::put(key, &json!({"n": n}))], ..Txn::default() };
                let arbiter = arbiter.clone();
                async move { assert!(arbiter.txn(&txn).await.unwrap().succeeded) }
            })
            .await,
            measure("POST a request, durable", writes, |n| {
                let (li, key) = (li.clone(), format!("{}-{n}", if warm { "w" } else { "m" }));
                async move {
                    let asked = json!({
                        "type": "Create", "environment": format!("health-{key}"), "reason": "a measurement",
                        "quota": {"cpu": "1", "memory": "1Gi", "storage": "1Gi", "pods": 1},
                    });
                    let answer = li.post("/v1/requests", &key, &asked).await;
                    assert_eq!(answer.status, 201, "{answer:?}");
                }
            })
            .await,
        ];
    }
    println!("\n{AT_ONCE} at once, over TLS; the bare ones are measured in this run with the same client\n");
    println!("{:<26} {:>7} {:>10} {:>9} {:>9}  of the bare one", "", "count", "a second", "p50 ms", "p99 ms");
    let (reads, writes) = measured.split_at(4);
    for part in [reads, writes] {
        let bare = part[0].a_second();
        for one in part {
            let (rate, share) = (one.a_second(), one.a_second() / bare);
            println!(
                "{:<26} {:>7} {rate:>10.0} {:>9.2} {:>9.2}  {share:.3}",
                one.name,
                one.count,
                one.quantile(50),
                one.quantile(99)
            );
        }
    }
    match memory(&lab.dir().join("dc-a/api.yaml")) {
        Some((now, most)) => println!("\ntandem-api: {now} MiB, at most {most} MiB"),
        None => println!("\ntandem-api: its memory cannot be read"),
    }
}
