//! Who a client certificate is for: `CN=<name>, O=tandem:unit:<unit>, O=tandem:role:<role>`.
//!
//! The certificate is the one of the TLS connection, which was verified against the configured authority there.

use super::{Principal, Role, Via, is_name, is_unit};
use crate::problem::Refusal;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The certificate that the other side of a connection showed, verified. Put into a request's extensions by the acceptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub CertificateDer<'static>);

/// Who the certificate is for.
///
/// Its time is judged at every request: TLS looks at it once, and a connection may last longer.
///
/// # Errors
/// When its time is over, its subject has not exactly one name, or an organisation that says neither a unit nor a role.
pub fn principal_of_certificate(certificate: &PeerCertificate, now: Timestamp) -> Result<Principal, Refusal> {
    let (_, parsed) = X509Certificate::from_der(&certificate.0).map_err(|_| Refusal::Subject)?;
    if parsed.validity().not_after.timestamp() < now.as_second() {
        return Err(Refusal::CertificateExpired);
    }
    let subject = parsed.subject();
    let mut names = subject.iter_common_name().map(|name| name.as_str());
    let (Some(Ok(name)), None) = (names.next(), names.next()) else { return Err(Refusal::Subject) };
    let organisations: Result<Vec<&str>, _> = subject.iter_organization().map(|value| value.as_str()).collect();
    from_subject(name, &organisations.map_err(|_| Refusal::Subject)?)
}

fn from_subject(name: &str, organisations: &[&str]) -> Result<Principal, Refusal> {
    if !is_name(name) {
        return Err(Refusal::Subject);
    }
    let (mut unit, mut roles) = (None, BTreeSet::new());
    for organisation in organisations {
        if let Some(named) = organisation.strip_prefix("tandem:unit:").filter(|named| is_unit(named)) {
            if unit.replace(named.to_owned()).is_some() {
                return Err(Refusal::Subject);
            }
        } else {
            let role = organisation.strip_prefix("tandem:role:").and_then(Role::named).ok_or(Refusal::Subject)?;
            roles.insert(role);
        }
    }
    Ok(Principal { name: name.to_owned(), unit, roles, via: Via::Certificate })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_says_who_it_is() {
        let li = from_subject("li", &["tandem:unit:health", "tandem:role:agency-viewer"]).unwrap();
        assert_eq!((li.name.as_str(), li.unit.as_deref(), li.via), ("li", Some("health"), Via::Certificate));
        assert_eq!(li.roles, BTreeSet::from([Role::AgencyViewer]));
        assert!(from_subject("li", &[]).unwrap().roles.is_empty());
    }

    #[test]
    fn a_subject_that_says_something_else_is_refused_as_a_whole() {
        for (name, organisations) in [
            ("", &[] as &[&str]),
            (" li", &[]),
            ("l\ni", &[]),
            ("li", &["system:masters"]),
            ("li", &["tandem:role:root"]),
            ("li", &["tandem:unit:"]),
            ("li", &["tandem:unit:Not A Label"]),
            ("li", &["tandem:unit:health", "tandem:unit:water"]),
            ("li", &["tandem:role:auditor", "ACME"]),
        ] {
            assert_eq!(from_subject(name, organisations), Err(Refusal::Subject), "{name} {organisations:?}");
        }
    }

    #[test]
    fn the_certificate_itself_is_read_and_its_time_is_judged() {
        let (mut params, key) = (rcgen::CertificateParams::default(), rcgen::KeyPair::generate().unwrap());
        params.distinguished_name.push(rcgen::DnType::CommonName, "wang");
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "tandem:role:platform-operator");
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let certificate = PeerCertificate(params.self_signed(&key).unwrap().der().clone());
        let before: Timestamp = "2029-12-31T23:59:59Z".parse().unwrap();
        let wang = principal_of_certificate(&certificate, before).unwrap();
        assert_eq!((wang.name.as_str(), wang.roles), ("wang", BTreeSet::from([Role::PlatformOperator])));
        let after: Timestamp = "2030-01-01T00:00:01Z".parse().unwrap();
        assert_eq!(principal_of_certificate(&certificate, after), Err(Refusal::CertificateExpired));
        let nonsense = PeerCertificate(CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(principal_of_certificate(&nonsense, before), Err(Refusal::Subject));
    }
}
