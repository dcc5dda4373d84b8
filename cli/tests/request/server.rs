//! A small API over TLS, and the program that asks it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tandem_core::requests::content_digest;
use tandem_crds::EnvironmentRequestSpec;
use tempfile::TempDir;

/// A token that must be seen by the API alone.
pub(crate) const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.s3cret-token.c2ln";

/// An authority, and what it has signed.
pub(crate) struct Pki {
    ca: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), ca.pem()).unwrap();
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        Self { ca, folder }
    }

    /// A file of this authority's: `ca.crt`, `token`, and what a test puts there.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn issue(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        (params.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }

    /// Files `<name>.crt` and `<name>.key` of somebody who signs in by certificate.
    pub(crate) fn person(&self, name: &str) -> (PathBuf, PathBuf) {
        let (chain, key) = self.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        let files = (self.file(&format!("{name}.crt")), self.file(&format!("{name}.key")));
        std::fs::write(&files.0, chain).unwrap();
        std::fs::write(&files.1, key).unwrap();
        files
    }

    /// Serves on loopback. `answer` is asked with each call and its number among all, from 0. With `clients`, only those get
    /// through who show a certificate of that authority.
    pub(crate) async fn serve(
        &self,
        clients: Option<&Pki>,
        answer: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static,
    ) -> Api {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(clients.ca.pem().as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = self.issue("api", ExtendedKeyUsagePurpose::ServerAuth);
        let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = RustlsConfig::from_config(Arc::new(builder.with_single_cert(chain, key).unwrap()));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (all, answer) = (Arc::clone(&seen), Arc::new(answer));
        let routes = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
            async move {
                let call = Seen { method, path: uri.to_string(), headers, body };
                let nth = {
                    let mut all = all.lock().unwrap();
                    all.push(call.clone());
                    all.len() - 1
                };
                answer(&call, nth)
            }
        });
        let handle = axum_server::Handle::new();
        let server = axum_server::bind_rustls(SocketAddr::from(([127, 0, 0, 1], 0)), config);
        tokio::spawn(server.handle(handle.clone()).serve(routes.into_make_service()));
        let address = handle.listening().await.unwrap();
        Api { url: format!("https://localhost:{}", address.port()), seen, handle }
    }
}

/// A call that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// An API that runs until it is dropped.
pub(crate) struct Api {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    handle: axum_server::Handle<SocketAddr>,
}

impl Api {
    /// The calls so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `tandem request …` against an API, signed in by token.
pub(crate) async fn tandem(pki: &Pki, api: &Api, arguments: &[&str]) -> Ran {
    let token = pki.file("token");
    let shown = ["--token-file", token.to_str().unwrap()];
    bare(pki, &api.url, &[arguments, &shown].concat(), &[]).await
}

/// Runs `tandem request …` with nothing said about who asks, and these variables.
pub(crate) async fn bare(pki: &Pki, url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.env_clear().env("LANG", "C.UTF-8").env("TANDEM_API", url).env("TANDEM_API_CA", pki.file("ca.crt"));
    command.envs(variables.iter().copied()).arg("request").args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let ran = tokio::time::timeout(std::time::Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: ran.status.code().unwrap(), out: text(ran.stdout), err: text(ran.stderr) };
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "a token is shown: {ran:?}");
    ran
}

/// An answer in JSON.
pub(crate) fn json_answer(status: u16, body: &Value) -> Response {
    let kind = if status < 300 { "application/json" } else { "application/problem+json" };
    Response::builder().status(status).header("content-type", kind).body(Body::from(body.to_string())).unwrap()
}

/// A problem, with how long to wait where that is said.
pub(crate) fn problem(status: u16, retry_after: Option<u32>, title: &str, more: Value) -> Response {
    let mut body = json!({"type": "/docs/problems#x", "title": title, "status": status, "detail": "so it is"});
    let Value::Object(more) = more else { panic!("{more} is no object") };
    body.as_object_mut().unwrap().extend(more);
    let mut response = json_answer(status, &body);
    response.headers_mut().extend(retry_after.map(|after| (RETRY_AFTER, after.into())));
    response
}

/// A request for a new environment, as the API shows it; `status` is what became of it.
pub(crate) fn request(status: Value) -> Value {
    let spec = json!({
        "type": "Create",
        "unit": "health",
        "environment": "health-new",
        "displayName": {"zh": "卫健新业务", "en": "Health, new"},
        "purpose": "Test",
        "quota": {"cpu": "4", "memory": "8Gi", "storage": "100Gi", "pods": 20},
        "reason": "registration opens in May",
        "requestedBy": {"name": "li", "roles": ["agency-administrator"]},
        "submittedAt": "2026-03-01T08:00:00Z",
    });
    item(spec, status)
}

/// A request of this content.
pub(crate) fn item(spec: Value, status: Value) -> Value {
    let read: EnvironmentRequestSpec = serde_json::from_value(spec.clone()).unwrap();
    let mut whole = json!({"name": "health-3f9a0c417b2d", "generation": 1, "digest": content_digest(&read)});
    whole["spec"] = spec;
    whole["status"] = status;
    whole
}

/// How it stands before anybody decided.
pub(crate) fn pending() -> Value {
    json!({"phase": "Pending", "reason": "DecisionLacking", "message": "it waits for a decision as Platform",
        "messageZh": "等待系统管理员审批"})
}
