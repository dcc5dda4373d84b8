//! A Prometheus of the test's own.

use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tandem_tests::watching::rules_file;
use tandem_tests::{Lab, eventually};

/// By how much everything that rules wait for is shortened.
const FACTOR: u64 = 60;
/// Points of a range are this far apart, and so are scrapes and evaluations.
pub(crate) const STEP: Duration = Duration::from_secs(1);
/// Where a series has no point for longer, it ended.
const GAP: f64 = 3.5;

/// A running Prometheus, gone when it is dropped.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
    client: Client<HttpConnector, Empty<bytes::Bytes>>,
    _folder: tempfile::TempDir,
}

/// What one series was: its labels, and its points by Unix time in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    /// How often it began.
    pub(crate) fn times(&self) -> usize {
        let gaps = self.points.windows(2).filter(|pair| pair[1].0 - pair[0].0 > GAP).count();
        gaps + usize::from(!self.points.is_empty())
    }
}

/// Now, as Prometheus counts.
#[allow(clippy::disallowed_methods)] // an edge: Prometheus goes by the wall clock
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// `90s`, `1h`, … made shorter, in milliseconds.
fn shorter(duration: &str) -> String {
    let (number, unit) = duration.split_at(duration.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => panic!("{duration}"),
    };
    format!("{}ms", number.parse::<u64>().unwrap() * seconds * 1000 / FACTOR)
}

/// An expression with its ranges, steps and offsets made shorter.
fn shortened(expr: &str) -> String {
    let mut parts = expr.split('[');
    let mut result = parts.next().unwrap().to_owned();
    for part in parts {
        let (range, rest) = part.split_once(']').unwrap();
        let range: Vec<String> = range.split(':').map(shorter).collect();
        result += &format!("[{}]{rest}", range.join(":"));
    }
    let mut parts = result.split("offset ");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(part.len());
        whole += &format!("offset {}{}", shorter(&part[..end]), &part[end..]);
    }
    whole
}

fn shortened_rules() -> String {
    let mut file: Value = serde_yaml::from_str(&fs::read_to_string(rules_file()).unwrap()).unwrap();
    for group in file["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            if let Some(waits) = rule["for"].as_str().map(shorter) {
                rule["for"] = waits.into();
            }
            rule["expr"] = shortened(rule["expr"].as_str().unwrap()).into();
        }
    }
    serde_yaml::to_string(&file).unwrap()
}

/// What is scraped: every operator and API, by the loopback ports that the lab forwards.
fn configuration(lab: &Lab) -> String {
    let scraped = |site: &str, program: &str| {
        let (ca, job) = match program {
            "api" => (lab.dir().join("people/api-ca.crt"), "api"),
            _ => (lab.dir().join(site).join("pki/ca.crt"), "operator"),
        };
        json!({
            "job_name": format!("{site}-{program}"), "scheme": "https",
            "tls_config": {"ca_file": ca, "server_name": "localhost"},
            "static_configs": [{
                "targets": [format!("127.0.0.1:{}", lab.port(&format!("{site}/{program}")))],
                "labels": {"dc": site, "instance": program, "job": format!("tandem-{job}")},
            }],
        })
    };
    let programs = ["operator-0", "operator-1", "api"];
    let jobs: Vec<Value> =
        ["dc-a", "dc-b"].iter().flat_map(|site| programs.map(|program| scraped(site, program))).collect();
    serde_yaml::to_string(&json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"], "scrape_configs": jobs,
    }))
    .unwrap()
}

fn percent_encoded(text: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl Prometheus {
    /// Starts it beside a lab.
    pub(crate) async fn start(lab: &Lab) -> Self {
        let folder = tempfile::Builder::new().prefix("tandem-prometheus-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("prometheus.yaml"), configuration(lab)).unwrap();
        fs::write(path("rules.yaml"), shortened_rules()).unwrap();
        // Nobody else is given the port between here and there but by ill luck, and then it says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = fs::File::create(lab.dir().join("prometheus.log")).unwrap();
        let program = std::env::var("TANDEM_PROMETHEUS").unwrap_or_else(|_| "prometheus".to_owned());
        // It does not outlive this process, however that ends.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", &program])
            .arg(format!("--config.file={}", path("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv: {error}; run `make watch`, which installs what it takes"));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let this = Self { child, address: format!("http://127.0.0.1:{port}"), client, _folder: folder };
        eventually("Prometheus to be ready", Duration::from_secs(60), || async {
            this.get("/-/ready").await.map(drop)
        })
        .await;
        this
    }

    async fn get(&self, path: &str) -> Option<Vec<u8>> {
        let answer = self.client.get(format!("{}{path}", self.address).parse().unwrap()).await.ok()?;
        let good = answer.status().is_success();
        let body = answer.into_body().collect().await.ok()?.to_bytes().to_vec();
        if !good {
            eprintln!("{path}: {}", String::from_utf8_lossy(&body));
        }
        good.then_some(body)
    }

    async fn ask(&self, path: &str) -> Value {
        let body = self.get(path).await.unwrap_or_else(|| panic!("Prometheus does not answer {path}"));
        serde_json::from_slice(&body).unwrap()
    }

    /// What an expression was, from `start` until now.
    pub(crate) async fn range(&self, expr: &str, start: f64) -> Vec<Series> {
        let (query, end, step) = (percent_encoded(expr), now(), STEP.as_secs());
        let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}");
        let answer = self.ask(&path).await;
        let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap_or(f64::NAN);
        let points = |series: &Value| -> Vec<(f64, f64)> {
            let points = series["values"].as_array().unwrap().iter();
            points.map(|point| (point[0].as_f64().unwrap(), number(&point[1]))).collect()
        };
        let result = answer["data"]["result"].as_array().unwrap();
        result
            .iter()
            .map(|series| Series {
                labels: serde_json::from_value(series["metric"].clone()).unwrap(),
                points: points(series),
            })
            .collect()
    }

    /// What an expression is now: labels and values.
    pub(crate) async fn instant(&self, expr: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let answer = self.ask(&format!("/api/v1/query?query={}", percent_encoded(expr))).await;
        let result = answer["data"]["result"].as_array().unwrap();
        result
            .iter()
            .map(|series| {
                let value = series["value"][1].as_str().unwrap().parse().unwrap_or(f64::NAN);
                (serde_json::from_value(series["metric"].clone()).unwrap(), value)
            })
            .collect()
    }

    /// The rules as it has evaluated them: name, health, and what was wrong.
    pub(crate) async fn rules(&self) -> Vec<(String, String, String)> {
        let answer = self.ask("/api/v1/rules").await;
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rules.map(|rule| (text(&rule["name"]), text(&rule["health"]), text(&rule["lastError"]))).collect()
    }

    /// The alerts that fire now, with what they say to people.
    pub(crate) async fn alerts(&self) -> Vec<Value> {
        let answer = self.ask("/api/v1/alerts").await;
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        alerts.iter().filter(|alert| alert["state"] == "firing").cloned().collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
