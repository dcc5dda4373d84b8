//! How strong each application was last provisioned here, and under which epoch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tandem_core::render::Strength;
use tandem_core::sync::ObjectKey;

/// How an application was last provisioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// The epoch of the group's record by which that was decided.
    pub epoch: u64,
    /// How strong.
    pub strength: Strength,
    /// Whether all that is wanted of it is ready.
    pub ready: bool,
}

/// How strong each application was last provisioned here. Forgotten with the process: provisioning finds it again.
#[derive(Clone, Debug, Default)]
pub struct Strengths {
    by_key: Arc<Mutex<BTreeMap<ObjectKey, Provisioned>>>,
}

impl Strengths {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Provisioned>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how an application was provisioned. Says whether that is news.
    pub fn set(&self, key: &ObjectKey, provisioned: Provisioned) -> bool {
        self.lock().insert(key.clone(), provisioned) != Some(provisioned)
    }

    /// How an application was provisioned.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Provisioned> {
        self.lock().get(key).copied()
    }

    /// Those of these applications that were not yet provisioned so strong under this epoch, or are not ready where that is
    /// asked for.
    #[must_use]
    pub fn missing(&self, keys: &[ObjectKey], epoch: u64, strength: Strength, ready: bool) -> Vec<ObjectKey> {
        let all = self.lock();
        let done = |key: &&ObjectKey| {
            all.get(*key).is_some_and(|p| p.epoch >= epoch && p.strength == strength && (p.ready || !ready))
        };
        keys.iter().filter(|key| !done(key)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_crds::Kind;

    #[test]
    fn an_earlier_time_of_being_active_does_not_count() {
        let (strengths, key) = (Strengths::default(), ObjectKey::namespaced(Kind::Application, "n", "a"));
        let keys = std::slice::from_ref(&key);
        strengths.set(&key, Provisioned { epoch: 3, strength: Strength::Active, ready: false });
        assert!(strengths.missing(keys, 3, Strength::Active, false).is_empty());
        assert_eq!(strengths.missing(keys, 3, Strength::Active, true).len(), 1, "not ready yet");
        assert_eq!(strengths.missing(keys, 5, Strength::Active, false).len(), 1, "active here before, under epoch 3");
    }
}
