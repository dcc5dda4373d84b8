//! What bound an agency, and when: the versions that were kept with what was published.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tandem_core::policy::{Version, outlived};
use tandem_core::sync::{Kind, ObjectKey, Record, Versioned};

use super::{ActError, Arbiter, ReadError, read};
use crate::records::{Key, RecordError, decode};
use crate::store::Store;
use crate::txn::{Acting, Compare, Kv, Op, Txn};

/// How many versions one transaction deletes, below etcd's limit together with what is compared.
const AT_ONCE: usize = 100;

impl<S: Store> Arbiter<S> {
    /// The versions of one object, oldest first: each with the revision of the record that was published with it. Those of
    /// objects that bore the name before are among them.
    ///
    /// Only what changed something that binds has one, and what was published before versions were kept has none.
    ///
    /// # Errors
    /// [`ReadError`]; one that cannot be read hides none, but fails.
    pub async fn versions(&self, key: &ObjectKey) -> Result<Vec<Versioned<Version>>, ReadError> {
        let mut found = self.versions_under(&Key::versions(key)).await?;
        Ok(found.remove(key).unwrap_or_default())
    }

    /// The same of every object of a kind, deleted ones among them.
    ///
    /// # Errors
    /// As [`Arbiter::versions`].
    pub async fn versions_of(&self, kind: Kind) -> Result<BTreeMap<ObjectKey, Vec<Versioned<Version>>>, ReadError> {
        self.versions_under(&Key::versions_of(kind)).await
    }

    async fn versions_under(&self, prefix: &str) -> Result<BTreeMap<ObjectKey, Vec<Versioned<Version>>>, ReadError> {
        let range = self.store.range(prefix).await?;
        let mut found: BTreeMap<ObjectKey, Vec<Versioned<Version>>> = BTreeMap::new();
        for kv in &range.kvs {
            found.entry(object(kv)?).or_default().push(Versioned::new(kv.mod_revision, read(kv)?));
        }
        // By their keys they are in order but for the first of a name that came again.
        found.values_mut().for_each(|versions| versions.sort_by_key(|version| version.revision));
        Ok(found)
    }

    /// Deletes the versions that nobody needs any more who asks what bound since `cut`; returns how many. What was in force
    /// then stays, and the newest of each object that is wanted still.
    ///
    /// Where one of an object's cannot be read, since a newer release wrote it, all of that object's stay.
    ///
    /// # Errors
    /// [`ActError`]; it can be called again after any.
    pub async fn collect_versions(&self, acting: Acting<'_>, cut: Timestamp) -> Result<usize, ActError> {
        let mut collected = 0;
        for kind in Kind::ALL {
            let range = self.store.range(&Key::versions_of(kind)).await.map_err(ReadError::from)?;
            let mut by_object: BTreeMap<ObjectKey, Vec<&Kv>> = BTreeMap::new();
            for kv in &range.kvs {
                match object(kv) {
                    Ok(object) => by_object.entry(object).or_default().push(kv),
                    Err(error) => tracing::warn!(%error, "a version of an unknown sort is left alone"),
                }
            }
            for (object, mut kvs) in by_object {
                kvs.sort_by_key(|kv| kv.mod_revision);
                let over = self.over(&object, &kvs, cut).await?;
                for batch in kvs[..over].chunks(AT_ONCE) {
                    self.delete_versions(acting, batch).await?;
                    collected += batch.len();
                }
            }
        }
        Ok(collected)
    }

    /// How many of these are over, the oldest first.
    async fn over(&self, object: &ObjectKey, kvs: &[&Kv], cut: Timestamp) -> Result<usize, ReadError> {
        let versions: Result<Vec<Version>, RecordError> = kvs.iter().map(|kv| decode(&kv.value)).collect();
        let versions = match versions {
            Ok(versions) => versions,
            Err(error) => {
                tracing::warn!(%object, %error, "a version cannot be read: those of its object are left alone");
                return Ok(0);
            }
        };
        let over = outlived(&versions, cut);
        if over < versions.len() || over == 0 {
            return Ok(over);
        }
        // The newest says that the object was deleted. An older release may have published it again, and kept no version.
        let live = matches!(self.spec(object).await?, Some(Versioned { value: Record::Live(_), .. }));
        Ok(over - usize::from(live))
    }

    async fn delete_versions(&self, acting: Acting<'_>, batch: &[&Kv]) -> Result<(), ActError> {
        // The leadership alone is compared: a version is never written anew.
        let mut txn = Txn {
            compare: vec![Compare::unchanged(Key::Leader(acting.site.to_owned()), acting.leader)],
            ..Txn::default()
        };
        for kv in batch {
            txn.then.push(Op::delete(&kv.key));
        }
        if self.store.txn(&txn).await?.succeeded { Ok(()) } else { Err(ActError::NotLeader) }
    }
}

/// Of which object a version is.
fn object(kv: &Kv) -> Result<ObjectKey, ReadError> {
    match kv.key.parse() {
        Ok(Key::Version { object, .. }) => Ok(object),
        _ => {
            let source = RecordError::Malformed { why: "it is not the key of a version".to_owned() };
            Err(ReadError::Record { key: kv.key.clone(), source })
        }
    }
}
