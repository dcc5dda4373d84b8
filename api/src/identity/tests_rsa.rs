//! RS256, by tokens that openssl signed with keys that were thrown away: ring makes no RSA keys.

use super::testing::TestIssuer;
use super::tests::{identity_of, shown};
use super::*;
use crate::objects::testing::Memory;
use crate::problem::{Problem, Refusal};
use serde_json::json;

/// Of 2048 bits.
const MODULUS: &str = "tQcdsH0QHCazigiiAI_3SFFbjLQgBPpGSqcW4Hd6rqPURbaGlAhfgMRz7nQaClkbXttUTptYZDou63rwMYQAnfDsdnUK31caX9Jfdv9agVC4YGQWEBEJyVZztI6H5eKbBge1Po4frbN8kKof-BCJN-0bFtbwVxeyL8XLkA8SjcTFjpxGR2CRA4-CEXPUmzMWoqyrIitJCV1DkexTKFJI5KElhOtkH-IA92txw0n2Wq2JV08CJLU93YLvMMJSFrRTuVo86DW9Dz6Mh0BsyHIFMZHeLc2PKcf2BU1ZVHkIPuXoHdOttcaeGu4O0mlzhLc8bNYER1XjqAn76vGBAiYLeQ";
const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlL3JlYWxtIiwiYXVkIjoidGFuZGVtLWFwaSIsInN1YiI6ImxpIiwiZXhwIjoxODAwMDAwNjAwLCJyb2xlcyI6WyJhdWRpdG9yIl19.BvU-Z_KX2Me3scoLO-OnZHcmemErXkWAPfVQdNaXc9bQidfzR5LOh6GHVnediMilfN7C4f00dRv2uSvli03s83hye4l_LBQ2Ah1WR4OHnQxFuzE2f2QmVcdYkep9MD6cyB3W7z0z1ykGIMgAeNoLzJFeJUD1XmqeiMvjzjarJKGYT2eHT7OtzjVggkeuQGoYH0ufeygteIyNLSqeVPX2QkI-IYjGNUv7Mid9RgWZCt58woezGW3CApBjFrlGuTTsBQiSv5reUEka12s2WzPtmiH7Qy4Kx1-q7U8_ZqMCATSBbCJEWZTGtQDORH9nYhfcVHsVuSgZ9mNzkC-2kFPPUw";
/// Of 1024 bits.
const SHORT_MODULUS: &str = "xJ0TwbqK0hKYEWDYY3Bd9VUR_Ue7MbB2vZri--VhybVq2ehHoXUQTP9idJTvx6l-0iEWWY65Nqy2jl7NxWJvS2JhzGnzvlBZ9nhUDMOzAioW4lal6c6AU0sDoVDrQPVCoVZusyVobM6Z2p-CcsIbGF2sxICefpPJiB4vMk_ImTc";
const SHORT_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlL3JlYWxtIiwiYXVkIjoidGFuZGVtLWFwaSIsInN1YiI6ImxpIiwiZXhwIjoxODAwMDAwNjAwLCJyb2xlcyI6WyJhdWRpdG9yIl19.c2W9AjZJ1W-1g2GQHK5EpLEccQjWuthg1WW1YOk9DwEgzs3Ed7KEV-mRhMyHRmgogHak4pv_2KoLF7Rni7HqqkV3ewJ1Io7O4Pdy98nr01bkXdH9eG-SfgscNvlpKEbNxzEjwyeSGlxowP36VxGUYMgC9Jp3KAA1UdLITDtwjEc";

async fn judged(modulus: &str, token: &str) -> Result<Principal, Problem> {
    let issuer = TestIssuer::with(&[]);
    issuer.publish_raw(vec![json!({"kty": "RSA", "kid": "rsa", "use": "sig", "n": modulus, "e": "AQAB"})]);
    identity_of(&issuer, Memory::default()).of(&shown(token), None).await
}

#[tokio::test]
async fn rs256_holds_and_a_changed_byte_does_not() {
    assert_eq!(judged(MODULUS, TOKEN).await.unwrap().roles, BTreeSet::from([Role::Auditor]));
    let forged = format!("{}A{}", &TOKEN[..TOKEN.len() - 9], &TOKEN[TOKEN.len() - 8..]);
    assert_ne!(forged, TOKEN);
    assert_eq!(judged(MODULUS, &forged).await, Err(Problem::Unauthenticated(Refusal::Signature)));
}

#[tokio::test]
async fn short_rsa_keys_are_refused_whatever_they_sign() {
    assert_eq!(judged(SHORT_MODULUS, SHORT_TOKEN).await, Err(Problem::Unauthenticated(Refusal::Signature)));
    assert_eq!(judged(SHORT_MODULUS, TOKEN).await, Err(Problem::Unauthenticated(Refusal::Signature)));
}
