//! The issuer's keys: found by its discovery document (OpenID Connect Discovery 1.0), cached, and fetched again when they are
//! old or when a token names one that is not among them. The latter not more often than every so many seconds, so that
//! tokens with invented key ids do not become a flood on the issuer.
//!
//! While the issuer does not answer, the keys that are known hold on for a time: losing the site with the issuer must not
//! keep everybody out. After that time they are dropped, as a key that was withdrawn would otherwise hold for ever.

use super::fetch::{Fetch, FetchError};
use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Mutex;

/// The most keys that are kept.
const MOST: usize = 64;

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// A document could not be had.
    #[error("a document of the issuer's could not be had")]
    Fetch(#[from] FetchError),
    /// The discovery document is none.
    #[error("the issuer's discovery document is not valid: {0}")]
    Discovery(String),
    /// The keys are none.
    #[error("the issuer's key set is not valid: {0}")]
    KeySet(String),
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Debug, Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Debug, Default)]
struct Known {
    keys: BTreeMap<String, Arc<Jwk>>,
    fetched: Option<Timestamp>,
    tried: Option<Timestamp>,
}

/// What is known of one key.
struct Look {
    key: Option<Arc<Jwk>>,
    age: Duration,
    tried: Duration,
}

/// The keys of one issuer.
pub struct Keys {
    issuer: String,
    fetch: Arc<dyn Fetch>,
    /// After how long keys are fetched again.
    fresh: Duration,
    /// For how long keys hold while they cannot be fetched.
    kept: Duration,
    /// The least time between two attempts.
    pause: Duration,
    known: RwLock<Known>,
    /// Whose turn it is to fetch.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// How long ago something was. Where the clock went back, that is not known, and it counts as long ago.
fn since(at: Option<Timestamp>, now: Timestamp) -> Duration {
    at.and_then(|at| Duration::try_from(now.duration_since(at)).ok()).unwrap_or(Duration::MAX)
}

impl Keys {
    /// The keys of this issuer: fetched again after `fresh`, dropped after `kept`, tried for at most every `pause`.
    #[must_use]
    pub fn new(issuer: String, fetch: Arc<dyn Fetch>, fresh: Duration, kept: Duration, pause: Duration) -> Self {
        Self { issuer, fetch, fresh, kept, pause, known: RwLock::default(), turn: Mutex::default() }
    }

    /// The key of that id. None where the issuer has none.
    ///
    /// # Errors
    /// When no keys are known that still hold, and none can be fetched.
    pub async fn find(&self, kid: &str, now: Timestamp) -> Result<Option<Arc<Jwk>>, KeysError> {
        let look = self.look(kid, now);
        if look.key.is_some() && look.age <= self.fresh {
            return Ok(look.key);
        }
        // One fetches. Whoever has a key that still holds does not wait for it, so that neither a slow issuer nor somebody
        // who invents key ids keeps others out.
        let _turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) if look.key.is_some() && look.age <= self.kept => return Ok(look.key),
            Err(_) => self.turn.lock().await,
        };
        let look = self.look(kid, now);
        let wanted = look.age > self.fresh || look.key.is_none();
        if wanted && look.tried >= self.pause {
            self.write().tried = Some(now);
            match self.load().await {
                Ok(keys) => {
                    let mut known = self.write();
                    known.keys = keys;
                    known.fetched = Some(now);
                }
                Err(error) if look.age > self.kept => return Err(error),
                Err(error) => {
                    tracing::warn!(error = %tandem_logs::Chain(&error), "the issuer's keys could not be fetched again");
                }
            }
        }
        let look = self.look(kid, now);
        if look.age > self.kept {
            let cause = "there are none that still hold, and the next attempt is not due".to_owned();
            return Err(KeysError::KeySet(cause));
        }
        Ok(look.key)
    }

    fn look(&self, kid: &str, now: Timestamp) -> Look {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Look { key: known.keys.get(kid).cloned(), age: since(known.fetched, now), tried: since(known.tried, now) }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load(&self) -> Result<BTreeMap<String, Arc<Jwk>>, KeysError> {
        let address = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document = self.fetch.get(&address).await?;
        let discovery: Discovery =
            serde_json::from_slice(&document).map_err(|error| KeysError::Discovery(error.to_string()))?;
        if discovery.issuer != self.issuer {
            let cause = format!("it is of '{}', where '{}' is configured", discovery.issuer, self.issuer);
            return Err(KeysError::Discovery(cause));
        }
        if !discovery.jwks_uri.starts_with("https://") {
            return Err(KeysError::Discovery("jwks_uri does not begin with https://".to_owned()));
        }
        read(&self.fetch.get(&discovery.jwks_uri).await?)
    }
}

