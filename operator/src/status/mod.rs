//! What this site says of each object, and what people read of all sites.

mod fold;
mod report;

pub use fold::fold;
pub use report::{Report, Reporter, run_reporter};

use crate::alarms::Alarm;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tandem_core::check::Problem;
use tandem_core::sync::ObjectKey;
use tokio::time::Instant;

/// What cannot be published, and why. Kept in memory only: it is found again after a restart.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    by_key: Arc<Mutex<BTreeMap<ObjectKey, Vec<Problem>>>>,
}

impl Refusals {
    /// Says why an object cannot be published; no problems, and it is not refused. Says whether that is news.
    pub fn set(&self, key: &ObjectKey, problems: &[Problem]) -> bool {
        let mut refused = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.is_empty() {
            return refused.remove(key).is_some();
        }
        refused.insert(key.clone(), problems.to_vec()).is_none_or(|before| before != problems)
    }

    /// Why an object cannot be published.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Vec<Problem> {
        let refused = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(key).cloned().unwrap_or_default()
    }

    /// The objects that are refused: what changes elsewhere may let them through.
    #[must_use]
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

/// Since when objects have been on their way to a state that is worth writing down.
#[derive(Clone, Debug, Default)]
pub struct Settling {
    since: Arc<Mutex<BTreeMap<ObjectKey, Instant>>>,
}

/// How long an object may be on its way before that is written down.
const SETTLE: Duration = Duration::from_secs(6);

impl Settling {
    /// How long to go on waiting for an object; `None` once it has been waited for long enough.
    #[must_use]
    pub fn wait(&self, key: &ObjectKey) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = *since.entry(key.clone()).or_insert_with(Instant::now);
        SETTLE.checked_sub(begun.elapsed()).filter(|left| !left.is_zero())
    }

    /// The object has arrived, or what it waits for was written down.
    pub fn forget(&self, key: &ObjectKey) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// What this site says of itself beside its objects: shown on its data centre.
#[derive(Clone, Debug, Default)]
pub struct SiteNotes {
    notes: Arc<Mutex<Notes>>,
}

#[derive(Clone, Debug, Default)]
struct Notes {
    brake: Option<String>,
    leader: Option<String>,
    members: Vec<String>,
    alarms: Vec<Alarm>,
    /// Whether another site's heartbeats move.
    heard: BTreeMap<String, bool>,
}

impl SiteNotes {
    fn lock(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says why the mass-change brake is tripped, or that it is not.
    pub fn set_brake(&self, message: Option<String>) {
        self.lock().brake = message;
    }

    /// Why the mass-change brake is tripped.
    #[must_use]
    pub fn brake(&self) -> Option<String> {
        self.lock().brake.clone()
    }

    /// Says which replicas are heard and which one leads. Says whether that is news.
    pub fn set_replicas(&self, leader: Option<String>, members: Vec<String>) -> bool {
        let mut notes = self.lock();
        let news = notes.leader != leader || notes.members != members;
        (notes.leader, notes.members) = (leader, members);
        news
    }

    /// Says what is told of one alarm.
    pub fn set_alarm(&self, kind: &'static str, reason: &'static str, message: &str, good: bool) {
        let alarm = Alarm { kind, good, reason, message: message.to_owned() };
        let mut notes = self.lock();
        notes.alarms.retain(|known| known.kind != kind);
        notes.alarms.push(alarm);
    }

    /// Says whether another site's heartbeats move. Says whether that is news.
    pub fn set_heard(&self, site: &str, heard: bool) -> bool {
        self.lock().heard.insert(site.to_owned(), heard) != Some(heard)
    }

    /// Whether another site's heartbeats move; nothing where nobody has looked yet.
    #[must_use]
    pub fn heard(&self, site: &str) -> Option<bool> {
        self.lock().heard.get(site).copied()
    }

    /// What is told of each alarm.
    #[must_use]
    pub fn alarms(&self) -> Vec<Alarm> {
        self.lock().alarms.clone()
    }

    /// The replica that leads, and those that are heard.
    #[must_use]
    pub fn replicas(&self) -> (Option<String>, Vec<String>) {
        let notes = self.lock();
        (notes.leader.clone(), notes.members.clone())
    }
}
