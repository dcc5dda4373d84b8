//! What was answered to a request that was sent with an `Idempotency-Key`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem_core::sync::spec_hash;

/// The most bytes of an answer that are kept: 256 KiB. etcd takes requests of 1.5 MiB.
pub const ANSWER_BYTES: usize = 256 << 10;

/// The id of what is kept for a key: SHA-256 of principal and key, in hexadecimal digits. The same key of two people is two.
#[must_use]
pub fn idempotency_id(principal: &str, key: &str) -> String {
    spec_hash(&serde_json::json!([principal, key]))
}

/// An answer as it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// The status, as HTTP numbers it.
    pub status: u16,
    /// The headers that belong to it, such as `location`; names in lower case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl AnswerRecord {
    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// That somebody is at work on a request, or what was answered.
///
/// Its times are wall clocks, of whichever site wrote it and whichever reads it: they may differ by seconds, so that `until`
/// and `expires` are to be minutes away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdempotencyRecord {
    /// Digest of the request: method, path and body. The same key with another request is refused.
    pub request: String,
    /// Who is at work, by an id that is never used twice.
    pub claim: String,
    /// Until when nobody else takes the work over. After that, whoever was at work is taken for dead.
    pub until: Timestamp,
    /// From when on the key is free again.
    pub expires: Timestamp,
    /// Whether somebody was at work before who is taken for dead.
    #[serde(default)]
    pub taken_over: bool,
    /// The answer, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_principals() {
        assert_eq!(idempotency_id("li", "1"), idempotency_id("li", "1"));
        assert_ne!(idempotency_id("li", "1"), idempotency_id("wang", "1"));
        assert_ne!(idempotency_id("li", "1"), idempotency_id("l", "i1"));
        assert_ne!(idempotency_id("li\",\"1", ""), idempotency_id("li", "1\",\""));
    }
}