/// The keys of a set by which signatures can be checked. What is for something else is passed over; one without id too.
fn read(document: &[u8]) -> Result<BTreeMap<String, Arc<Jwk>>, KeysError> {
    let wrong = |cause: String| KeysError::KeySet(cause);
    let set: KeySet = serde_json::from_slice(document).map_err(|error| wrong(error.to_string()))?;
    if set.keys.len() > MOST {
        return Err(wrong(format!("it has {} keys, and {MOST} are the most that are kept", set.keys.len())));
    }
    let mut keys = BTreeMap::new();
    for key in set.keys {
        let Ok(key) = serde_json::from_value::<Jwk>(key) else { continue };
        let public = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
        let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let Some(kid) = key.common.key_id.clone().filter(|_| public && signs) else { continue };
        if keys.insert(kid.clone(), Arc::new(key)).is_some() {
            return Err(wrong(format!("two keys have the id '{kid}'")));
        }
    }
    if keys.is_empty() {
        return Err(wrong("no key in it has an id and is for signatures".to_owned()));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{ISSUER, Signing, TestIssuer, at};

    const MINUTE: Duration = Duration::from_secs(60);

    fn keys(issuer: &Arc<TestIssuer>) -> Keys {
        let fetch: Arc<dyn Fetch> = Arc::clone(issuer) as _;
        Keys::new(ISSUER.to_owned(), fetch, 10 * MINUTE, 60 * MINUTE, MINUTE / 6)
    }

    #[tokio::test]
    async fn keys_are_fetched_once_and_then_by_age() {
        let issuer = TestIssuer::with(&[&Signing::new("one")]);
        let keys = keys(&issuer);
        for second in [0, 1, 599] {
            assert!(keys.find("one", at(second)).await.unwrap().is_some());
        }
        assert_eq!(issuer.fetched(), 1);
        assert!(keys.find("one", at(601)).await.unwrap().is_some());
        assert_eq!(issuer.fetched(), 2);
    }

    #[tokio::test]
    async fn a_key_that_is_not_known_is_looked_for_but_not_at_every_request() {
        let issuer = TestIssuer::with(&[&Signing::new("one")]);
        let keys = keys(&issuer);
        assert!(keys.find("one", at(0)).await.unwrap().is_some());
        for second in 1..10 {
            assert!(keys.find("invented", at(second)).await.unwrap().is_none());
        }
        assert_eq!(issuer.fetched(), 1, "an invented id costs the issuer nothing within the pause");
        issuer.publish(&[&Signing::new("two")]);
        assert!(keys.find("two", at(10)).await.unwrap().is_some(), "the key that was rotated in");
        assert!(keys.find("one", at(21)).await.unwrap().is_none(), "the key that was rotated out");
    }

    #[tokio::test]
    async fn known_keys_outlast_the_issuer_for_a_time_and_no_longer() {
        let issuer = TestIssuer::with(&[&Signing::new("one")]);
        let keys = keys(&issuer);
        assert!(keys.find("one", at(0)).await.unwrap().is_some());
        issuer.fail(true);
        assert!(keys.find("one", at(3_600)).await.unwrap().is_some());
        assert!(keys.find("one", at(3_700)).await.is_err());
        assert!(keys.find("one", at(3_701)).await.is_err(), "also between two attempts");
        issuer.fail(false);
        assert!(keys.find("one", at(3_711)).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_clock_that_went_back_makes_keys_old() {
        let issuer = TestIssuer::with(&[&Signing::new("one")]);
        let keys = keys(&issuer);
        assert!(keys.find("one", at(1_000)).await.unwrap().is_some());
        assert!(keys.find("one", at(0)).await.unwrap().is_some());
        assert_eq!(issuer.fetched(), 2);
    }

    #[test]
    fn a_set_that_cannot_be_trusted_is_refused_and_secrets_are_no_keys() {
        let signing = Signing::new("one");
        let set = |keys: Vec<Value>| serde_json::to_vec(&serde_json::json!({"keys": keys})).unwrap();
        let oct = serde_json::json!({"kty": "oct", "kid": "shared", "k": "c2VjcmV0"});
        let later = serde_json::json!({"kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "x"});
        let read_keys = read(&set(vec![signing.jwk(), oct.clone(), later])).unwrap();
        assert_eq!(read_keys.keys().collect::<Vec<_>>(), ["one"]);
        assert!(read(&set(vec![oct])).unwrap_err().to_string().contains("no key"));
        assert!(read(&set(vec![signing.jwk(), signing.jwk()])).unwrap_err().to_string().contains("two keys"));
        assert!(read(&set(vec![signing.jwk(); MOST + 1])).is_err());
        assert!(read(b"<html>").is_err());
    }

    #[tokio::test]
    async fn a_discovery_document_of_another_issuer_is_refused() {
        let issuer = TestIssuer::with(&[&Signing::new("one")]);
        issuer.say_issuer("https://elsewhere.example");
        assert!(matches!(keys(&issuer).find("one", at(0)).await, Err(KeysError::Discovery(_))));
    }
}
