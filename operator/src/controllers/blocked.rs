//! What waits for an object of somebody else's to get out of the way.

use crate::cluster::ObjectName;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tandem_core::sync::ObjectKey;

/// Who waits for which object. Without it the owner would find out only when it is looked at again anyway.
#[derive(Clone, Debug, Default)]
pub struct Blocked {
    by: Arc<Mutex<HashMap<ObjectName, ObjectKey>>>,
}

impl Blocked {
    /// An object stands in the way of another.
    pub fn wait(&self, object: ObjectName, waiting: ObjectKey) {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).insert(object, waiting);
    }

    /// An object changed or went: who waited for it, if anybody did.
    #[must_use]
    pub fn moved(&self, object: &ObjectName) -> Option<ObjectKey> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).remove(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_crds::Kind;

    #[test]
    fn whoever_waits_is_told_once() {
        let blocked = Blocked::default();
        let namespace = |name: &str| ObjectName { kind: "Namespace".into(), namespace: None, name: name.into() };
        let waiting = ObjectKey::cluster(Kind::Environment, "audit-prod");
        blocked.wait(namespace("audit-prod"), waiting.clone());
        assert_eq!(blocked.moved(&namespace("finance-prod")), None);
        assert_eq!(blocked.moved(&namespace("audit-prod")), Some(waiting));
        assert_eq!(blocked.moved(&namespace("audit-prod")), None);
    }
}
