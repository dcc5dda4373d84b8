//! The watch of everything that the index holds.

use super::{Change, Changes, LinkError};
use futures::StreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_arbiter::arbiter::{BrakeStates, SpecBatches, StatusBatches};
use tandem_arbiter::membership::View;
use tandem_arbiter::records::GroupRecord;
use tandem_core::sync::Versioned;
use tokio::sync::watch;

/// A running watch of everything that the index holds.
pub struct Watching {
    pub(super) specs: SpecBatches,
    pub(super) status: StatusBatches,
    pub(super) brake: BrakeStates,
    pub(super) view: watch::Receiver<View>,
    pub(super) groups: Arc<BTreeMap<String, Versioned<GroupRecord>>>,
}

impl Watching {
    /// The next changes. `None` when the watch has ended.
    ///
    /// # Errors
    /// When the watch broke, or what it should go on from has been compacted away: list again.
    pub async fn next(&mut self) -> Result<Option<Changes>, LinkError> {
        tokio::select! {
            batch = self.specs.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(None) };
                let changes = batch.changes.into_iter().filter_map(|moved| match moved.value {
                    Some(Ok(value)) => Some(Change::Record(Versioned::new(moved.revision, value))),
                    Some(Err(error)) => {
                        tracing::error!(key = %moved.key, %error, "a record cannot be read and is left alone");
                        None
                    }
                    None => Some(Change::Collected { key: moved.key, revision: moved.revision }),
                });
                Ok(Some(Changes { changes: changes.collect(), revision: Some(batch.revision) }))
            }
            batch = self.status.next() => {
                let Some(batch) = batch.transpose()? else { return Ok(None) };
                let changes = batch.changes.into_iter().filter_map(|moved| match moved.value {
                    Some(Ok(value)) => Some(Change::Report {
                        site: moved.key.site,
                        key: moved.key.object,
                        report: Versioned::new(moved.revision, value),
                    }),
                    Some(Err(error)) => {
                        tracing::warn!(key = %moved.key.object, of_site = moved.key.site, %error, "a report cannot be read");
                        None
                    }
                    None => None,
                });
                Ok(Some(Changes { changes: changes.collect(), revision: None }))
            }
            state = self.brake.next() => {
                let Some(state) = state.transpose()? else { return Ok(None) };
                Ok(Some(Changes { changes: vec![Change::Brake(state)], revision: None }))
            }
            changed = self.view.changed() => {
                if changed.is_err() {
                    return Ok(None);
                }
                let now = Arc::clone(&self.view.borrow_and_update().groups);
                let before = std::mem::replace(&mut self.groups, Arc::clone(&now));
                let changes = now
                    .iter()
                    .filter(|(name, group)| before.get(*name).map(|held| held.revision) != Some(group.revision))
                    .map(|(name, group)| Change::Group { name: name.clone(), group: group.clone() });
                Ok(Some(Changes { changes: changes.collect(), revision: None }))
            }
        }
    }
}
