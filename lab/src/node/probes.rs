//! Probes of real processes: when they are due, what their outcomes mean, and how they are made.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::process::Launch;

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// When a probe is made and how many outcomes make a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    success_threshold: u32,
    failure_threshold: u32,
}

impl Schedule {
    /// With the defaults of Kubernetes for what is not said.
    pub(super) fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.and_then(|v| v.try_into().ok()).filter(|v| *v > 0).unwrap_or(default))
        };
        let count =
            |value: Option<i32>, default| value.and_then(|v| v.try_into().ok()).filter(|v| *v > 0).unwrap_or(default);
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        }
    }
}

/// Counts outcomes in a row.
#[derive(Debug)]
pub(super) struct Counter {
    schedule: Schedule,
    row: u32,
    last: Option<bool>,
    verdict: Option<bool>,
}

impl Counter {
    /// `holds` is the verdict that already holds.
    pub(super) fn new(schedule: Schedule, holds: bool) -> Self {
        Self { schedule, row: 0, last: None, verdict: Some(holds) }
    }

    /// Takes an outcome; gives the verdict if it is another than before. A failed start is always told: what holds before
    /// it is the same as failure.
    pub(super) fn record(&mut self, success: bool, kind: Kind) -> Option<bool> {
        self.row = if self.last == Some(success) { self.row + 1 } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.schedule.success_threshold } else { self.schedule.failure_threshold };
        let failed_start = kind == Kind::Startup && !success && self.row == threshold;
        if self.row < threshold || (self.verdict == Some(success) && !failed_start) {
            return None;
        }
        self.verdict = Some(success);
        self.verdict
    }
}

/// What a probe does.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Http { tls: bool, host: String, port: u16, path: String, headers: Vec<(String, String)> },
    Tcp { host: String, port: u16 },
    Exec(Launch),
}

impl Action {
    /// What that probe of that container does. `None` for what the lab node cannot do (gRPC), or a port that is not there.
    pub(super) fn of(probe: &Probe, container: &Container, ip: Ipv4Addr, launch: &Launch) -> Option<Self> {
        let host = |host: &Option<String>| host.clone().filter(|h| !h.is_empty()).unwrap_or_else(|| ip.to_string());
        if let Some(http) = &probe.http_get {
            let path = http.path.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "/".into());
            return Some(Self::Http {
                tls: http.scheme.as_deref() == Some("HTTPS"),
                host: host(&http.host),
                port: port_of(&http.port, container)?,
                path: if path.starts_with('/') { path } else { format!("/{path}") },
                headers: http.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect(),
            });
        }
        if let Some(tcp) = &probe.tcp_socket {
            return Some(Self::Tcp { host: host(&tcp.host), port: port_of(&tcp.port, container)? });
        }
        let command = probe.exec.as_ref()?.command.clone()?;
        Some(Self::Exec(Launch { command, ..launch.clone() }))
    }

    /// Makes the probe once. The error says what failed, for people.
    pub(super) async fn attempt(&self, timeout: Duration) -> Result<(), String> {
        let attempt = async {
            match self {
                Self::Tcp { host, port } => connect(host, *port).await.map(drop),
                Self::Exec(launch) => match launch.succeeds().await {
                    Ok(true) => Ok(()),
                    Ok(false) => Err("the command failed".to_owned()),
                    Err(error) => Err(format!("the command could not be started: {error}")),
                },
                Self::Http { tls, host, port, path, headers } => {
                    let stream = connect(host, *port).await?;
                    let request = http_request(host, *port, path, headers);
                    let status = if *tls {
                        let name = ServerName::try_from(host.clone()).map_err(|e| e.to_string())?;
                        let stream = connector()?.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))?;
                        http_status(stream, &request).await?
                    } else {
                        http_status(stream, &request).await?
                    };
                    if (200..400).contains(&status) { Ok(()) } else { Err(format!("HTTP status {status}")) }
                }
            }
        };
        tokio::time::timeout(timeout, attempt).await.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")))
    }
}

fn port_of(port: &IntOrString, container: &Container) -> Option<u16> {
    match port {
        IntOrString::Int(number) => (*number).try_into().ok(),
        IntOrString::String(name) => {
            let ports = container.ports.iter().flatten();
            let named = ports.filter(|p| p.name.as_ref() == Some(name)).find_map(|p| p.container_port.try_into().ok());
            named.or_else(|| name.parse().ok())
        }
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|e| format!("{host}:{port}: {e}"))
}

