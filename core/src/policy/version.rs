//! The versions of what binds an agency, as they were published.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tandem_crds::Kind;

/// A version of an object, as far as it binds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Who wrote it, as far as that is known.
    pub by: String,
    /// When it was published, by the publisher's wall clock; for people, never for decisions.
    pub at: Timestamp,
    /// What of its specification binds, see [`binding`]; `None` where the object was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<Value>,
}

/// What of a specification binds an agency: the part of which versions are kept. `None` for kinds that bind nobody.
#[must_use]
pub fn binding(kind: Kind, spec: &Value) -> Option<Value> {
    let part = |fields: &[&str]| {
        let of = |field: &&str| spec.get(*field).map(|value| ((*field).to_owned(), value.clone()));
        Value::Object(fields.iter().filter_map(of).collect())
    };
    match kind {
        Kind::Unit => {
            Some(part(&["administrators", "viewers", "budget", "securityProfile", "suspended", "deletionProtection"]))
        }
        Kind::Environment => Some(part(&[
            "unit",
            "quota",
            "securityProfile",
            "members",
            "expiresAt",
            "deleteAfter",
            "deletionProtection",
            "request",
        ])),
        Kind::SecurityProfile => {
            let mut whole = spec.clone();
            if let Some(fields) = whole.as_object_mut() {
                fields.remove("id");
            }
            Some(whole)
        }
        Kind::Application => Some(part(&["access", "endpoints", "mlpsLevel"])),
        Kind::DataCentre | Kind::EnvironmentRequest | Kind::FailoverGroup => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_new_image_binds_nobody_and_a_new_access_does() {
        let spec =
            |image: &str, to: &str| json!({"components": [{"image": image}], "access": {"to": [{"application": to}]}});
        let bound = |image, to| binding(Kind::Application, &spec(image, to));
        assert_eq!(bound("a:1", "hall"), bound("a:2", "hall"));
        assert_ne!(bound("a:1", "hall"), bound("a:1", "data"));
        assert_eq!(binding(Kind::DataCentre, &json!({"preference": "Primary"})), None);
    }

    #[test]
    fn the_durable_id_is_no_rule() {
        let bound = |id: &str| binding(Kind::SecurityProfile, &json!({"id": id, "mlpsLevel": 3}));
        assert_eq!(bound("one"), bound("two"));
        assert_eq!(bound("one"), Some(json!({"mlpsLevel": 3})));
    }
}
