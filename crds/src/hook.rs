//! The settings of the state provider `Hook`: a service of the group's own at each site, spoken to over HTTPS.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How the operators reach the services that move a group's data; the contract with them is docs/hooks.md.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.sites.all(s, self.sites.exists_one(t, t.site == s.site))").message("spec.hook.sites names a site twice: name each once"))]
pub struct HookSettings {
    /// The service at each site. A site's operators speak to their own site's alone.
    #[schemars(length(min = 1, max = 8))]
    pub sites: Vec<HookSite>,
    /// Nothing is acknowledged to a client that the standby has not got, and the active side cannot stop waiting for it by
    /// itself. Where a report says otherwise, that is believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synchronous: bool,
    /// How many seconds one call may take; what takes longer answers 202 and is asked again. It is 2 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 60))]
    pub timeout_seconds: Option<i64>,
}

/// The service at one site, and what its operators show it. Secrets are named and never published: each site has its own, in
/// the namespace that its operators are told (`secretsNamespace`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.url.startsWith('https://')").message("url must begin with https://"),
    validation = Rule::new("!self.url.contains('@') && !self.url.contains('?') && !self.url.contains('#')").message("url must be https://HOST[:PORT][/PATH] and nothing more; what proves who asks belongs into a Secret"),
    validation = Rule::new("self.caBundle.contains('-----BEGIN CERTIFICATE-----')").message("caBundle must be the PEM certificates of the authorities that sign the service's certificate"),
    validation = Rule::new("has(self.clientCertificateSecret) != has(self.tokenSecret)").message("name either clientCertificateSecret or tokenSecret")
)]
pub struct HookSite {
    /// The site.
    #[schemars(length(min = 1, max = 63))]
    pub site: String,
    /// Where the service is, such as `https://ledger-hook.db:9443/v1`; the calls' names are added to it.
    #[schemars(length(max = 512))]
    pub url: String,
    /// The authorities that sign the service's certificate, PEM. No others are believed.
    #[schemars(length(max = 65_536))]
    pub ca_bundle: String,
    /// The Secret with the client certificate to show: `tls.crt` and `tls.key`, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_certificate_secret: Option<String>,
    /// The Secret with the token to send as `Authorization: Bearer`: `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub token_secret: Option<String>,
}
