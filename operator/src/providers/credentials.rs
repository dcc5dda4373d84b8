//! What is shown to a group's service, from this site's Secret of the name that the group gives.
//!
//! Kept in memory from the last good read, and nowhere else: an operator fences while its API server is down, and a disk that
//! is lost tells nothing. One that is *started* while its API server is down knows no credentials; the switch beside the data
//! stands in for its fence.

use super::Provider;
use super::hook::{Credentials, Hook};
use crate::cluster::REQUEST_TIMEOUT;
use crate::context::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_core::failover::Reason;
use tandem_crds::{FailoverGroupSpec, HookSite};

/// What a provider is made of: another one is made where any of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    site: HookSite,
    timeout: Option<i64>,
    credentials: Credentials,
}

/// A provider that was made anew, and what of.
pub(super) type Fresh = (Arc<dyn Provider>, Made);

/// This site's service as a group has it.
///
/// # Errors
/// [`Reason::NoEndpoint`].
pub(super) fn endpoint<'a>(spec: &'a FailoverGroupSpec, site: &str) -> Result<&'a HookSite, Reason> {
    let sites = spec.hook.iter().flat_map(|hook| &hook.sites);
    sites.into_iter().find(|named| named.site == site).ok_or_else(|| Reason::NoEndpoint { site: site.to_owned() })
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
    let site = endpoint(spec, own)?;
    let name = site.client_certificate_secret.as_ref().or(site.token_secret.as_ref()).cloned().unwrap_or_default();
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
    let credentials = read(site, data).ok_or_else(missing)?;
    let timeout = spec.hook.as_ref().and_then(|hook| hook.timeout_seconds);
    let wanted = Made { site: site.clone(), timeout, credentials };
    if made == Some(&wanted) {
        return Ok(None);
    }
    match Hook::new(&wanted.site, wanted.timeout, wanted.credentials.clone()) {
        Ok(hook) => {
            let hook: Arc<dyn Provider> = Arc::new(hook);
            Ok(Some((hook, wanted)))
        }
        Err(error) => {
            tracing::warn!(secret = name, %error, "what is to be shown to a data service cannot be used");
            Err(missing())
        }
    }
}

/// The credentials in a Secret's fields.
fn read(site: &HookSite, mut data: BTreeMap<String, Vec<u8>>) -> Option<Credentials> {
    if site.client_certificate_secret.is_some() {
        return Some(Credentials::Certificate { chain: data.remove("tls.crt")?, key: data.remove("tls.key")? });
    }
    let token = String::from_utf8(data.remove("token")?).ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| Credentials::Token(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_without_its_fields_is_of_no_use() {
        let token = HookSite { token_secret: Some("t".into()), ..HookSite::default() };
        let shown = HookSite { client_certificate_secret: Some("c".into()), ..HookSite::default() };
        let of = |fields: &[(&str, &str)]| -> BTreeMap<String, Vec<u8>> {
            fields.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
        };
        assert_eq!(read(&token, of(&[("token", "abc\n")])), Some(Credentials::Token("abc".into())));
        assert_eq!(read(&token, of(&[("token", " \n")])), None);
        assert_eq!(read(&token, of(&[("tls.crt", "x"), ("tls.key", "y")])), None);
        assert_eq!(read(&shown, of(&[("tls.crt", "x")])), None);
        assert!(read(&shown, of(&[("tls.crt", "x"), ("tls.key", "y")])).is_some());
        let all = format!("{:?}", read(&token, of(&[("token", "abc")])));
        assert!(!all.contains("abc"), "{all}");
    }

    #[test]
    fn a_site_that_is_not_named_says_so() {
        let spec = FailoverGroupSpec::default();
        assert_eq!(endpoint(&spec, "dc-b"), Err(Reason::NoEndpoint { site: "dc-b".into() }));
    }
}
