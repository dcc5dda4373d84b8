//! Until when certificates are good: one's own, and those that the arbiter's members show.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::der;
use crate::store::EtcdConfig;

/// Why a certificate tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateProblem {
    /// It is none, or cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// It is not good any more.
    #[error("the certificate has expired")]
    Expired,
    /// It was not shown: there is no connection.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// It was shown and is not good for another reason.
    #[error("the certificate is refused: {0}")]
    Refused(String),
}

/// Whom a certificate names, and until when it is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The subject's common name: the etcd user.
    pub name: String,
    /// The last second at which it is good.
    pub expires: Timestamp,
}

fn of_der(bytes: &[u8]) -> Result<Certificate, CertificateProblem> {
    der::certificate(bytes).ok_or_else(|| CertificateProblem::Unreadable("it is not a certificate".to_owned()))
}

/// Reads the first certificate of a PEM file.
///
/// # Errors
/// [`CertificateProblem::Unreadable`].
pub fn certificate(pem: &[u8]) -> Result<Certificate, CertificateProblem> {
    let der = CertificateDer::from_pem_slice(pem).map_err(|error| CertificateProblem::Unreadable(error.to_string()))?;
    of_der(&der)
}

/// The certificate that the member at an endpoint shows, verified as every connection to it is.
///
/// # Errors
/// [`CertificateProblem`].
pub async fn shown(config: &EtcdConfig, endpoint: &str) -> Result<Certificate, CertificateProblem> {
    greet(&config.ca, Some((&config.cert, &config.key)), endpoint, config.connect_timeout).await
}

/// The certificate that whoever serves at `https://…` shows, verified by an authority (PEM).
///
/// # Errors
/// [`CertificateProblem`].
pub async fn served(ca: &[u8], endpoint: &str, limit: Duration) -> Result<Certificate, CertificateProblem> {
    greet(ca, None, endpoint, limit).await
}

async fn greet(
    ca: &[u8],
    own: Option<(&[u8], &[u8])>,
    endpoint: &str,
    limit: Duration,
) -> Result<Certificate, CertificateProblem> {
    let unreadable = |error: &dyn std::error::Error| CertificateProblem::Unreadable(error.to_string());
    let unreachable = |why: String| CertificateProblem::Unreachable(why);
    let address = endpoint.strip_prefix("https://").unwrap_or(endpoint).trim_end_matches('/');
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| unreachable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(ca) {
        roots.add(root.map_err(|error| unreadable(&error))?).map_err(|error| unreadable(&error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unreadable(&error))?
        .with_root_certificates(roots);
    let client = match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unreadable(&error))?;
            let chain = chain.map_err(|error| unreadable(&error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unreadable(&error))?
        }
    };
    let connected = timeout(limit, TcpStream::connect(address)).await;
    let stream = connected
        .map_err(|_| unreachable("no answer in time".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))?;
    let greeted = timeout(limit, TlsConnector::from(Arc::new(client)).connect(name, stream)).await;
    let stream = greeted.map_err(|_| unreachable("no answer in time".to_owned()))?.map_err(|error| refused(&error))?;
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(<[_]>::first);
    of_der(shown.ok_or_else(|| CertificateProblem::Refused("none was shown".to_owned()))?)
}

/// What a failed greeting says of the certificate.
fn refused(error: &std::io::Error) -> CertificateProblem {
    let found = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match found {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        )) => CertificateProblem::Expired,
        Some(rustls::Error::InvalidCertificate(other)) => CertificateProblem::Refused(format!("{other:?}")),
        _ => CertificateProblem::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    #[test]
    fn a_certificate_says_whom_it_names_and_until_when() {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "arbiter-admin-1");
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let found = certificate(pem.as_bytes()).unwrap();
        assert_eq!(
            (found.name.as_str(), found.expires.to_string().as_str()),
            ("arbiter-admin-1", "2030-01-02T00:00:00Z")
        );
        assert!(matches!(certificate(b"nothing"), Err(CertificateProblem::Unreadable(_))));
    }
}
