//! Throw-away certificates: one authority for each site's Kubernetes, one for each site's etcd, one for each site's data
//! service and databases, one for the way between those of the sites, one for the arbiter, one for what people reach of the agencies' API, and one
//! for these people.

mod databases;

use crate::layout::Layout;
use crate::people::PEOPLE;
use crate::plan::{Place, Plan};
use crate::postgres::Databases;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use std::collections::BTreeMap;
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
    organisations: Vec<&'a str>,
    dns: &'a [&'a str],
    addresses: Vec<Ipv4Addr>,
}

impl<'a> Subject<'a> {
    /// A user: the certificate says who it is, and nothing can be served with it.
    fn user(name: &'a str, organisation: Option<&'a str>) -> Self {
        Self { name, organisations: organisation.into_iter().collect(), dns: &[], addresses: Vec::new() }
    }

    /// A server, reached from its namespace or over the lab's forwards on loopback.
    fn server(name: &'a str, addresses: &[Ipv4Addr]) -> Self {
        let addresses = addresses.iter().copied().chain([Ipv4Addr::LOCALHOST]).collect();
        Self { name, organisations: Vec::new(), dns: &["localhost"], addresses }
    }
}

impl Authority {
    fn new(name: &str, now: OffsetDateTime) -> Result<Self, PkiError> {
        let mut params = params(name, &[], now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate, now })
    }

    /// Writes `<file>.crt` and `<file>.key`.
    fn issue(&self, dir: &Path, file: &str, subject: &Subject<'_>) -> Result<(), PkiError> {
        let mut params = params(subject.name, &subject.organisations, self.now);
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

/// The object identifier of `O` (RFC 4519, 2.19). A name has each type once, and this one is the same type to everybody else.
const ORGANISATION: [u64; 4] = [2, 5, 4, 10];

/// A certificate for this name and at most two organisations.
fn params(name: &str, organisations: &[&str], now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let types = [DnType::OrganizationName, DnType::CustomDnType(ORGANISATION.to_vec())];
    for (kind, organisation) in types.into_iter().zip(organisations) {
        params.distinguished_name.push(kind, *organisation);
    }
    // Clocks of one machine agree, but a certificate from this very second is refused by some programs.
    // Also for whoever has a clock that is some hours late.
    params.not_before = now - Duration::days(1);
    params.not_after = now + VALID;
    params
}

/// The operator's user and group, as its RBAC names them.
pub const OPERATOR: (&str, &str) = ("tandem-operator", "tandem:operators");
/// The user and group of the agencies' API, as its RBAC names them.
pub const API: (&str, &str) = ("tandem-api", "tandem:apis");
/// The people who look after the arbiter, by their etcd users. Each speaks for himself alone.
pub const ARBITER_ADMINS: [&str; 2] = ["arbiter-admin-1", "arbiter-admin-2"];
/// The people who try the lab out.
pub const ADMIN: (&str, &str) = ("lab-admin", "tandem:lab-admins");

/// Makes every certificate and key of a lab.
///
/// # Errors
/// When one cannot be made or written.
pub fn create(plan: &Plan, layout: &Layout, databases: &Databases, now: OffsetDateTime) -> Result<(), PkiError> {
    let arbiter = Authority::new("tandem-lab arbiter", now)?;
    // As databases have it that replicate: a way to each other on which no operator goes.
    let replication = Authority::new("tandem-lab replication", now)?;
    // What people reach has one authority for all places: whoever is sent to the other site believes it there too.
    let reached = Authority::new("tandem-lab api", now)?;
    let people = people(layout, &reached, now)?;
    // A site's operators are shown to that site's services alone.
    let mut data = BTreeMap::new();
    for site in &plan.sites {
        data.insert(site.clone(), Authority::new(&format!("{site} data"), now)?);
    }
    for place in plan.places() {
        let dir = layout.pki(&place.name);
        Layout::private_dir(&dir)?;
        arbiter.write(&dir, "arbiter-ca")?;
        reached.write(&dir, "api-ca")?;
        people.write(&dir, "people-ca")?;
        arbiter.issue(&dir, "arbiter-member", &Subject::server(&place.name, &[place.arbiter()]))?;
        if let Some(data) = data.get(&place.name) {
            let user = format!("site-{}", place.name);
            arbiter.issue(&dir, "arbiter-client", &Subject::user(&user, None))?;
            arbiter.issue(&dir, "arbiter-api", &Subject::user(&format!("api-{}", place.name), None))?;
            reached.issue(&dir, "api", &reached_server(&["tandem-api", "localhost"], place.api()))?;
            site(&place, &dir, data, now)?;
            replication.write(&dir, "replication-ca")?;
            replication.issue(&dir, "replication", &Subject::server("hook", &[place.hook()]))?;
        } else {
            reached.issue(&dir, "issuer", &reached_server(&["tandem-issuer", "localhost"], place.issuer()))?;
            // Whoever sets the arbiter's users up is their root, and may take snapshots and replace members.
            arbiter.issue(&dir, "arbiter-root", &Subject::user("root", None))?;
            // Two people who look after the arbiter: some things take both.
            for name in ARBITER_ADMINS {
                arbiter.issue(&dir, name, &Subject::user(name, None))?;
            }
        }
    }
    databases::create(plan, layout, databases, &data, &replication, now)
}

/// A server that people reach: by its address, its name, or over the lab's forwards.
fn reached_server(names: &'static [&'static str; 2], address: Ipv4Addr) -> Subject<'static> {
    Subject { dns: names, ..Subject::server(names[0], &[address]) }
}

