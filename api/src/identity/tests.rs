use super::testing::{AUDIENCE, EPOCH, ISSUER, Signing, TestIssuer, at, claims, rules};
use super::*;
use crate::objects::testing::{Memory, unit};
use crate::problem::{Problem, Refusal};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn identity_of(issuer: &Arc<TestIssuer>, objects: Memory) -> Identity {
    let fetch: Arc<dyn Fetch> = Arc::clone(issuer) as _;
    let keys = Keys::new(
        ISSUER.to_owned(),
        fetch,
        Duration::from_secs(600),
        Duration::from_secs(3_600),
        Duration::from_secs(10),
    );
    Identity::new(Some((rules(), keys)), Arc::new(objects), Arc::new(|| at(10)))
}

pub(super) fn shown(token: &str) -> HeaderMap {
    HeaderMap::from_iter([("authorization".parse().unwrap(), format!("Bearer {token}").parse().unwrap())])
}

/// What becomes of a token, where the issuer publishes this key.
async fn judged(key: &Signing, token: &str) -> Result<Principal, Problem> {
    identity_of(&TestIssuer::with(&[key]), Memory::default()).of(&shown(token), None).await
}

#[track_caller]
fn refused(result: impl Into<Result<Principal, Problem>>, refusal: Refusal) {
    assert_eq!(result.into(), Err(Problem::Unauthenticated(refusal)));
}

#[tokio::test]
async fn a_token_that_holds_says_who_it_is() {
    let key = Signing::new("k");
    let token = key.sign(&claims("li", Some("health"), &[Role::AgencyAdministrator]));
    let li = judged(&key, &token).await.unwrap();
    assert_eq!((li.name.as_str(), li.unit.as_deref(), li.via), ("li", Some("health"), Via::Token));
    assert_eq!(li.roles, BTreeSet::from([Role::AgencyAdministrator]));
}

#[tokio::test]
async fn what_was_forged_is_refused() {
    let (key, other) = (Signing::new("k"), Signing::new("k"));
    let good = claims("li", None, &[Role::Auditor]);
    refused(judged(&key, &other.sign(&good)).await, Refusal::Signature);
    // The payload of one token under the signature of another.
    let (a, b) = (key.sign(&good), key.sign(&claims("wang", None, &[])));
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
    refused(judged(&key, &format!("{}.{}.{}", a[0], b[1], a[2])).await, Refusal::Signature);
    refused(judged(&key, &format!("{}.{}.", a[0], a[1])).await, Refusal::Signature);
}

