//! HTTPS to the API: verified against the authority that is given and no other, with a deadline for every call.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::header::HeaderMap;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a call may take: longer than the API itself takes to say that it took too long.
const CALL: Duration = Duration::from_secs(45);
/// The longest answer that is read, in bytes: a page of requests with all their applications.
const LONGEST: usize = 64 * 1024 * 1024;

/// Why no connection can be made with what was given. Nothing of a key or certificate is in it.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The authority.
    #[error("it is no authority: certificates as PEM are wanted")]
    Authority,
    /// The client certificate.
    #[error("it is no certificate: certificates as PEM are wanted, your own first")]
    Certificate,
    /// The key.
    #[error("it is no private key: one as PEM is wanted, without a password")]
    Key,
    /// Both together.
    #[error("the certificate and the key do not belong together, or TLS does not take them")]
    Tls(#[source] rustls::Error),
}

/// Why a call was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Not in time.
    #[error("it did not answer within {} s", .0.as_secs())]
    TooLate(Duration),
    /// Its certificate is not of the authority that is given, or for another name, or of another time.
    #[error("its certificate does not hold: {0}; is --ca the authority of this API, and --api its name?")]
    Certificate(String),
    /// It cannot be reached.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The answer broke off.
    #[error("its answer broke off, or is longer than {LONGEST} bytes")]
    Broken,
}

/// An answer that was read as a whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An answer whose body comes piece by piece.
pub struct Stream {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The pieces; nothing is said of why it broke off.
    pub pieces: BoxStream<'static, Result<Bytes, NoAnswer>>,
}

/// HTTPS with one authority.
#[derive(Clone, Debug)]
pub struct Https {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

fn certificates(pem: &[u8], wrong: impl Fn() -> Unusable) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or_else(wrong)
}

impl Https {
    /// Believes these authorities, and shows this certificate (chain and key, PEM) where there is one.
    ///
    /// # Errors
    /// Where TLS cannot use what is given.
    pub fn new(ca: &[u8], shown: Option<(&[u8], &[u8])>) -> Result<Self, Unusable> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca, || Unusable::Authority)? {
            roots.add(certificate).map_err(|_| Unusable::Authority)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Unusable::Tls)?
            .with_root_certificates(roots);
        let config = match shown {
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unusable::Key)?;
                let chain = certificates(chain, || Unusable::Certificate)?;
                config.with_client_auth_cert(chain, key).map_err(Unusable::Tls)?
            }
            None => config.with_no_client_auth(),
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1();
        let connector = connector.wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Ok(Self { client })
    }

    /// Sends a request and reads the answer, all within the deadline.
    ///
    /// # Errors
    /// Where none came.
    pub async fn send(&self, request: http::Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
        let whole = async {
            let (head, body) = self.client.request(request).await.map_err(|error| why(&error))?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|_| NoAnswer::Broken)?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(CALL, whole).await.map_err(|_| NoAnswer::TooLate(CALL))?
    }

    /// Sends a request and gives the answer's body as it comes; the deadline is for its head alone.
    ///
    /// # Errors
    /// Where none came.
    pub async fn open(&self, request: http::Request<Full<Bytes>>) -> Result<Stream, NoAnswer> {
        let asked = tokio::time::timeout(CALL, self.client.request(request)).await;
        let (head, body) = asked.map_err(|_| NoAnswer::TooLate(CALL))?.map_err(|error| why(&error))?.into_parts();
        let pieces = body.into_data_stream().map(|piece| piece.map_err(|_| NoAnswer::Broken)).boxed();
        Ok(Stream { status: head.status.as_u16(), headers: head.headers, pieces })
    }
}

/// Why nothing was answered: the innermost cause, the rest says that a request was not sent.
fn why(error: &(dyn Error + 'static)) -> NoAnswer {
    let mut inner = error;
    loop {
        if let Some(rustls::Error::InvalidCertificate(cause)) = tls(inner) {
            return NoAnswer::Certificate(cause.to_string());
        }
        match inner.source() {
            Some(source) => inner = source,
            None => return NoAnswer::Unreachable(inner.to_string()),
        }
    }
}

/// What TLS says, also from within errors of the system's kind, which do not name it as their source.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut at = error;
    while let Some(within) = at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        at = within;
    }
    at.downcast_ref()
}
