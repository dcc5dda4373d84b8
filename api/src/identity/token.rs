//! Whether a token holds: pure, with the keys and the time passed in.

use super::{Principal, Role, Via, is_name, is_unit};
use crate::problem::Refusal;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The algorithms by which a token may be signed. There is no `none` among them and nothing with a shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256; keys of 2048 bits or more.
    RS256,
    /// ECDSA on P-256, SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::RS256, Self::ES256, Self::EdDSA];

    /// The name in a token's header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    fn as_theirs(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// What a token has to be, and what its claims mean.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// The issuer, exactly as in `iss`.
    pub issuer: String,
    /// The audience that has to be in `aud`.
    pub audience: String,
    /// The algorithms that are allowed.
    pub algorithms: BTreeSet<Algorithm>,
    /// How far clocks may differ.
    pub skew: Duration,
    /// The longest token that is read, in bytes.
    pub longest: usize,
    /// The claim with the name of who it is.
    pub name_claim: String,
    /// The claim with the unit.
    pub unit_claim: String,
    /// The claim with the roles.
    pub roles_claim: String,
    /// The claim with the groups, for units' administrators and viewers.
    pub groups_claim: String,
    /// Which value of the roles claim stands for which role.
    pub roles: BTreeMap<String, Role>,
}

/// What a token says, once it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it is, with the roles that the token itself gives.
    pub principal: Principal,
    /// The groups, for units' administrators and viewers.
    pub groups: BTreeSet<String>,
}

/// The part of a token's header that is looked at.
#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// The token of a request, where one is shown.
///
/// # Errors
/// When the header is there and is not `Bearer` and one token.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Refusal::NotBearer);
    }
    let text = value.to_str().map_err(|_| Refusal::NotBearer)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ') => {
            Ok(Some(token))
        }
        _ => Err(Refusal::NotBearer),
    }
}

/// The key that a token names, once what can be judged without keys is in order.
///
/// # Errors
/// When the token is too long, is none, or its algorithm is not allowed, or it names no key.
pub(super) fn key_id(token: &str, rules: &TokenRules) -> Result<(String, Algorithm), Refusal> {
    if token.len() > rules.longest {
        return Err(Refusal::TooLong { most: rules.longest });
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [head, _, _] = parts.as_slice() else { return Err(Refusal::Malformed) };
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_| Refusal::Malformed)?;
    let head: Head = serde_json::from_slice(&head).map_err(|_| Refusal::Malformed)?;
    // RFC 7515, 4.1.11: what is critical and not understood refuses.
    if head.crit.is_some() {
        return Err(Refusal::Malformed);
    }
    let algorithm = rules.algorithms.iter().find(|allowed| allowed.name() == head.alg).ok_or(Refusal::Algorithm)?;
    let kid = head.kid.filter(|kid| !kid.is_empty()).ok_or(Refusal::NoKeyId)?;
    Ok((kid, *algorithm))
}

/// Judges a token by the key that it names.
///
/// # Errors
/// When anything about it is not as the rules want it.
pub(super) fn judge(
    token: &str,
    algorithm: Algorithm,
    key: &Jwk,
    rules: &TokenRules,
    now: Timestamp,
) -> Result<Claims, Refusal> {
    // A key for one algorithm is not used for another.
    if key.common.key_algorithm.is_some_and(|named| named.to_string() != algorithm.name()) {
        return Err(Refusal::Algorithm);
    }
    let decoding = DecodingKey::from_jwk(key).map_err(|_| Refusal::UnknownKey)?;
    let mut validation = Validation::new(algorithm.as_theirs());
    // Times, issuer and audience are judged below, by the time that is passed in and with an answer of their own each.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &decoding, &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::Json(_) => Refusal::Malformed,
            _ => Refusal::Signature,
        })?
        .claims;
    check_times(&claims, rules.skew, now)?;
    if claims.get("iss").and_then(Value::as_str) != Some(rules.issuer.as_str()) {
        return Err(Refusal::Issuer);
    }
    let for_us = match claims.get("aud") {
        Some(Value::String(one)) => *one == rules.audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(rules.audience.as_str())),
        _ => false,
    };
    if !for_us {
        return Err(Refusal::Audience);
    }
    read(&claims, rules)
}

fn check_times(claims: &Map<String, Value>, skew: Duration, now: Timestamp) -> Result<(), Refusal> {
    let seconds = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or_else(|| Refusal::Claim { claim: claim.to_owned() }),
    };
    let now = now.as_duration().as_secs_f64();
    let skew = skew.as_secs_f64();
    let exp = seconds("exp")?.ok_or_else(|| Refusal::Claim { claim: "exp".to_owned() })?;
    if now >= exp + skew {
        return Err(Refusal::Expired);
    }
    // A token from the future is one that a wrong clock made, or somebody who wants it to last.
    for claim in ["nbf", "iat"] {
        if seconds(claim)?.is_some_and(|from| now + skew < from) {
            return Err(Refusal::NotYet);
        }
    }
    Ok(())
}

fn read(claims: &Map<String, Value>, rules: &TokenRules) -> Result<Claims, Refusal> {
    let wrong = |claim: &str| Refusal::Claim { claim: claim.to_owned() };
    let name = claims.get(&rules.name_claim).and_then(Value::as_str).filter(|name| is_name(name));
    let name = name.ok_or_else(|| wrong(&rules.name_claim))?.to_owned();
    let unit = match claims.get(&rules.unit_claim) {
        None | Some(Value::Null) => None,
        Some(Value::String(unit)) if is_unit(unit) => Some(unit.clone()),
        Some(_) => return Err(wrong(&rules.unit_claim)),
    };
    let roles = texts(claims, &rules.roles_claim)?.iter().filter_map(|value| rules.roles.get(value).copied()).collect();
    let groups = texts(claims, &rules.groups_claim)?;
    Ok(Claims { principal: Principal { name, unit, roles, via: Via::Token }, groups })
}

/// A claim with several texts: a list, or one text with blanks between. What is no text is not passed over.
fn texts(claims: &Map<String, Value>, claim: &str) -> Result<BTreeSet<String>, Refusal> {
    let wrong = || Refusal::Claim { claim: claim.to_owned() };
    match claims.get(claim) {
        None | Some(Value::Null) => Ok(BTreeSet::new()),
        Some(Value::String(text)) => Ok(text.split_ascii_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect(),
        Some(_) => Err(wrong()),
    }
}