#[tokio::test]
async fn no_algorithm_and_shared_secrets_are_refused() {
    let key = Signing::new("k");
    let good = claims("li", None, &[Role::Auditor]);
    for algorithm in ["none", "None", "NONE", "HS256", "HS512", "ES384", "PS256", "RS512", ""] {
        let token = key.sign_with_head(&json!({"alg": algorithm, "kid": "k"}), &good);
        refused(judged(&key, &token).await, Refusal::Algorithm);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none", "kid": "k"})), part(&good));
    refused(judged(&key, &unsigned).await, Refusal::Algorithm);
    // RS256 and EdDSA are allowed; the key is not one for them.
    for algorithm in ["RS256", "EdDSA"] {
        let token = key.sign_with_head(&json!({"alg": algorithm, "kid": "k"}), &good);
        refused(judged(&key, &token).await, Refusal::Algorithm);
    }
}

#[tokio::test]
async fn times_are_judged_with_the_skew_and_not_beyond() {
    let key = Signing::new("k");
    // It is second 10; clocks may differ by 60.
    for (claim, second, refusal) in [
        ("exp", -49, None),
        ("exp", -50, Some(Refusal::Expired)),
        ("nbf", 70, None),
        ("nbf", 71, Some(Refusal::NotYet)),
        ("iat", 70, None),
        ("iat", 71, Some(Refusal::NotYet)),
    ] {
        let mut claims = claims("li", None, &[]);
        claims[claim] = json!(EPOCH + second);
        let judged = judged(&key, &key.sign(&claims)).await;
        match refusal {
            None => assert!(judged.is_ok(), "{claim} {second}: {judged:?}"),
            Some(refusal) => refused(judged, refusal),
        }
    }
}

#[tokio::test]
async fn claims_that_are_wrong_or_missing_are_refused_one_by_one() {
    let key = Signing::new("k");
    let claim = |name: &str| Refusal::Claim { claim: name.to_owned() };
    for (name, value, refusal) in [
        ("iss", json!("https://elsewhere.example"), Refusal::Issuer),
        ("iss", json!(format!("{ISSUER}/")), Refusal::Issuer),
        ("iss", Value::Null, Refusal::Issuer),
        ("aud", json!("another"), Refusal::Audience),
        ("aud", json!(["another"]), Refusal::Audience),
        ("aud", Value::Null, Refusal::Audience),
        ("exp", Value::Null, claim("exp")),
        ("exp", json!("tomorrow"), claim("exp")),
        ("nbf", json!("tomorrow"), claim("nbf")),
        ("sub", Value::Null, claim("sub")),
        ("sub", json!(""), claim("sub")),
        ("sub", json!("x".repeat(129)), claim("sub")),
        ("unit", json!("../water"), claim("unit")),
        ("unit", json!(["health"]), claim("unit")),
        ("roles", json!([7]), claim("roles")),
        ("groups", json!({"a": 1}), claim("groups")),
    ] {
        let mut claims = claims("li", None, &[]);
        match &value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
        assert_eq!(judged(&key, &key.sign(&claims)).await, Err(Problem::Unauthenticated(refusal)), "{name}: {value}");
    }
    let mut both = claims("li", None, &[]);
    both["aud"] = json!(["another", AUDIENCE]);
    assert!(judged(&key, &key.sign(&both)).await.is_ok());
}

#[tokio::test]
async fn roles_are_those_that_are_configured() {
    let key = Signing::new("k");
    let mut claims = claims("li", None, &[]);
    claims["roles"] = json!("auditor root admin");
    assert_eq!(judged(&key, &key.sign(&claims)).await.unwrap().roles, BTreeSet::from([Role::Auditor]));
    claims["roles"] = json!(["auditor", "platform-operator"]);
    assert_eq!(judged(&key, &key.sign(&claims)).await, Err(Problem::OfficesConflict));
}

#[tokio::test]
async fn what_is_no_token_is_refused_before_keys_are_fetched() {
    let key = Signing::new("k");
    let issuer = TestIssuer::with(&[&key]);
    let identity = identity_of(&issuer, Memory::default());
    let good = claims("li", None, &[]);
    let long = format!("{}.{}.x", "a".repeat(4_096), "b".repeat(4_096));
    for (token, refusal) in [
        ("x".to_owned(), Refusal::Malformed),
        ("a.b.c".to_owned(), Refusal::Malformed),
        ("a.b.c.d.e".to_owned(), Refusal::Malformed),
        (long, Refusal::TooLong { most: 8192 }),
        (key.sign_with_head(&json!({"alg": "ES256"}), &good), Refusal::NoKeyId),
        (key.sign_with_head(&json!({"alg": "ES256", "kid": ""}), &good), Refusal::NoKeyId),
        (key.sign_with_head(&json!({"alg": "ES256", "kid": "k", "crit": ["b64"]}), &good), Refusal::Malformed),
    ] {
        refused(identity.of(&shown(&token), None).await, refusal);
    }
    assert_eq!(issuer.fetched(), 0);
    refused(
        identity.of(&shown(&key.sign_with_head(&json!({"alg": "ES256", "kid": "z"}), &good)), None).await,
        Refusal::UnknownKey,
    );
}

#[tokio::test]
async fn the_header_is_bearer_and_one_token_or_nothing() {
    let key = Signing::new("k");
    let identity = identity_of(&TestIssuer::with(&[&key]), Memory::default());
    refused(identity.of(&HeaderMap::new(), None).await, Refusal::Nothing);
    for text in ["Basic bGk6bGk=", "Bearer", "Bearer ", "Bearer a b", "bearer  x"] {
        let headers = HeaderMap::from_iter([("authorization".parse().unwrap(), text.parse().unwrap())]);
        refused(identity.of(&headers, None).await, Refusal::NotBearer);
    }
    let mut twice = shown("a.b.c");
    twice.append("authorization", "Bearer d.e.f".parse().unwrap());
    refused(identity.of(&twice, None).await, Refusal::NotBearer);
}

#[tokio::test]
async fn keys_that_are_swapped_or_rotated_are_noticed() {
    let (old, new, swapped) = (Signing::new("old"), Signing::new("new"), Signing::new("old"));
    let issuer = TestIssuer::with(&[&old]);
    let identity = identity_of(&issuer, Memory::default());
    let good = claims("li", None, &[]);
    assert!(identity.of(&shown(&old.sign(&good)), None).await.is_ok());
    refused(identity.of(&shown(&swapped.sign(&good)), None).await, Refusal::Signature);
    // The issuer rotates; a fresh process sees the new key at once, and the old one no more.
    issuer.publish(&[&new]);
    let identity = identity_of(&issuer, Memory::default());
    assert!(identity.of(&shown(&new.sign(&good)), None).await.is_ok());
    refused(identity.of(&shown(&old.sign(&good)), None).await, Refusal::UnknownKey);
}

#[tokio::test]
async fn without_the_issuer_nobody_is_let_in_and_it_is_said_why() {
    let key = Signing::new("k");
    let issuer = TestIssuer::with(&[&key]);
    issuer.fail(true);
    let identity = identity_of(&issuer, Memory::default());
    let token = key.sign(&claims("li", None, &[]));
    assert_eq!(identity.of(&shown(&token), None).await, Err(Problem::KeysUnavailable));
    let none = Identity::new(None, Arc::new(Memory::default()), Arc::new(|| at(10)));
    refused(none.of(&shown(&token), None).await, Refusal::NoIssuer);
}

#[tokio::test]
async fn groups_are_looked_up_among_the_units() {
    let key = Signing::new("k");
    let mut health = unit("health");
    health.spec.viewers = vec!["health-people".to_owned()];
    let objects = Memory::default().with_unit(health);
    let identity = identity_of(&TestIssuer::with(&[&key]), objects);
    let mut claims = claims("li", None, &[]);
    claims["groups"] = json!(["health-people"]);
    let li = identity.of(&shown(&key.sign(&claims)), None).await.unwrap();
    assert_eq!((li.unit.as_deref(), li.roles), (Some("health"), BTreeSet::from([Role::AgencyViewer])));
}

#[tokio::test]
async fn eddsa_holds_and_an_ed25519_key_is_for_nothing_else() {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
    let issuer = TestIssuer::with(&[]);
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    issuer.publish_raw(vec![json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": x})]);
    let identity = identity_of(&issuer, Memory::default());
    let token = |algorithm: &str| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({"alg": algorithm, "kid": "ed"}));
        let message = format!("{head}.{}", part(&claims("li", None, &[])));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()).as_ref()))
    };
    assert!(identity.of(&shown(&token("EdDSA")), None).await.is_ok());
    refused(identity.of(&shown(&token("ES256")), None).await, Refusal::Signature);
}

#[tokio::test]
async fn a_token_that_fails_is_not_made_good_by_a_certificate() {
    let key = Signing::new("k");
    let (mut params, pair) = (rcgen::CertificateParams::default(), rcgen::KeyPair::generate().unwrap());
    params.distinguished_name.push(rcgen::DnType::CommonName, "wang");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "tandem:role:auditor");
    let peer = PeerCertificate(params.self_signed(&pair).unwrap().der().clone());
    let identity = identity_of(&TestIssuer::with(&[&key]), Memory::default());
    assert_eq!(identity.of(&HeaderMap::new(), Some(&peer)).await.unwrap().via, Via::Certificate);
    refused(identity.of(&shown("a.b.c"), Some(&peer)).await, Refusal::Malformed);
}
