//! What a site observed of an object.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One condition, as much of it as the other site shows. Times that move by themselves stay at home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type, such as `Ready`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason, one word.
    pub reason: String,
    /// For people.
    #[serde(default)]
    pub message: String,
}

/// A site's status of one object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusRecord {
    /// Durable id of the object.
    pub id: String,
    /// Revision of the record that this status is about.
    pub spec_revision: i64,
    /// Whether the site is ready to run it, or runs it, as the record asks.
    pub ready: bool,
    /// Conditions at the site.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What else the kind has to say.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}