fn http_request(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> String {
    let has = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    if !has("host") {
        request.push_str(&format!("Host: {host}:{port}\r\n"));
    }
    if !has("user-agent") {
        request.push_str("User-Agent: kube-probe/tandem-lab\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request
}

async fn http_status(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> Result<u16, String> {
    stream.write_all(request.as_bytes()).await.map_err(|e| e.to_string())?;
    stream.flush().await.map_err(|e| e.to_string())?;
    let mut answer = Vec::with_capacity(256);
    let mut part = [0; 256];
    while !answer.windows(2).any(|w| w == b"\r\n") && answer.len() < 4096 {
        match stream.read(&mut part).await {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&part[..n]),
            Err(error) => return Err(error.to_string()),
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let status = line.strip_prefix("HTTP/1.").and_then(|l| l.split(' ').nth(1)).and_then(|s| s.get(..3)?.parse().ok());
    status.ok_or_else(|| "the answer is not HTTP".to_owned())
}

fn connector() -> Result<TlsConnector, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(AsKubelets(provider.clone()));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|e| e.to_string())?.dangerous().with_custom_certificate_verifier(verifier);
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

/// An HTTPS probe asks whether a process answers, not who it is: Kubernetes defines it to accept any certificate ("the
/// kubelet sends an HTTPS request skipping the certificate verification"), and pods' certificates are made out to Service
/// names by authorities that a node does not know. The probe sends no secret, and nothing but a status code is believed.
/// The handshake itself is verified.
#[derive(Debug)]
struct AsKubelets(Arc<CryptoProvider>);

impl ServerCertVerifier for AsKubelets {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

    fn probe(value: Value) -> Probe {
        serde_json::from_value(value).unwrap()
    }

    fn verdicts(kind: Kind, thresholds: Value, outcomes: &[bool]) -> Vec<Option<bool>> {
        let mut counter = Counter::new(Schedule::of(&probe(thresholds)), kind == Kind::Liveness);
        outcomes.iter().map(|o| counter.record(*o, kind)).collect()
    }

    #[test]
    fn schedule_has_the_usual_defaults() {
        let s = Schedule::of(&probe(json!({"periodSeconds": 0, "timeoutSeconds": 3})));
        assert_eq!((s.initial_delay.as_secs(), s.period.as_secs(), s.timeout.as_secs()), (0, 10, 3));
        assert_eq!((s.success_threshold, s.failure_threshold), (1, 3));
    }

    #[test]
    fn verdicts_come_after_enough_in_a_row_and_once() {
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(
            verdicts(
                Kind::Readiness,
                json!({"failureThreshold": 2, "successThreshold": 2}),
                &[true, false, true, true, true, false, true, false, false, false]
            ),
            [None, None, None, yes, None, None, None, None, no, None]
        );
        assert_eq!(
            verdicts(Kind::Liveness, json!({}), &[true, false, false, true, false, false, false]),
            [None, None, None, None, None, None, no]
        );
        assert_eq!(verdicts(Kind::Startup, json!({"failureThreshold": 2}), &[false, true]), [None, yes]);
        assert_eq!(verdicts(Kind::Startup, json!({"failureThreshold": 2}), &[false, false, false]), [None, no, None]);
    }

    /// Answers one connection with `answer`; gives what was asked.
    async fn server(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let n = stream.read(&mut asked).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (port, task)
    }

    fn action(value: Value) -> Action {
        let container: Container =
            serde_json::from_value(json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]})).unwrap();
        let variables = BTreeMap::from([("PATH".to_owned(), "/bin:/usr/bin".to_owned())]);
        let launch = Launch { command: vec![], variables, work: "/".into(), uid: None, contained: None };
        Action::of(&probe(value), &container, LOCAL, &launch).unwrap()
    }

    #[tokio::test]
    async fn http() {
        let wait = Duration::from_secs(5);
        let (port, asked) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
        let get =
            json!({"httpGet": {"port": port, "path": "ready?x=1", "httpHeaders": [{"name": "Host", "value": "gate"}]}});
        action(get).attempt(wait).await.unwrap();
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /ready?x=1 HTTP/1.1\r\n") && asked.contains("Host: gate\r\n"), "{asked}");
        let (port, _task) = server("HTTP/1.1 503 Fenced\r\n\r\n").await;
        assert_eq!(action(json!({"httpGet": {"port": port}})).attempt(wait).await.unwrap_err(), "HTTP status 503");
        let (port, _task) = server("SSH-2.0\r\n").await;
        assert!(action(json!({"httpGet": {"port": port}})).attempt(wait).await.is_err());
    }

    #[tokio::test]
    async fn https_accepts_a_certificate_of_anyone() {
        let made = rcgen::generate_simple_self_signed(["ledger".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            stream.flush().await.unwrap();
        });
        action(json!({"httpGet": {"port": port, "scheme": "HTTPS"}})).attempt(Duration::from_secs(5)).await.unwrap();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn tcp_exec_and_time_out() {
        let wait = Duration::from_secs(5);
        let listener = TcpListener::bind((LOCAL, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        action(json!({"tcpSocket": {"port": port}})).attempt(wait).await.unwrap();
        let silent = action(json!({"httpGet": {"port": port}})).attempt(Duration::from_millis(50)).await;
        assert_eq!(silent.unwrap_err(), "no answer within 50ms");
        drop(listener);
        // A program that another test starts in this moment has the socket too, until it is executed.
        let closed = async {
            while action(json!({"tcpSocket": {"port": port}})).attempt(wait).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(wait, closed).await.unwrap();
        action(json!({"exec": {"command": ["true"]}})).attempt(wait).await.unwrap();
        assert_eq!(
            action(json!({"exec": {"command": ["false"]}})).attempt(wait).await.unwrap_err(),
            "the command failed"
        );
    }

    #[test]
    fn ports_by_name() {
        let Action::Tcp { port, .. } = action(json!({"tcpSocket": {"port": "web"}})) else { panic!("not TCP") };
        assert_eq!(port, 8080);
    }
}
