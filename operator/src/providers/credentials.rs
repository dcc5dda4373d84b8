//! What is shown to a group's service, from this site's Secret of the name that the group gives.
//!
//! Kept in memory from the last good read, and nowhere else: an operator fences while its API server is down, and a disk that
//! is lost tells nothing. One that is *started* while its API server is down knows no credentials; the switch beside the data
//! stands in for its fence.

use super::Provider;
use super::hook::{Credentials, Hook, Service};
use super::https::Unusable;
use super::patroni::Patroni;
use crate::cluster::REQUEST_TIMEOUT;
use crate::context::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_core::failover::Reason;
use tandem_crds::{FailoverGroupSpec, HookSite, PatroniSite, StateProvider};

/// Whom a group's settings name at a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// A service of the group's own.
    Hook(HookSite),
    /// The agents beside PostgreSQL.
    Patroni(PatroniSite),
}

/// What a provider is made of: another one is made where any of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    endpoint: Endpoint,
    timeout: Option<i64>,
    credentials: Credentials,
}

impl Made {
    fn provider(&self) -> Result<Arc<dyn Provider>, Unusable> {
        Ok(match &self.endpoint {
            Endpoint::Hook(site) => {
                let service = Service::new(&site.url, &site.ca_bundle, self.timeout, self.credentials.clone())?;
                Arc::new(Hook(service))
            }
            Endpoint::Patroni(site) => Arc::new(Patroni::new(site, self.timeout, &self.credentials)?),
        })
    }
}

/// A provider that was made anew, and what of.
pub(super) type Fresh = (Arc<dyn Provider>, Made);

/// Whom a group's settings name at a site, and how long a call may take.
///
/// # Errors
/// [`Reason::NoEndpoint`].
pub(super) fn endpoint(spec: &FailoverGroupSpec, site: &str) -> Result<(Endpoint, Option<i64>), Reason> {
    let found = match spec.provider {
        StateProvider::Patroni => spec.patroni.as_ref().and_then(|patroni| {
            let named = patroni.sites.iter().find(|named| named.site == site)?;
            Some((Endpoint::Patroni(named.clone()), patroni.timeout_seconds))
        }),
        _ => spec.hook.as_ref().and_then(|hook| {
            let named = hook.sites.iter().find(|named| named.site == site)?;
            Some((Endpoint::Hook(named.clone()), hook.timeout_seconds))
        }),
    };
    found.ok_or_else(|| Reason::NoEndpoint { site: site.to_owned() })
}

/// The provider of a group at this site, made anew where `made` is not what it would be made of.
///
/// # Errors
/// [`Reason::NoEndpoint`] and [`Reason::SecretMissing`]; one that was made before stays in use.
pub(super) async fn provider(
    context: &Context,
    spec: &FailoverGroupSpec,
    made: Option<&Made>,
) -> Result<Option<Fresh>, Reason> {
    let own = &context.config.site;
    let (endpoint, timeout) = endpoint(spec, own)?;
    let name = secret_of(&endpoint);
    let missing = || Reason::SecretMissing { site: own.clone(), secret: name.clone() };
    let namespace = &context.config.secrets_namespace;
    let secrets: Api<Secret> = Api::namespaced(context.cluster.client.clone(), namespace);
    let secret = match tokio::time::timeout(REQUEST_TIMEOUT, secrets.get_opt(&name)).await {
        Ok(Ok(Some(secret))) => secret,
        Ok(Ok(None)) => return Err(missing()),
        // The API server is away: what was read before stands.
        Ok(Err(_)) | Err(_) if made.is_some() => return Ok(None),
        Ok(Err(_)) | Err(_) => return Err(missing()),
    };
    let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
    let credentials = read(&endpoint, data).ok_or_else(missing)?;
    let wanted = Made { endpoint, timeout, credentials };
    if made == Some(&wanted) {
        return Ok(None);
    }
    match wanted.provider() {
        Ok(provider) => Ok(Some((provider, wanted))),
        Err(error) => {
            tracing::warn!(secret = name, %error, "what is to be shown to a data service cannot be used");
            Err(missing())
        }
    }
}

/// The Secret's name; of a service that is shown none, nothing, and no Secret bears that.
fn secret_of(endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Hook(site) => {
            site.client_certificate_secret.as_ref().or(site.token_secret.as_ref()).cloned().unwrap_or_default()
        }
        Endpoint::Patroni(site) => site.client_certificate_secret.clone(),
    }
}

/// The credentials in a Secret's fields.
fn read(endpoint: &Endpoint, mut data: BTreeMap<String, Vec<u8>>) -> Option<Credentials> {
    if !matches!(endpoint, Endpoint::Hook(HookSite { client_certificate_secret: None, .. })) {
        return Some(Credentials::Certificate { chain: data.remove("tls.crt")?, key: data.remove("tls.key")? });
    }
    let token = String::from_utf8(data.remove("token")?).ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| Credentials::Token(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_crds::PatroniSettings;

    #[test]
    fn a_secret_without_its_fields_is_of_no_use() {
        let token = Endpoint::Hook(HookSite { token_secret: Some("t".into()), ..HookSite::default() });
        let hook = HookSite { client_certificate_secret: Some("c".into()), ..HookSite::default() };
        let agents = PatroniSite { client_certificate_secret: "p".into(), ..PatroniSite::default() };
        let of = |fields: &[(&str, &str)]| -> BTreeMap<String, Vec<u8>> {
            fields.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
        };
        assert_eq!(read(&token, of(&[("token", "abc\n")])), Some(Credentials::Token("abc".into())));
        assert_eq!(read(&token, of(&[("token", " \n")])), None);
        assert_eq!(read(&token, of(&[("tls.crt", "x"), ("tls.key", "y")])), None);
        for (shown, name) in [(Endpoint::Hook(hook), "c"), (Endpoint::Patroni(agents), "p")] {
            assert_eq!(read(&shown, of(&[("tls.crt", "x")])), None);
            assert_eq!(read(&shown, of(&[("token", "abc")])), None);
            assert!(read(&shown, of(&[("tls.crt", "x"), ("tls.key", "y")])).is_some());
            assert_eq!(secret_of(&shown), name);
        }
        assert_eq!(secret_of(&token), "t");
        let all = format!("{:?}", read(&token, of(&[("token", "abc")])));
        assert!(!all.contains("abc"), "{all}");
    }

    #[test]
    fn a_site_that_is_not_named_says_so() {
        let none = Reason::NoEndpoint { site: "dc-b".into() };
        assert_eq!(endpoint(&FailoverGroupSpec::default(), "dc-b"), Err(none.clone()));
        let site = |name: &str| PatroniSite { site: name.into(), ..PatroniSite::default() };
        let mut spec = FailoverGroupSpec {
            provider: StateProvider::Patroni,
            patroni: Some(PatroniSettings {
                sites: vec![site("dc-a")],
                timeout_seconds: Some(3),
                ..PatroniSettings::default()
            }),
            ..FailoverGroupSpec::default()
        };
        assert_eq!(endpoint(&spec, "dc-a"), Ok((Endpoint::Patroni(site("dc-a")), Some(3))));
        assert_eq!(endpoint(&spec, "dc-b"), Err(none));
        spec.provider = StateProvider::Hook;
        let none = Reason::NoEndpoint { site: "dc-a".into() };
        assert_eq!(endpoint(&spec, "dc-a"), Err(none), "another provider's settings are not this one's");
    }
}
