//! Durable identities: derived, never random, so that a crash between minting and publishing mints the same one.

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Kind, canonical};

/// The durable id of the object that bears this UID at this site: UUID version 5 (RFC 9562) of site, kind and UID.
#[must_use]
pub fn mint_id(site: &str, kind: Kind, uid: &str) -> String {
    let tandem = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"tandem.dev");
    Uuid::new_v5(&tandem, format!("{site}/{}/{uid}", kind.plural()).as_bytes()).to_string()
}

/// The id of the conflict record for one unpublished edit: the same edit found twice is one conflict.
#[must_use]
pub fn conflict_id(durable_id: &str, generation: i64, spec: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(durable_id.as_bytes());
    hash.update([0]);
    hash.update(generation.to_be_bytes());
    hash.update(canonical(spec).as_bytes());
    hex::encode(hash.finalize())[..32].to_owned()
}

/// The specification with its durable id written into `spec.id`, as it is published. A specification that is not an
/// object comes back as it is; the resource types allow none.
#[must_use]
pub fn with_id(spec: &Value, id: &str) -> Value {
    let mut spec = spec.clone();
    if let Value::Object(fields) = &mut spec {
        fields.insert("id".to_owned(), Value::from(id));
    }
    spec
}
