//! The brake: a mass deletion stops the follower until a person confirms that it is meant.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Kind;

/// When the brake trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrakeLimits {
    /// How far back changes count.
    pub window: Duration,
    /// Trips above this share of the kind's objects, in per cent.
    pub per_cent: usize,
    /// Never trips below this number of objects.
    pub at_least: usize,
}

impl Default for BrakeLimits {
    /// More than 10 %, and at least 5 objects, within 5 minutes.
    fn default() -> Self {
        Self { window: Duration::from_secs(300), per_cent: 10, at_least: 5 }
    }
}

/// Why the brake tripped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "stopped: {count} of {total} {} would be deleted or scaled down within {} s, more than {per_cent} %. If this is \
     meant, confirm it; else restore them at the authority first",
    kind.plural(),
    window.as_secs()
)]
pub struct Tripped {
    /// The kind whose limit was passed.
    pub kind: Kind,
    /// How many distinct objects were to be deleted or scaled down, the refused one included.
    pub count: usize,
    /// How many objects of the kind there were.
    pub total: usize,
    /// The limit, in per cent.
    pub per_cent: usize,
    /// Within how long.
    pub window: Duration,
}

#[derive(Clone, Debug)]
struct Seen {
    at: Duration,
    id: String,
    total: usize,
}

/// Counts deletions and scale-downs of units, environments and applications in a sliding window. Times are readings of a
/// monotonic clock, passed in.
#[derive(Clone, Debug)]
pub struct Brake {
    limits: BrakeLimits,
    seen: BTreeMap<Kind, VecDeque<Seen>>,
    tripped: Option<Tripped>,
    open_until: Option<Duration>,
}

impl Brake {
    /// A brake that has seen nothing.
    #[must_use]
    pub fn new(limits: BrakeLimits) -> Self {
        Self { limits, seen: BTreeMap::new(), tripped: None, open_until: None }
    }

    /// Asks whether one object may be changed at `now`. `reduces` says whether the change deletes the object or lowers its
    /// active replicas; other changes are held up by a tripped brake, but not counted. `total` is how many objects of the
    /// kind there are now. The same object counts once in the window.
    ///
    /// # Errors
    /// [`Tripped`] where the change passes the limit, and for every change until [`Brake::confirm`].
    pub fn admit(&mut self, now: Duration, kind: Kind, id: &str, total: usize, reduces: bool) -> Result<(), Tripped> {
        if let Some(tripped) = &self.tripped {
            return Err(tripped.clone());
        }
        let counted = matches!(kind, Kind::Unit | Kind::Environment | Kind::Application);
        if !reduces || !counted || self.open_until.is_some_and(|until| now < until) {
            return Ok(());
        }
        let seen = self.seen.entry(kind).or_default();
        while seen.front().is_some_and(|s| now.saturating_sub(s.at) >= self.limits.window) {
            seen.pop_front();
        }
        if !seen.iter().any(|s| s.id == id) {
            seen.push_back(Seen { at: now, id: id.to_owned(), total });
        }
        // Deletions lower the total while they are counted: the share is of the most there were within the window.
        let count = seen.len();
        let total = seen.iter().map(|s| s.total).max().unwrap_or(total).max(total);
        if count >= self.limits.at_least && count * 100 > total * self.limits.per_cent {
            let tripped = Tripped { kind, count, total, per_cent: self.limits.per_cent, window: self.limits.window };
            self.tripped = Some(tripped.clone());
            return Err(tripped);
        }
        Ok(())
    }

    /// Why the brake is tripped, if it is.
    #[must_use]
    pub fn tripped(&self) -> Option<&Tripped> {
        self.tripped.as_ref()
    }

    /// Trips again what was tripped before a restart, as it was recorded.
    pub fn restore(&mut self, tripped: Tripped) {
        self.tripped = Some(tripped);
    }

    /// A person confirmed the change: it may go on for one window from `now`, then the count starts anew.
    pub fn confirm(&mut self, now: Duration) {
        self.tripped = None;
        self.seen.clear();
        self.open_until = Some(now + self.limits.window);
    }
}

impl Default for Brake {
    fn default() -> Self {
        Self::new(BrakeLimits::default())
    }
}
