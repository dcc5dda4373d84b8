//! The issuer's key: ES256, made at the start.

use crate::identity::install_provider;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::digest::{SHA256, digest};
use ring::rand::SecureRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

/// Why there is no key or no signature.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// No key could be made.
    #[error("no key could be made")]
    Key,
    /// A token could not be signed.
    #[error("a token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A key that signs, and says what is published of it.
pub struct SigningKey {
    id: String,
    key: EncodingKey,
    public: Value,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key. Its id is the thumbprint of what is published (RFC 7638).
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make(random: &dyn SecureRandom) -> Result<Self, SigningError> {
        install_provider();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, random).map_err(|_| SigningError::Key)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), random).map_err(|_| SigningError::Key)?;
        // Uncompressed: 4, then x and y of 32 bytes each.
        let (x, y) = pair.public_key().as_ref().get(1..65).ok_or(SigningError::Key)?.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()));
        let public = json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id, "x": x, "y": y});
        Ok(Self { id, key: EncodingKey::from_ec_der(der.as_ref()), public })
    }

    /// What is published.
    #[must_use]
    pub fn jwk(&self) -> &Value {
        &self.public
    }

    /// Signs claims.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: &Value) -> Result<String, SigningError> {
        let mut head = Header::new(Algorithm::ES256);
        head.kid = Some(self.id.clone());
        jsonwebtoken::encode(&head, claims, &self.key).map_err(SigningError::Sign)
    }
}
