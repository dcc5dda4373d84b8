//! Real sockets and real TLS, for what exists only there: client certificates, slow clients, draining.

use super::*;
use crate::identity::{Fetch, PeerCertificate, principal_of_certificate};
use axum::Extension;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A deadline for what should be over at once, on a machine that is slow.
const DEADLINE: Duration = Duration::from_secs(20);

struct Authority(Issuer<'static, KeyPair>, String, CertificateDer<'static>);

impl Authority {
    fn new(name: &str) -> Self {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let certificate = params.self_signed(&key).unwrap();
        Self(Issuer::new(params, key), certificate.pem(), certificate.der().clone())
    }

    /// A certificate and its key. A second organisation is one under its number: rcgen keeps one of each name.
    fn issue(&self, name: &str, organisations: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
        params.distinguished_name.push(DnType::CommonName, name);
        let kinds = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
        for (kind, organisation) in kinds.into_iter().zip(organisations) {
            params.distinguished_name.push(kind, *organisation);
        }
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// A server that says who is connected, with limits of a second.
struct Server {
    address: SocketAddr,
    authority: Authority,
    clients: Authority,
    handle: Handle<SocketAddr>,
    serving: tokio::task::JoinHandle<Result<(), RunError>>,
    _dir: TempDir,
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

async fn server(app: Router, connections: usize) -> Server {
    let (authority, clients, dir) = (Authority::new("server"), Authority::new("clients"), TempDir::new().unwrap());
    let (certificate, key) = authority.issue("api", &[]);
    let certificate = write(dir.path(), "tls.crt", &certificate.pem());
    let key = write(dir.path(), "tls.key", &key.serialize_pem());
    let tls = server_config(&certificate, &key, Some(&write(dir.path(), "ca.crt", &clients.1))).unwrap();
    let limits = LimitsConfig { header_seconds: 1, idle_seconds: 3, connections, ..LimitsConfig::default() };
    let handle = Handle::new();
    let serving = tokio::spawn(serve("127.0.0.1:0".parse().unwrap(), tls, limits, app, handle.clone()));
    let address = tokio::time::timeout(DEADLINE, handle.listening()).await.unwrap().unwrap();
    Server { address, authority, clients, handle, serving, _dir: dir }
}

fn who() -> Router {
    Router::new().route(
        "/",
        get(async |Extension(peer): Extension<Option<PeerCertificate>>| {
            match peer.map(|peer| principal_of_certificate(&peer, jiff::Timestamp::now())) {
                None => "nobody".to_owned(),
                Some(Ok(principal)) => format!("{} {:?} {:?}", principal.name, principal.unit, principal.roles),
                Some(Err(refusal)) => format!("{refusal:?}"),
            }
        }),
    )
}

impl Server {
    async fn connect(
        &self,
        shown: Option<&(rcgen::Certificate, KeyPair)>,
        alpn: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.2.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Asks for `/` over HTTP/1.1 and reads until the other side is done; nothing where it would not talk.
    async fn ask(&self, shown: Option<&(rcgen::Certificate, KeyPair)>) -> String {
        let Ok(mut stream) = self.connect(shown, &[]).await else { return String::new() };
        let request = b"GET / HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n";
        if stream.write_all(request).await.is_err() {
            return String::new();
        }
        rest(&mut stream).await
    }
}

/// What comes until the connection ends.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    // An end without a goodbye is an end as well.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("the connection did not end");
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn who_is_connected_is_read_off_the_connection() {
    let server = server(who(), 10).await;
    let li = server.clients.issue("li", &["tandem:unit:health", "tandem:role:agency-viewer"]);
    let answer = server.ask(Some(&li)).await;
    assert!(answer.ends_with("li Some(\"health\") {AgencyViewer}"), "{answer}");
    let wang = server.clients.issue("wang", &["tandem:role:auditor"]);
    assert!(server.ask(Some(&wang)).await.ends_with("wang None {Auditor}"));
    let operator = server.clients.issue("root", &["system:masters"]);
    assert!(server.ask(Some(&operator)).await.ends_with("Subject"));
    assert!(server.ask(None).await.ends_with("nobody"));
}

#[tokio::test]
async fn a_certificate_of_somebody_elses_authority_ends_the_connection() {
    let server = server(who(), 10).await;
    // Of the authority that signed the server's own certificate; and of one with the right name.
    for authority in [&server.authority, &Authority::new("clients")] {
        let forged = authority.issue("li", &["tandem:role:auditor"]);
        assert_eq!(server.ask(Some(&forged)).await, "");
    }
}

#[tokio::test]
async fn http_2_is_offered() {
    let server = server(who(), 10).await;
    let stream = server.connect(None, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2" as &[u8]));
}

#[tokio::test]
async fn slow_clients_are_let_go() {
    let server = server(who(), 10).await;
    // A head that never ends, one byte at a time.
    let mut dripping = server.connect(None, &[]).await.unwrap();
    dripping.write_all(b"GET / HTTP/1.1\r\nhost: api\r\n").await.unwrap();
    // Nothing at all after the handshake.
    let mut silent = server.connect(None, &[]).await.unwrap();
    // Not even a handshake.
    let mut mute = TcpStream::connect(server.address).await.unwrap();
    let (dripped, said) = tokio::join!(rest(&mut dripping), rest(&mut silent));
    assert!(!dripped.contains("200 OK") && said.is_empty(), "{dripped} {said}");
    let mut byte = [0; 1];
    let read = tokio::time::timeout(DEADLINE, mute.read(&mut byte)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(server.ask(None).await.ends_with("nobody"), "others are served meanwhile");
}

#[tokio::test]
async fn there_are_only_so_many_connections_and_places_come_back() {
    let server = server(who(), 1).await;
    let held = server.connect(None, &[]).await.unwrap();
    assert_eq!(server.ask(None).await, "");
    drop(held);
    let until = tokio::time::Instant::now() + DEADLINE;
    while !server.ask(None).await.ends_with("nobody") {
        assert!(tokio::time::Instant::now() < until, "the place never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_end() {
    let (begun, mut has_begun) = tokio::sync::mpsc::channel::<()>(1);
    let (go, gone) = tokio::sync::watch::channel(false);
    let app = Router::new().route(
        "/",
        get(move || async move {
            begun.send(()).await.unwrap();
            gone.clone().wait_for(|go| *go).await.unwrap();
            "finished"
        }),
    );
    let server = Arc::new(server(app, 10).await);
    let asking = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.ask(None).await }
    });
    tokio::time::timeout(DEADLINE, has_begun.recv()).await.unwrap().unwrap();
    server.handle.graceful_shutdown(Some(DEADLINE));
    // New connections are not taken any more.
    let until = tokio::time::Instant::now() + DEADLINE;
    while TcpStream::connect(server.address).await.is_ok() {
        assert!(tokio::time::Instant::now() < until, "still listening");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    go.send_replace(true);
    assert!(asking.await.unwrap().ends_with("finished"));
    let serving = Arc::into_inner(server).unwrap().serving;
    tokio::time::timeout(DEADLINE, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn documents_are_read_from_who_the_pinned_authority_signed_for_and_from_nobody_else() {
    let server = server(who(), 10).await;
    let url = format!("https://{}/", server.address);
    let read = async |authority: &Authority, url: &str| {
        HttpsFetch::new(authority.1.as_bytes(), DEADLINE).unwrap().get(url).await
    };
    assert_eq!(read(&server.authority, &url).await.unwrap(), "nobody");
    assert!(matches!(read(&Authority::new("server"), &url).await, Err(FetchError::Unreachable { .. })));
    assert!(matches!(
        read(&server.authority, &format!("{url}nothing")).await,
        Err(FetchError::Status { status: 404, .. })
    ));
    let plain = format!("http://{}/", server.address);
    assert!(matches!(read(&server.authority, &plain).await, Err(FetchError::Address(_))));
    assert!(matches!(HttpsFetch::new(b"nonsense", DEADLINE), Err(FetchError::Authorities(_))));
}
