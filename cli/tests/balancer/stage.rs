//! Gates, services behind them, and HAProxy between those and a client, all on loopback.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{any, get};
use axum_server::tls_rustls::RustlsConfig;
use futures::StreamExt;
use rcgen::{CertificateParams, KeyPair};
use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};

/// The name in the gates' certificates.
const NAME: &str = "tandem-operator";
/// Long enough for a busy machine; times of a real balancer follow from T, which is 30 s here.
const INTER: u64 = 300;
const TIMEOUT: u64 = 1_500;
/// The bound that the configuration promises.
pub(crate) const CUT: Duration = Duration::from_millis(INTER + TIMEOUT);

/// HAProxy's program.
pub(crate) fn haproxy() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("haproxy")).find(|path| path.is_file());
    found.expect("haproxy is not installed; mend it: apt-get install haproxy")
}

/// A certificate of the gates' and its key, PEM; it is its own authority.
pub(crate) fn certificate() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A gate: what it answers can be changed.
pub(crate) struct Gate {
    address: SocketAddr,
    status: Arc<AtomicU16>,
}

impl Gate {
    async fn new((certificate, key): &(String, String)) -> Self {
        let status = Arc::new(AtomicU16::new(503));
        let says = Arc::clone(&status);
        let answer = move || async move { StatusCode::from_u16(says.load(Ordering::SeqCst)).unwrap() };
        let routes = Router::new().route("/active/hall", get(answer));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = RustlsConfig::from_pem(certificate.clone().into_bytes(), key.clone().into_bytes()).await.unwrap();
        let handle = axum_server::Handle::new();
        let server = axum_server::bind_rustls(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config);
        tokio::spawn(server.handle(handle.clone()).serve(routes.into_make_service()));
        Self { address: handle.listening().await.unwrap(), status }
    }

    pub(crate) fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

/// A site: two gates, and a service that says the site's name.
pub(crate) struct Site {
    pub(crate) gates: [Gate; 2],
    endpoint: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Site {
    async fn new(name: &'static str, certificate: &(String, String)) -> Self {
        let requests = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&requests);
        let stream = || async {
            let ticks = futures::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Some((Ok::<_, Infallible>(Bytes::from_static(b".")), ()))
            });
            Body::from_stream(ticks.boxed())
        };
        // Takes a request and never answers it: what became of it, nobody knows.
        let never = || async { std::future::pending::<StatusCode>().await };
        let routes = Router::new()
            .route("/", any(move || async move { name }))
            .route("/stream", get(stream))
            .route("/never", any(never))
            .layer(axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
                counted.fetch_add(1, Ordering::SeqCst);
                next.run(request)
            }));
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { gates: [Gate::new(certificate).await, Gate::new(certificate).await], endpoint, requests }
    }

    pub(crate) fn says(&self, status: u16) {
        self.gates.iter().for_each(|gate| gate.says(status));
    }

    /// How many requests came to its service.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Two sites, a balancer before them.
pub(crate) struct Stage {
    pub(crate) sites: [Site; 2],
    /// The entry over HTTP, and the one of connections.
    pub(crate) entries: [SocketAddr; 2],
    config: PathBuf,
    _folder: tempfile::TempDir,
    haproxy: Child,
}

fn free() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let certificate = certificate();
        Self::with(&certificate, &certificate).await
    }

    /// The gates show `shown`, and the balancer believes the authority of `believed`.
    pub(crate) async fn with(shown: &(String, String), believed: &(String, String)) -> Self {
        let sites = [Site::new("dc-a", shown).await, Site::new("dc-b", shown).await];
        let entries = [free(), free()];
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.crt");
        fs::write(&authority, &believed.0).unwrap();
        let site = |name: &str, site: &Site| {
            let [first, second] = [site.gates[0].address, site.gates[1].address];
            let authority = authority.display();
            format!("{{name: {name}, gates: [\"{first}\", \"{second}\"], caFile: {authority}, gateName: {NAME}}}")
        };
        let endpoints = format!("{{dc-a: \"{}\", dc-b: \"{}\"}}", sites[0].endpoint, sites[1].endpoint);
        let description = format!(
            "heartbeatSeconds: 6
interMillis: {INTER}
timeoutMillis: {TIMEOUT}
sites: [{}, {}]
entries:
  - {{group: hall, bind: \"{}\", endpoints: {endpoints}}}
  - {{name: hall-tcp, group: hall, mode: Tcp, bind: \"{}\", endpoints: {endpoints}}}
",
            site("dc-a", &sites[0]),
            site("dc-b", &sites[1]),
            entries[0],
            entries[1]
        );
        let (file, config) = (folder.path().join("balancer.yaml"), folder.path().join("haproxy.cfg"));
        fs::write(&file, description).unwrap();
        let written = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["balancer", "haproxy", "--file"])
            .arg(&file)
            .arg("--out")
            .arg(&config)
            .output();
        let written = written.await.unwrap();
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let haproxy = start(&config, &[]);
        Self { sites, entries, config, _folder: folder, haproxy }
    }

    /// Starts another process that takes over from the one that runs, as a reload does.
    pub(crate) fn reload(&self) -> Child {
        let old = self.haproxy.id().unwrap().to_string();
        start(&self.config, &["-sf", &old])
    }
}

fn start(config: &std::path::Path, more: &[&str]) -> Child {
    let mut command = Command::new(haproxy());
    command.arg("-db").arg("-f").arg(config).args(more).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().unwrap()
}
