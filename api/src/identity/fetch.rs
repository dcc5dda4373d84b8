//! Reads documents of the issuer's: over HTTPS, verified against the configured authorities and no others, with a deadline
//! and a limit. Redirects are not followed.

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// The longest document that is read, in bytes.
const LONGEST: usize = 256 * 1024;

/// Why a document could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The authorities cannot be used.
    #[error("the issuer's caFile cannot be used: {0}; PEM certificates are wanted")]
    Authorities(String),
    /// The address is none.
    #[error("'{0}' is no https:// address")]
    Address(String),
    /// Nothing answered.
    #[error("{url} cannot be reached: {cause}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// The innermost cause.
        cause: String,
    },
    /// No answer in time.
    #[error("{url} did not answer within {} ms", .after.as_millis())]
    TooLate {
        /// What was asked.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is not the document.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer broke off or is too long.
    #[error("the answer of {url} broke off, or is longer than {LONGEST} bytes")]
    Broken {
        /// What was asked.
        url: String,
    },
}

/// Reads documents. Tests have one without a network.
pub trait Fetch: Send + Sync {
    /// The document at this address.
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Bytes, FetchError>>;
}

/// Reads documents over HTTPS.
#[derive(Clone, Debug)]
pub struct HttpsFetch {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    timeout: Duration,
}

impl HttpsFetch {
    /// Believes these authorities (PEM) and no others, and waits so long for each document.
    ///
    /// # Errors
    /// When the authorities cannot be read or TLS does not take them.
    pub fn new(authorities: &[u8], timeout: Duration) -> Result<Self, FetchError> {
        let unusable = |cause: String| FetchError::Authorities(cause);
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(unusable("it holds no certificate".to_owned()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Ok(Self { client, timeout })
    }

    async fn read(&self, url: &str) -> Result<Bytes, FetchError> {
        let address: http::Uri = url.parse().map_err(|_| FetchError::Address(url.to_owned()))?;
        if address.scheme_str() != Some("https") {
            return Err(FetchError::Address(url.to_owned()));
        }
        let response = self
            .client
            .get(address)
            .await
            .map_err(|error| FetchError::Unreachable { url: url.to_owned(), cause: innermost(&error) })?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status { url: url.to_owned(), status: response.status().as_u16() });
        }
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        Ok(body.map_err(|_| FetchError::Broken { url: url.to_owned() })?.to_bytes())
    }
}

impl Fetch for HttpsFetch {
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Bytes, FetchError>> {
        Box::pin(async move {
            tokio::time::timeout(self.timeout, self.read(url))
                .await
                .map_err(|_| FetchError::TooLate { url: url.to_owned(), after: self.timeout })?
        })
    }
}

/// The innermost cause: the rest says that a request was not sent.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
