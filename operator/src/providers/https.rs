//! HTTPS to one service: verified against the authorities given and no others, with a deadline for every call.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;

/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;

/// Why no connection can be made with what was given. Nothing of a key or certificate is in it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the {0} cannot be read: PEM is wanted")]
    Pem(&'static str),
    #[error("the token has characters that no header may have")]
    Token,
    #[error("the {0} holds no certificate")]
    Empty(&'static str),
    #[error("the certificate and the key do not belong together, or TLS does not take them")]
    Tls(#[source] rustls::Error),
}

/// Why a call was not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no answer within {} ms", .0.as_millis())]
    TooLate(Duration),
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("the answer broke off, or is longer than {LONGEST} bytes")]
    Broken,
}

/// HTTPS to one service.
#[derive(Clone, Debug)]
pub(super) struct Https {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| Unusable::Pem(what))?;
    if all.is_empty() { Err(Unusable::Empty(what)) } else { Ok(all) }
}

impl Https {
    /// Believes these authorities, shows this certificate (chain and key, PEM) where there is one, and waits so long.
    pub(super) fn new(ca: &[u8], shown: Option<(&[u8], &[u8])>, timeout: Duration) -> Result<Self, Unusable> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca, "caBundle")? {
            roots.add(certificate).map_err(Unusable::Tls)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Unusable::Tls)?
            .with_root_certificates(roots);
        let config = match shown {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unusable::Pem("key"))?;
                config.with_client_auth_cert(certificates(chain, "client certificate")?, key).map_err(Unusable::Tls)?
            }
            None => config.with_no_client_auth(),
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
        // A connection that the other side has closed meanwhile costs one more attempt, not a failed call.
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Ok(Self { client, timeout })
    }

    /// Sends a request and reads the answer, all within the deadline.
    pub(super) async fn send(&self, request: http::Request<Full<Bytes>>) -> Result<(u16, Bytes), NoAnswer> {
        let whole = async {
            let response = self.client.request(request).await.map_err(|error| NoAnswer::Unreachable(cause(&error)))?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|_| NoAnswer::Broken)?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(self.timeout, whole).await.map_err(|_| NoAnswer::TooLate(self.timeout))?
    }
}

/// The innermost cause: the rest says that a request was not sent.
fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
