//! TLS from files: servers that ask for a client's certificate, and a client that believes one authority.

use axum_server::tls_rustls::RustlsConfig;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 8 << 20;

/// A certificate with its key, and the authority whose certificates are believed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The authority, PEM.
    #[serde(rename = "caFile")]
    pub ca: PathBuf,
    /// The chain, PEM.
    #[serde(rename = "certFile")]
    pub cert: PathBuf,
    /// The key, PEM.
    #[serde(rename = "keyFile")]
    pub key: PathBuf,
}

/// Why TLS cannot be spoken with what was given.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or is no PEM.
    #[error("{path} cannot be read; it must hold PEM")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not fit together.
    #[error("TLS does not take the certificate, its key or the authority")]
    Tls(#[from] rustls::Error),
    /// The authority can verify nobody.
    #[error("the authority can verify no client")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::File { path: path.to_owned(), source };
    CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// For a server that takes only clients with a certificate of the authority's.
///
/// # Errors
/// [`TlsError`].
pub fn server(files: &Files) -> Result<RustlsConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(&files.ca)?), provider()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(&files.cert)?, key(&files.key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}

/// For a client that believes one authority, and shows a certificate where one is given (chain and key).
///
/// # Errors
/// [`TlsError`].
pub fn client(ca: &Path, shown: Option<(&Path, &Path)>) -> Result<ClientConfig, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?);
    Ok(match shown {
        Some((chain, private)) => config.with_client_auth_cert(certificates(chain)?, key(private)?)?,
        None => config.with_no_client_auth(),
    })
}

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Not in time.
    #[error("no answer within {} ms", .0.as_millis())]
    TooLate(Duration),
    /// Not at all.
    #[error("cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// Not whole.
    #[error("the answer broke off or is too long")]
    Broken,
    /// It is no question.
    #[error("not an address")]
    Address(#[from] http::Error),
}

/// A client that believes one authority, with a deadline for every question.
#[derive(Clone, Debug)]
pub struct HttpsClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl HttpsClient {
    /// Believes the authority in this file, and shows this certificate where one is given (chain and key).
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(ca: &Path, shown: Option<(&Path, &Path)>, timeout: Duration) -> Result<Self, TlsError> {
        let config = client(ca, shown)?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Ok(Self { client, timeout })
    }

    /// Asks, and gives back status, headers and body.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn get(&self, url: &str) -> Result<(u16, http::HeaderMap, Bytes), NoAnswer> {
        self.ask(http::Request::get(url).body(Full::default())?).await
    }

    /// Sends JSON, and gives back status, headers and body.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn send(
        &self,
        method: http::Method,
        url: &str,
        body: &serde_json::Value,
    ) -> Result<(u16, http::HeaderMap, Bytes), NoAnswer> {
        let request = http::Request::builder().method(method).uri(url).header("content-type", "application/json");
        self.ask(request.body(Full::from(body.to_string()))?).await
    }

    async fn ask(&self, request: http::Request<Full<Bytes>>) -> Result<(u16, http::HeaderMap, Bytes), NoAnswer> {
        let whole = async {
            let response = self.client.request(request).await.map_err(NoAnswer::Unreachable)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|_| NoAnswer::Broken)?;
            Ok((parts.status.as_u16(), parts.headers, body.to_bytes()))
        };
        tokio::time::timeout(self.timeout, whole).await.map_err(|_| NoAnswer::TooLate(self.timeout))?
    }
}