/// Makes the certificates of people, beside the authority of what they reach. Their own authority signs nothing else.
fn people(layout: &Layout, reached: &Authority, now: OffsetDateTime) -> Result<Authority, PkiError> {
    let authority = Authority::new("tandem-lab people", now)?;
    let dir = layout.people();
    Layout::private_dir(&dir)?;
    reached.write(&dir, "api-ca")?;
    for person in PEOPLE {
        let organisations = person.organisations();
        let subject = Subject {
            organisations: organisations.iter().map(String::as_str).collect(),
            ..Subject::user(person.name, None)
        };
        authority.issue(&dir, person.name, &subject)?;
    }
    Ok(authority)
}

fn site(place: &Place, dir: &Path, data: &Authority, now: OffsetDateTime) -> Result<(), PkiError> {
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
    data.write(dir, "data-ca")?;
    data.issue(dir, "hook", &Subject::server("hook", &[place.hook()]))?;
    data.issue(dir, "hook-operator", &Subject::user("tandem-operator", None))?;
    data.issue(dir, "hook-client", &Subject::user("client", None))?;
    let node = format!("system:node:{}", place.node());
    for (file, name, group) in [
        ("user-node", node.as_str(), "system:nodes"),
        ("user-operator", OPERATOR.0, OPERATOR.1),
        ("user-api", API.0, API.1),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn count(der: &[u8], wanted: &[u8]) -> usize {
        der.windows(wanted.len()).filter(|window| *window == wanted).count()
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // certificates are valid from now on
    fn a_person_has_a_name_a_unit_and_a_role_and_only_the_owner_reads_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { dir: dir.path().to_owned() };
        let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
        create(&plan, &layout, &Databases::default(), OffsetDateTime::now_utc()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&layout.people()), 0o700);
        for person in PEOPLE {
            assert_eq!(mode(&layout.people().join(format!("{}.key", person.name))), 0o600);
            let der = CertificateDer::from_pem_file(layout.people().join(format!("{}.crt", person.name))).unwrap();
            // The type as it is encoded: whoever reads it sees one organisation or two, and no other type.
            assert_eq!(count(&der, &[0x55, 0x04, 0x0a]), person.organisations().len(), "{}", person.name);
            for organisation in person.organisations() {
                assert_eq!(count(&der, organisation.as_bytes()), 1, "{organisation}");
            }
        }
        for site in &plan.sites {
            for file in ["api.crt", "user-api.crt", "arbiter-api.crt", "people-ca.crt", "api-ca.crt"] {
                assert!(layout.pki(site).join(file).is_file(), "{site}/{file}");
            }
        }
        assert!(layout.pki(crate::plan::WITNESS).join("issuer.key").is_file());
        // Nobody but `create` signs: the authorities' keys are nowhere.
        assert!(!layout.people().join("people-ca.key").exists() && !layout.people().join("api-ca.key").exists());
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // certificates are valid from now on
    fn a_database_is_reached_at_its_own_address_and_at_the_way_in() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { dir: dir.path().to_owned() };
        let plan = Plan::new("t", "10.90", "dc-a,dc-b").unwrap();
        let databases = Databases::new(&["ledger".to_owned()], Some(10)).unwrap();
        create(&plan, &layout, &databases, OffsetDateTime::now_utc()).unwrap();
        let site = layout.postgres("dc-b");
        let has = |file: &str, address: Ipv4Addr| {
            count(&CertificateDer::from_pem_file(site.join(file)).unwrap(), &address.octets()) == 1
        };
        let place = plan.place("dc-b").unwrap();
        let member = place.database(1);
        assert!(has("ledger-1/postgresql.crt", member) && has("ledger-1/postgresql.crt", place.database_entry()));
        assert!(has("ledger-1/rest.crt", member) && !has("ledger-1/rest.crt", place.database_entry()));
        assert!(has("plain/postgresql.crt", place.plain()));
        let name = CertificateDer::from_pem_file(site.join("pki/replicator.crt")).unwrap();
        assert_eq!(count(&name, b"replicator"), 1, "the role that it is for");
        let believed = fs::read_to_string(site.join("pki/databases-ca.crt")).unwrap();
        assert_eq!(believed.matches("BEGIN CERTIFICATE").count(), 2, "that of either site");
        assert!(!site.join("pki/data-ca.key").exists() && !site.join("pki/replication-ca.key").exists());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&site), mode(&site.join("ledger-0/postgresql.key"))), (0o700, 0o600));
        assert!(
            layout.pki("witness").join("plain-lab.crt").is_file() && !layout.postgres("witness").join("pki").exists()
        );
    }
}
