//! A real etcd, started by a test and ended with it.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tandem_arbiter::store::{EtcdConfig, EtcdStore, Store};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const PROGRAM: &str = "/usr/bin/etcd";

struct Pem {
    cert: String,
    key: String,
}

/// One etcd member on loopback. Dropping it ends the process, by its id.
pub(crate) struct Etcd {
    child: Child,
    port: u16,
    ca: String,
    client: Pem,
    _dir: TempDir,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "contract test");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Pem {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let cert = params.signed_by(&key, issuer).unwrap();
    Pem { cert: cert.pem(), key: key.serialize_pem() }
}

/// A port that nobody listens at, at this moment.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Etcd {
    pub(crate) async fn start() -> Self {
        assert!(
            std::path::Path::new(PROGRAM).exists(),
            "{PROGRAM} is missing; install the Debian package etcd-server (apt-get install etcd-server)"
        );
        // A port may be taken between asking and using: then etcd ends, and others are tried.
        for _ in 0..3 {
            if let Some(etcd) = Self::try_start().await {
                return etcd;
            }
        }
        panic!("{PROGRAM} did not start on three pairs of free ports");
    }

    async fn try_start() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let issuer = authority();
        let (server, client) = (leaf(&issuer, "etcd"), leaf(&issuer, "site-dc-a"));
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let ca = file("ca.pem", &issuer.pem());
        let (cert, key) = (file("cert.pem", &server.cert), file("key.pem", &server.key));
        let (port, peer) = (free_port(), free_port());
        let (at, peer_at) = (format!("https://127.0.0.1:{port}"), format!("https://127.0.0.1:{peer}"));
        let child = Command::new(PROGRAM)
            .args(["--name", "contract", "--data-dir", dir.path().join("data").to_str().unwrap()])
            .args(["--listen-client-urls", &at, "--advertise-client-urls", &at])
            .args(["--listen-peer-urls", &peer_at, "--initial-advertise-peer-urls", &peer_at])
            .args(["--initial-cluster", &format!("contract={peer_at}")])
            .args(["--client-cert-auth", "--trusted-ca-file", &ca, "--cert-file", &cert, "--key-file", &key])
            .args(["--peer-client-cert-auth", "--peer-trusted-ca-file", &ca])
            .args(["--peer-cert-file", &cert, "--peer-key-file", &key])
            .args(["--logger", "zap", "--log-level", "error", "--unsafe-no-fsync"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut etcd = Self { child, port, ca: issuer.pem(), client, _dir: dir };
        let store = etcd.store(&[etcd.endpoint()]).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while tokio::time::Instant::now() < deadline {
            if etcd.child.try_wait().unwrap().is_some() {
                return None;
            }
            if store.range("/contract/").await.is_ok() {
                return Some(etcd);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{PROGRAM} did not answer within 60 s");
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// An endpoint at which nobody listens.
    pub(crate) fn dead_endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", free_port())
    }

    pub(crate) fn config(&self, endpoints: &[String]) -> EtcdConfig {
        let Pem { cert, key } = &self.client;
        let mut config = EtcdConfig::new(
            endpoints.to_vec(),
            self.ca.clone().into_bytes(),
            cert.clone().into_bytes(),
            key.clone().into_bytes(),
        );
        // Few keys a page, so that the suite turns pages.
        config.page = 3;
        config
    }

    /// What somebody has whose certificate another authority signed.
    pub(crate) fn config_of_stranger(&self) -> EtcdConfig {
        let Pem { cert, key } = leaf(&authority(), "site-dc-a");
        let config = self.config(&[self.endpoint()]);
        EtcdConfig { cert: cert.into_bytes(), key: key.into_bytes(), ..config }
    }

    pub(crate) async fn store(&self, endpoints: &[String]) -> EtcdStore {
        EtcdStore::new(self.config(endpoints)).await.unwrap()
    }

    pub(crate) async fn compact(&self, revision: i64) {
        let Pem { cert, key } = &self.client;
        let tls =
            TlsOptions::new().ca_certificate(Certificate::from_pem(&self.ca)).identity(Identity::from_pem(cert, key));
        let options = ConnectOptions::new().with_tls(tls);
        let mut client = Client::connect([self.endpoint()], Some(options)).await.unwrap();
        client.compact(revision, None).await.unwrap();
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
    }

    /// Stops the process, and returns once each of its threads stands still.
    pub(crate) async fn pause(&self) {
        self.signal(nix::sys::signal::Signal::SIGSTOP);
        let tasks = format!("/proc/{}/task", self.child.id().unwrap());
        let stopped = || {
            std::fs::read_dir(&tasks).unwrap().all(|task| {
                let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
                // The state follows the name, which stands in brackets.
                stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
            })
        };
        super::suite::eventually(async || stopped().then_some(())).await;
    }

    pub(crate) fn resume(&self) {
        self.signal(nix::sys::signal::Signal::SIGCONT);
    }
}
