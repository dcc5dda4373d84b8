//! Signatures for jsonwebtoken, by ring: the tree has one provider of cryptography. Public keys are checked and ES256 is
//! signed (for the lab's issuer and tests); whatever else is asked of it is refused.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature as keys;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Keys are never turned into JWKs by jsonwebtoken here.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring what tokens are checked with. Once a process; more often does nothing.
pub fn install_provider() {
    let _ = PROVIDER.install_default();
}

fn unsupported() -> Error {
    ErrorKind::InvalidAlgorithm.into()
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let family = match algorithm {
        Algorithm::RS256 => AlgorithmFamily::Rsa,
        Algorithm::ES256 => AlgorithmFamily::Ec,
        Algorithm::EdDSA => AlgorithmFamily::Ed,
        _ => return Err(unsupported()),
    };
    if key.family() != family {
        return Err(ErrorKind::InvalidKeyFormat.into());
    }
    Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature::Error> {
        let plain = |algorithm: &'static dyn keys::VerificationAlgorithm, point: &[u8]| {
            keys::UnparsedPublicKey::new(algorithm, point).verify(message, given)
        };
        let verified = match (self.algorithm, self.key.kind()) {
            // Keys of less than 2048 bits are refused by the parameters.
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                keys::RsaPublicKeyComponents { n, e }.verify(&keys::RSA_PKCS1_2048_8192_SHA256, message, given)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => plain(&keys::ECDSA_P256_SHA256_FIXED, point),
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(point)) => plain(&keys::ED25519, point),
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct RingSigner {
    key: keys::EcdsaKeyPair,
    random: SystemRandom,
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    if *algorithm != Algorithm::ES256 || key.family() != AlgorithmFamily::Ec {
        return Err(unsupported());
    }
    let random = SystemRandom::new();
    let key = keys::EcdsaKeyPair::from_pkcs8(&keys::ECDSA_P256_SHA256_FIXED_SIGNING, key.as_bytes(), &random)
        .map_err(|_| ErrorKind::InvalidEcdsaKey)?;
    Ok(Box::new(RingSigner { key, random }))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let signed = self.key.sign(&self.random, message).map_err(|_| signature::Error::new())?;
        Ok(signed.as_ref().to_vec())
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}
