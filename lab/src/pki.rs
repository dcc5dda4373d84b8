//! Throw-away certificates: one authority for each site's Kubernetes, one for each site's etcd, one for each site's data
//! service, one for the way between the data services, one for the arbiter.

use crate::layout::Layout;
use crate::plan::{Place, Plan};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// How long the certificates of a throw-away lab are valid.
const VALID: Duration = Duration::days(30);

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Make(#[from] rcgen::Error),
    /// A file could not be written.
    #[error("certificates could not be written")]
    Write(#[from] io::Error),
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    now: OffsetDateTime,
}

/// Who a certificate is for.
struct Subject<'a> {
    name: &'a str,
    organisation: Option<&'a str>,
    dns: &'a [&'a str],
    addresses: Vec<Ipv4Addr>,
}

impl<'a> Subject<'a> {
    /// A user: the certificate says who it is, and nothing can be served with it.
    fn user(name: &'a str, organisation: Option<&'a str>) -> Self {
        Self { name, organisation, dns: &[], addresses: Vec::new() }
    }

    /// A server, reached from its namespace or over the lab's forwards on loopback.
    fn server(name: &'a str, addresses: &[Ipv4Addr]) -> Self {
        let addresses = addresses.iter().copied().chain([Ipv4Addr::LOCALHOST]).collect();
        Self { name, organisation: None, dns: &["localhost"], addresses }
    }
}

impl Authority {
    fn new(name: &str, now: OffsetDateTime) -> Result<Self, PkiError> {
        let mut params = params(name, None, now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate, now })
    }

    /// Writes `<file>.crt` and `<file>.key`.
    fn issue(&self, dir: &Path, file: &str, subject: &Subject<'_>) -> Result<(), PkiError> {
        let mut params = params(subject.name, subject.organisation, self.now);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        for name in subject.dns {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        for address in &subject.addresses {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(*address)));
        }
        if !params.subject_alt_names.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Layout::private_file(&dir.join(format!("{file}.crt")), &certificate.pem())?;
        Layout::private_file(&dir.join(format!("{file}.key")), &key.serialize_pem())?;
        Ok(())
    }

    fn write(&self, dir: &Path, file: &str) -> Result<(), PkiError> {
        Ok(Layout::private_file(&dir.join(format!("{file}.crt")), &self.certificate)?)
    }
}

fn params(name: &str, organisation: Option<&str>, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    // Clocks of one machine agree, but a certificate from this very second is refused by some programs.
    // Also for whoever has a clock that is some hours late.
    params.not_before = now - Duration::days(1);
    params.not_after = now + VALID;
    params
}

/// The operator's user and group, as its RBAC names them.
pub const OPERATOR: (&str, &str) = ("tandem-operator", "tandem:operators");
/// The people who look after the arbiter, by their etcd users. Each speaks for himself alone.
pub const ARBITER_ADMINS: [&str; 2] = ["arbiter-admin-1", "arbiter-admin-2"];
/// The people who try the lab out.
pub const ADMIN: (&str, &str) = ("lab-admin", "tandem:lab-admins");

/// Makes every certificate and key of a lab.
///
/// # Errors
/// When one cannot be made or written.
pub fn create(plan: &Plan, layout: &Layout, now: OffsetDateTime) -> Result<(), PkiError> {
    let arbiter = Authority::new("tandem-lab arbiter", now)?;
    // As databases have it that replicate: a way to each other on which no operator goes.
    let replication = Authority::new("tandem-lab replication", now)?;
    for place in plan.places() {
        let dir = layout.pki(&place.name);
        Layout::private_dir(&dir)?;
        arbiter.write(&dir, "arbiter-ca")?;
        arbiter.issue(&dir, "arbiter-member", &Subject::server(&place.name, &[place.arbiter()]))?;
        if plan.sites.contains(&place.name) {
            let user = format!("site-{}", place.name);
            arbiter.issue(&dir, "arbiter-client", &Subject::user(&user, None))?;
            site(&place, &dir, now)?;
            replication.write(&dir, "replication-ca")?;
            replication.issue(&dir, "replication", &Subject::server("hook", &[place.hook()]))?;
        } else {
            // Whoever sets the arbiter's users up is their root, and may take snapshots and replace members.
            arbiter.issue(&dir, "arbiter-root", &Subject::user("root", None))?;
            // Two people who look after the arbiter: some things take both.
            for name in ARBITER_ADMINS {
                arbiter.issue(&dir, name, &Subject::user(name, None))?;
            }
        }
    }
    Ok(())
}

fn site(place: &Place, dir: &Path, now: OffsetDateTime) -> Result<(), PkiError> {
    let etcd = Authority::new(&format!("{} etcd", place.name), now)?;
    etcd.write(dir, "etcd-ca")?;
    etcd.issue(dir, "etcd", &Subject::server("etcd", &[place.etcd()]))?;
    etcd.issue(dir, "etcd-client", &Subject::user("kube-apiserver", None))?;
    let kubernetes = Authority::new(&format!("{} kubernetes", place.name), now)?;
    kubernetes.write(dir, "ca")?;
    let mut server = Subject::server("kube-apiserver", &[place.control_plane(), place.kubernetes_service()]);
    server.dns = &["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    kubernetes.issue(dir, "apiserver", &server)?;
    for program in ["controller-manager", "scheduler"] {
        let name = format!("system:kube-{program}");
        kubernetes.issue(dir, program, &Subject::server(&name, &[]))?;
    }
    for replica in 0..2 {
        let mut server = Subject::server("tandem-operator", &[place.operator(replica)]);
        server.dns = &["localhost"];
        kubernetes.issue(dir, &format!("operator-{replica}"), &server)?;
    }
    // A site's operators are shown to that site's service alone.
    let data = Authority::new(&format!("{} data", place.name), now)?;
    data.write(dir, "data-ca")?;
    data.issue(dir, "hook", &Subject::server("hook", &[place.hook()]))?;
    data.issue(dir, "hook-operator", &Subject::user("tandem-operator", None))?;
    data.issue(dir, "hook-client", &Subject::user("client", None))?;
    let node = format!("system:node:{}", place.node());
    for (file, name, group) in [
        ("user-node", node.as_str(), "system:nodes"),
        ("user-operator", OPERATOR.0, OPERATOR.1),
        ("user-admin", ADMIN.0, ADMIN.1),
        // Only the lab itself, to give the others their rights.
        ("user-bootstrap", "lab-bootstrap", "system:masters"),
    ] {
        kubernetes.issue(dir, file, &Subject::user(name, Some(group)))?;
    }
    let tokens = KeyPair::generate()?;
    Layout::private_file(&dir.join("service-account.key"), &tokens.serialize_pem())?;
    Layout::private_file(&dir.join("service-account.pub"), &tokens.public_key_pem())?;
    Ok(())
}
