//! The settings of the state provider `Patroni`: PostgreSQL, one Patroni cluster a site.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where the agents beside a group's PostgreSQL members are. The steps are docs/postgresql.md.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.sites.all(s, self.sites.exists_one(t, t.site == s.site))").message("spec.patroni.sites names a site twice: name each once"))]
pub struct PatroniSettings {
    /// The members at each site. A site's operators speak to their own site's agents alone.
    #[schemars(length(min = 1, max = 8))]
    pub sites: Vec<PatroniSite>,
    /// Nothing is acknowledged to a client that the standby site has not got, and the active side cannot stop waiting for it by
    /// itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synchronous: bool,
    /// How many seconds one call to an agent may take; what takes longer is asked again. It is 2 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: Option<i64>,
}

/// The Patroni cluster at one site. Secrets are named and never published: each site has its own, in the namespace that its
/// operators are told (`secretsNamespace`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.members.all(m, m.startsWith('https://') && !m.contains('@') && !m.contains('?') && !m.contains('#'))").message("a member must be https://HOST[:PORT][/PATH] and nothing more"),
    validation = Rule::new("self.members.all(m, self.members.exists_one(n, n == m))").message("spec.patroni names a member twice: name each once"),
    validation = Rule::new("self.caBundle.contains('-----BEGIN CERTIFICATE-----')").message("caBundle must be the PEM certificates of the authorities that sign the agents' certificates")
)]
pub struct PatroniSite {
    /// The site.
    #[schemars(length(min = 1, max = 63))]
    pub site: String,
    /// Where the agent beside each member is, such as `https://hall-db-0.db:9443/v1`: every member of the cluster.
    #[schemars(length(min = 1, max = 16), inner(length(min = 9, max = 512)))]
    pub members: Vec<String>,
    /// The authorities that sign the agents' certificates, PEM. No others are believed.
    #[schemars(length(max = 65_536))]
    pub ca_bundle: String,
    /// The Secret with the client certificate to show: `tls.crt` and `tls.key`, PEM.
    #[schemars(length(min = 1, max = 253))]
    pub client_certificate_secret: String,
}
