//! The lab's data services, as their clients see them; and a client that writes to whichever takes it.

use crate::Lab;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a service may take to answer a client.
const LIMIT: Duration = Duration::from_millis(500);

/// A client of one site's data service.
#[derive(Clone)]
pub struct Hook {
    client: kube::Client,
}

/// A line of a service's log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// When the question came, on the machine's boot clock.
    pub asked_nanos: u64,
    /// When it was answered, likewise.
    pub answered_nanos: u64,
    /// What was asked.
    pub what: String,
    /// Under which token.
    pub token: BTreeMap<String, u64>,
    /// What became of it.
    pub outcome: String,
    /// Why, where it was not done.
    #[serde(default)]
    pub why: String,
}

impl Lab {
    /// A client of one site's data service, with a certificate that its clients have.
    ///
    /// # Panics
    /// When the lab was not started with `--data`.
    pub async fn hook(&self, site: &str) -> Hook {
        self.beside_data(site, "hook", "data-ca", "hook-client").await
    }

    /// A client of the agents beside a group's PostgreSQL members at a site.
    ///
    /// # Panics
    /// When the lab was not started with `--postgres`.
    pub async fn database_agents(&self, site: &str, group: &str) -> [Hook; 2] {
        let [first, second] = [0, 1].map(|number| format!("agent-{group}-{number}"));
        let agent = |program| self.beside_data(site, program, "data-ca", "hook-client");
        [agent(&first).await, agent(&second).await]
    }

    /// A client of the Patroni of the plain cluster's member at a site.
    ///
    /// # Panics
    /// When the lab was not started with `--spread-postgres`.
    pub async fn plain_member(&self, site: &str) -> Hook {
        self.beside_data(site, "patroni-plain", "plain-ca", "plain-lab").await
    }

    /// A client of a program, by its authority and the certificate to show.
    async fn beside_data(&self, site: &str, program: &str, authority: &str, shown: &str) -> Hook {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = self.port(&format!("{site}/{program}"));
        let pki = self.dir().join(site).join("pki");
        let file = |name: &str| pki.join(name).display().to_string();
        let kubeconfig = serde_json::from_value(json!({
            "current-context": "hook",
            "contexts": [{"name": "hook", "context": {"cluster": "hook", "user": "client"}}],
            "clusters": [{"name": "hook", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "certificate-authority": file(&format!("{authority}.crt")),
            }}],
            "users": [{"name": "client", "user": {
                "client-certificate": file(&format!("{shown}.crt")), "client-key": file(&format!("{shown}.key")),
            }}],
        }));
        let options = kube::config::KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig.unwrap(), &options).await.unwrap();
        config.default_retry = false;
        for limit in [&mut config.connect_timeout, &mut config.read_timeout, &mut config.write_timeout] {
            *limit = Some(LIMIT);
        }
        Hook { client: kube::Client::try_from(config).unwrap() }
    }

    /// A failover group whose data these services have.
    ///
    /// # Panics
    /// When the lab was not started with `--data`.
    #[must_use]
    pub fn group_with_data(&self, name: &str) -> Value {
        let base = self.state()["plan"]["base"].clone();
        let site = |site: &str, octet: u64| {
            let ca = std::fs::read_to_string(self.dir().join(site).join("pki/data-ca.crt")).unwrap();
            json!({
                "site": site, "url": format!("https://{}.{}.{octet}.7:9443/v1", base[0], base[1]),
                "caBundle": ca, "clientCertificateSecret": "hook-operator",
            })
        };
        json!({
            "apiVersion": "tandem.dev/v1alpha1", "kind": "FailoverGroup", "metadata": {"name": name},
            "spec": {
                "displayName": {"zh": "测试台账"}, "mode": "Automatic", "rpoSeconds": 60, "provider": "Hook",
                "hook": {"sites": [site("dc-a", 0), site("dc-b", 64)], "timeoutSeconds": 1},
            },
        })
    }
}

impl Hook {
    /// Asks, and gives back status and body; `None` where no answer came in time.
    pub async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let mut request = http::Request::builder().method(method).uri(path);
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap());
        if bytes.is_some() {
            request = request.header("Content-Type", "application/json");
        }
        let request = request.body(kube::client::Body::from(bytes.unwrap_or_default())).unwrap();
        let whole = async {
            let response = self.client.send(request).await.ok()?;
            let status = response.status().as_u16();
            let bytes = response.into_body().collect_bytes().await.ok()?;
            Some((status, serde_json::from_slice(&bytes).unwrap_or_default()))
        };
        tokio::time::timeout(LIMIT, whole).await.ok()?
    }

    /// All that was asked of the service.
    ///
    /// # Panics
    /// When it does not say.
    pub async fn log(&self) -> Vec<Line> {
        let (status, body) = self.ask("GET", "/v1/log", None).await.expect("the log");
        assert_eq!(status, 200);
        serde_json::from_value(body).unwrap()
    }

    /// The numbers that it has.
    ///
    /// # Panics
    /// When it does not say.
    pub async fn numbers(&self) -> Vec<u64> {
        let (status, body) = self.ask("GET", "/v1/entries", None).await.expect("the numbers");
        assert_eq!(status, 200);
        body.as_array().unwrap().iter().map(|entry| entry["value"].as_u64().unwrap()).collect()
    }

    /// Stages a fault of a call: `hang` or `fail`.
    ///
    /// # Panics
    /// When the service does not take it.
    pub async fn stage(&self, call: &str, mode: &str) {
        let answer = self.ask("POST", "/v1/faults", Some(&json!({"call": call, "mode": mode}))).await;
        assert_eq!(answer.unwrap().0, 204);
    }

    /// Lifts every staged fault.
    ///
    /// # Panics
    /// When the service does not take it.
    pub async fn heal(&self) {
        assert_eq!(self.ask("DELETE", "/v1/faults", None).await.unwrap().0, 204);
    }
}

/// A client that writes one number after the other, to whichever site takes it, until it is stopped.
pub struct Writer {
    accepted: Arc<Mutex<Vec<(u64, &'static str)>>>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Begins to write, numbers from this one on.
    #[must_use]
    pub fn start(a: Hook, b: Hook, first: u64) -> Self {
        let accepted = Arc::<Mutex<Vec<(u64, &'static str)>>>::default();
        let kept = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let sites = [("dc-a", a), ("dc-b", b)];
            let mut here = 0;
            for value in first.. {
                let (site, hook) = &sites[here];
                // A number that was not acknowledged is given up: nobody knows whether it is there.
                match hook.ask("POST", "/v1/entries", Some(&json!({"value": value}))).await {
                    Some((201, _)) => kept.lock().unwrap().push((value, *site)),
                    _ => {
                        here = 1 - here;
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        });
        Self { accepted, task }
    }

    /// How many numbers a site has accepted.
    #[must_use]
    pub fn accepted(&self, site: &str) -> usize {
        self.accepted.lock().unwrap().iter().filter(|(_, by)| *by == site).count()
    }

    /// Stops, and gives back the numbers that were accepted.
    pub async fn stop(self) -> Vec<u64> {
        self.task.abort();
        let _ = self.task.await;
        self.accepted.lock().unwrap().iter().map(|(value, _)| *value).collect()
    }
}
