//! Throw-away certificates: an authority for what a site's operators, agents, Patroni and etcd say to each other, one for what
//! databases say to each other, one for the gates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(folder: &Path, name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), issuer.pem()).unwrap();
    issuer
}

fn certificate(folder: &Path, issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name).signed_by(&key, issuer).unwrap();
    std::fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
    let place = folder.join(format!("{name}.key"));
    std::fs::write(&place, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Writes them all into a folder. The names of those for databases are the roles that they are for.
pub(crate) fn write(folder: &Path) {
    let data = authority(folder, "data-ca");
    certificate(folder, &data, "rest");
    let replication = authority(folder, "replication-ca");
    for name in ["postgresql", "replicator", "rewind", "tandem_watch"] {
        certificate(folder, &replication, name);
    }
    certificate(folder, &authority(folder, "gates-ca"), "gate");
}
