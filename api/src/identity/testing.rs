//! An issuer without a network, for tests.

use super::fetch::{Fetch, FetchError};
use super::{Algorithm, Role, TokenRules};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::future::BoxFuture;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) const ISSUER: &str = "https://issuer.example/realm";
pub(crate) const AUDIENCE: &str = "tandem-api";
/// When the tests happen, in seconds since 1970.
pub(crate) const EPOCH: i64 = 1_800_000_000;

/// So many seconds into the tests.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(EPOCH + second).unwrap()
}

pub(crate) fn rules() -> TokenRules {
    TokenRules {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: BTreeSet::from(Algorithm::ALL),
        skew: Duration::from_secs(60),
        longest: 8192,
        name_claim: "sub".to_owned(),
        unit_claim: "unit".to_owned(),
        roles_claim: "roles".to_owned(),
        groups_claim: "groups".to_owned(),
        roles: Role::ALL.into_iter().map(|role| (role.as_str().to_owned(), role)).collect(),
    }
}

/// Claims that hold, for somebody with a role and perhaps a unit.
pub(crate) fn claims(name: &str, unit: Option<&str>, roles: &[Role]) -> Value {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": name, "iat": EPOCH, "nbf": EPOCH, "exp": EPOCH + 600, "roles": roles,
    });
    if let Some(unit) = unit {
        claims["unit"] = json!(unit);
    }
    claims
}

/// A key that signs ES256.
pub(crate) struct Signing {
    pub(crate) kid: String,
    pair: EcdsaKeyPair,
}

impl Signing {
    pub(crate) fn new(kid: &str) -> Self {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref(), &random).unwrap();
        Self { kid: kid.to_owned(), pair }
    }

    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
               "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with_head(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims)
    }

    /// Signs by ES256 whatever the header says.
    pub(crate) fn sign_with_head(&self, head: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(head), part(claims));
        let signed = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed.as_ref()))
    }
}

/// Publishes keys.
#[derive(Debug)]
pub(crate) struct TestIssuer {
    keys: Mutex<Vec<Value>>,
    issuer: Mutex<String>,
    fetched: AtomicUsize,
    failing: AtomicBool,
}

impl TestIssuer {
    pub(crate) fn with(keys: &[&Signing]) -> Arc<Self> {
        let issuer = Self {
            keys: Mutex::default(),
            issuer: Mutex::new(ISSUER.to_owned()),
            fetched: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
        };
        issuer.publish(keys);
        Arc::new(issuer)
    }

    pub(crate) fn publish(&self, keys: &[&Signing]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    pub(crate) fn publish_raw(&self, keys: Vec<Value>) {
        *self.keys.lock().unwrap() = keys;
    }

    pub(crate) fn say_issuer(&self, issuer: &str) {
        issuer.clone_into(&mut self.issuer.lock().unwrap());
    }

    pub(crate) fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    /// How often the keys were fetched.
    pub(crate) fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

impl Fetch for TestIssuer {
    fn get<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Bytes, FetchError>> {
        Box::pin(async move {
            if self.failing.load(Ordering::Relaxed) {
                return Err(FetchError::Status { url: url.to_owned(), status: 502 });
            }
            let document = match url.strip_prefix(ISSUER) {
                Some("/.well-known/openid-configuration") => {
                    json!({"issuer": *self.issuer.lock().unwrap(), "jwks_uri": format!("{ISSUER}/keys")})
                }
                Some("/keys") => {
                    self.fetched.fetch_add(1, Ordering::Relaxed);
                    json!({"keys": *self.keys.lock().unwrap()})
                }
                _ => return Err(FetchError::Status { url: url.to_owned(), status: 404 }),
            };
            Ok(document.to_string().into())
        })
    }
}
