//! The agencies' API and its issuer as people on the host ask them: over HTTPS, verified, with a certificate or a token.

use crate::Lab;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one answer may take, and the longest that is read, in bytes.
const PATIENCE: Duration = Duration::from_secs(15);
const LONGEST: usize = 1 << 20;

/// What somebody shows who asks.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// The certificate of a person of the lab.
    Person(&'static str),
    /// A certificate and its key, `<path>.crt` and `<path>.key`.
    Certificate(PathBuf),
}

/// Somebody who asks one address. Every clone shares connections.
#[derive(Clone)]
pub struct Caller {
    client: Client<HttpsConnector<HttpConnector>, Full<bytes::Bytes>>,
    address: String,
    token: Option<String>,
    traceparent: Option<String>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The media type.
    pub media: String,
    /// Where it is to be looked, or asked, next.
    pub location: Option<String>,
    /// The trace that the answer belongs to.
    pub traceparent: Option<String>,
    /// The body; null where it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Lab {
    /// Somebody who asks the API of a site.
    ///
    /// # Panics
    /// When the lab has none, or its files cannot be read.
    #[must_use]
    pub fn asks_api(&self, site: &str, shown: Shown) -> Caller {
        self.asks(&format!("{site}/api"), shown)
    }

    /// Somebody who asks the issuer of tokens.
    ///
    /// # Panics
    /// When the lab has none, or its files cannot be read.
    #[must_use]
    pub fn asks_issuer(&self, shown: Shown) -> Caller {
        self.asks("witness/issuer", shown)
    }

    fn asks(&self, program: &str, shown: Shown) -> Caller {
        let port = self.state()["ports"][program].as_u64().unwrap();
        let people = self.dir().join("people");
        let certificate = match shown {
            Shown::Nothing => None,
            Shown::Person(name) => Some(people.join(name)),
            Shown::Certificate(path) => Some(path),
        };
        Caller::new(format!("https://127.0.0.1:{port}"), &people.join("api-ca.crt"), certificate.as_deref())
    }
}

impl Caller {
    /// Somebody who asks an address, believes one authority, and shows the certificate `<path>.crt` with the key `<path>.key`.
    ///
    /// # Panics
    /// When a file cannot be read.
    #[must_use]
    pub fn new(address: String, authority: &Path, certificate: Option<&Path>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let tls = match certificate {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let chain = vec![CertificateDer::from_pem_file(path.with_extension("crt")).unwrap()];
                let key = PrivateKeyDer::from_pem_file(path.with_extension("key")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        Self { client: Client::builder(TokioExecutor::new()).build(connector), address, token: None, traceparent: None }
    }

    /// The address that is asked.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The same, with a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same, as a step of a trace (W3C Trace Context).
    #[must_use]
    pub fn with_trace(&self, traceparent: &str) -> Self {
        Self { traceparent: Some(traceparent.to_owned()), ..self.clone() }
    }

    /// What is at a path.
    ///
    /// # Errors
    /// When there is no connection, or no answer in time.
    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        self.send(http::Request::get(format!("{}{path}", self.address)), String::new()).await
    }

    /// What is at a path.
    ///
    /// # Panics
    /// When there is no connection, or no answer in time.
    pub async fn get(&self, path: &str) -> Answer {
        self.try_get(path).await.unwrap()
    }

    /// Sends a form.
    ///
    /// # Errors
    /// When there is no connection, or no answer in time.
    pub async fn try_form(&self, path: &str, form: &str) -> Result<Answer, String> {
        let request = http::Request::post(format!("{}{path}", self.address));
        self.send(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded"), form.to_owned()).await
    }

    /// Sends a document, under a key by which it is done once.
    ///
    /// # Panics
    /// When there is no connection, or no answer in time.
    pub async fn post(&self, path: &str, key: &str, document: &Value) -> Answer {
        self.try_post(path, key, document).await.unwrap()
    }

    /// Sends a document, under a key by which it is done once.
    ///
    /// # Errors
    /// When there is no connection, or no answer in time.
    pub async fn try_post(&self, path: &str, key: &str, document: &Value) -> Result<Answer, String> {
        let request = http::Request::post(format!("{}{path}", self.address)).header("idempotency-key", key);
        self.send(request.header(CONTENT_TYPE, "application/json"), document.to_string()).await
    }

    /// Sends what is wanted of an object, under a key by which it is done once.
    ///
    /// # Panics
    /// When there is no connection, or no answer in time.
    pub async fn put(&self, path: &str, key: &str, document: &Value) -> Answer {
        let request = http::Request::put(format!("{}{path}", self.address)).header("idempotency-key", key);
        self.send(request.header(CONTENT_TYPE, "application/json"), document.to_string()).await.unwrap()
    }

    /// Deletes what is at a path, under a key by which it is done once.
    ///
    /// # Panics
    /// When there is no connection, or no answer in time.
    pub async fn delete(&self, path: &str, key: &str) -> Answer {
        let request = http::Request::delete(format!("{}{path}", self.address)).header("idempotency-key", key);
        self.send(request, String::new()).await.unwrap()
    }

    async fn send(&self, mut request: http::request::Builder, body: String) -> Result<Answer, String> {
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(traceparent) = &self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
        let answered = async {
            let response = self.client.request(request).await.map_err(|error| format!("{error:?}"))?;
            let header = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
            let (status, location) = (response.status().as_u16(), header(LOCATION));
            let traceparent = header(HeaderName::from_static("traceparent"));
            let media = header(CONTENT_TYPE).unwrap_or_default();
            let body =
                Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            Ok(Answer {
                status,
                media,
                location,
                traceparent,
                body: serde_json::from_str(&text).unwrap_or_default(),
                text,
            })
        };
        tokio::time::timeout(PATIENCE, answered).await.map_err(|_| format!("no answer within {PATIENCE:?}"))?
    }
}
