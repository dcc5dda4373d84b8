//! State providers: what moves a group's data at this site.
//!
//! One trait, [`Provider`]. A group with provider `None` has none, and whatever concerns its data is done as soon as it is asked
//! for; `Hook` speaks to a service of the group's own, `Patroni` to the agents beside PostgreSQL. [`Providers`] holds one for each group with what was last heard of it and
//! the calls under way, in memory, so that a fence needs nobody else:
//!
//! - `run` looks at every service, says what it found to gate and arbiter, and reads Secrets (`credentials`);
//! - `calls` carries out what the driver asks for, as tasks: the driver never waits for a service;
//! - `fence` cuts writers off when this replica's heartbeats are not answered.

mod calls;
mod credentials;
mod fence;
mod hook;
mod https;
mod patroni;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use calls::Caller;
pub use fence::run_self_fence;
pub use run::run_providers;

use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::gate::Provider as Shown;
use tandem_arbiter::hooks::{Call, Order, State};
use tandem_arbiter::records::DataRecord;
use tandem_core::failover::{Answer, Data, Reason, Role, Token};

/// What moves a group's data at this site.
pub trait Provider: Send + Sync + std::fmt::Debug {
    /// How the data stands.
    ///
    /// # Errors
    /// [`CallError::Failed`].
    fn state(&self) -> BoxFuture<'_, Result<State, CallError>>;

    /// Carries out a call. It may be repeated under the same token.
    ///
    /// # Errors
    /// [`CallError`]; after [`CallError::Failed`] nobody knows whether it was carried out.
    fn call<'a>(&'a self, call: Call, order: &'a Order) -> BoxFuture<'a, Result<Called, CallError>>;
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// It is carried out, and the data stands so.
    Done(State),
    /// It is being carried out; to be asked again.
    UnderWay,
}

/// Why a call was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A higher token was seen there.
    #[error("a higher token was seen: {0:?}")]
    Refused(Token),
    /// It failed, or was not answered. The cause is short, and holds nothing secret.
    #[error("{0}")]
    Failed(String),
}

/// What was last heard of a group's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    state: State,
    /// When the question was sent, on the boot clock; of a call, when it was answered.
    at: Duration,
}

/// One call that was asked for.
#[derive(Clone, Debug)]
struct Asked {
    token: Token,
    answer: Answer,
}

/// One group's provider and what is known of it.
#[derive(Debug, Default)]
struct Entry {
    provider: Option<Arc<dyn Provider>>,
    heard: Option<Heard>,
    trouble: Option<Reason>,
    calls: BTreeMap<Call, Asked>,
    looked: run::Looked,
}

/// The providers of the groups that have data. Cloning gives another handle to the same.
#[derive(Clone, Debug, Default)]
pub struct Providers {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
}

impl Providers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a group's data stands here, as the machine has it; and why nobody knows, where that is so.
    #[must_use]
    pub fn data(&self, site: &str, group: &str) -> (Option<Data>, Option<Reason>) {
        let entries = self.lock();
        let Some(entry) = entries.get(group) else { return (None, None) };
        (entry.heard.map(|heard| data(&heard.state, heard.at)), entry.trouble(site))
    }

    /// What this site tells the other of a group's data, as of this time of the boot clock.
    fn record(entry: &Entry, now: Duration) -> DataRecord {
        // The reader counts from when it sees the report: what has passed until now belongs to the age.
        let aged = |heard: &Heard| {
            let passed = u64::try_from(now.saturating_sub(heard.at).as_millis()).unwrap_or(u64::MAX);
            State { lag_age_millis: heard.state.lag_age_millis.saturating_add(passed), ..heard.state }
        };
        DataRecord { state: entry.heard.as_ref().map(aged), trouble: None }
    }
}

/// A report as the machine has it: `seen` is when it was seen, and the lag is as old as it says by then.
#[must_use]
pub fn data(state: &State, seen: Duration) -> Data {
    Data {
        role: state.role,
        position: state.position,
        lag: state.lag_millis.map(Duration::from_millis),
        synchronous: state.synchronous,
        since: seen.saturating_sub(state.lag_age()),
        dropped: state.dropped,
    }
}

/// How the gate shows data of this role.
fn shown(role: Role) -> Shown {
    match role {
        Role::Active => Shown::Primary,
        Role::Standby => Shown::Standby,
        Role::Fenced => Shown::Fenced,
        Role::Quiesced | Role::Unknown => Shown::Changing,
    }
}
