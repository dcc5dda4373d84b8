//! The arbiter, as the rest of the operator sees it: who acts, what is published, what changes.

mod watching;
mod writes;

pub use watching::Watching;

use crate::config::{ArbiterConfig, Config};
use crate::failover::{Board, Peers};
use crate::index::SiteReport;
use crate::pause::Pause;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tandem_arbiter::Arbiter;
use tandem_arbiter::arbiter::{ActError, Authority, PublishError, ReadError, Seen};
use tandem_arbiter::clock::{BootClock, Clock};
use tandem_arbiter::gate::{CutBudget, Gate, SharedGate, UnsafeTiming};
use tandem_arbiter::membership::{
    self, Attempts, Identity, LeaderToken, MembershipError, Running, Timing, TooShort, View,
};
use tandem_arbiter::records::{BrakeRecord, GroupRecord, JournalSeen, Key, LeaderRecord, PLATFORM, Phase, decode};
use tandem_arbiter::store::{Compared, Comparison, EtcdAdmin, EtcdConfig, EtcdStore, Store, StoreError};
use tandem_arbiter::txn::{Acting, Edit, Mandate, Scribe};
use tandem_core::audit::{Actor, operator};
use tandem_core::ledger;
use tandem_core::sync::{ObjectKey, Record, Versioned};
use tokio::sync::{Notify, watch};

/// Nothing has been taken in yet.
const NEVER: i64 = -1;

/// Why the arbiter did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A file with a certificate or key cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The heartbeat is too quick.
    #[error("heartbeatSeconds cannot be used")]
    Timing(#[from] TooShort),
    /// The times would let two sites be active at once.
    #[error("the times cannot be used")]
    Unsafe(#[from] UnsafeTiming),
    /// This replica does not lead its site, or its site has no authority.
    #[error("this replica may not act for its site")]
    MayNotAct,
    /// The unit's budget does not allow it.
    #[error("the unit's budget does not allow it: {message}")]
    OverBudget {
        /// What is short, and how to mend it.
        message: String,
    },
    /// A publication was not taken.
    #[error("a publication was not taken")]
    Publish(#[source] Box<PublishError>),
    /// A read was not answered.
    #[error("a read was not answered")]
    Read(#[from] ReadError),
    /// An act was not taken.
    #[error("an act was not taken")]
    Act(#[from] ActError),
    /// The store did not answer.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
}

/// Who may act, as this replica sees it at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether this replica leads its site.
    pub leads: bool,
    /// Whether this site has authority; not known without a heartbeat that counts.
    pub authority: Option<bool>,
    /// The site that has authority.
    pub authority_site: Option<String>,
}

/// One object to publish, or to bury.
#[derive(Clone, Debug)]
pub struct Publication {
    /// What is to stand in the arbiter.
    pub record: Record,
    /// The revision of what it replaces; 0 to create it.
    pub base: i64,
    /// What changes in a unit's ledger with it.
    pub ledger: Option<(String, ledger::Change)>,
    /// What is written down of it for the site's audit chain.
    pub edit: Edit,
}

/// Everything in the arbiter that the index holds, at one revision.
#[derive(Debug)]
pub struct Start {
    /// Changes are to be watched from the next revision on.
    pub revision: i64,
    /// Desired state, oldest first.
    pub records: Vec<Versioned<Record>>,
    /// What is there and cannot be read.
    pub unreadable: Vec<ObjectKey>,
    /// What the sites say.
    pub reports: Vec<(String, ObjectKey, SiteReport)>,
    /// Who is active.
    pub groups: BTreeMap<String, Versioned<GroupRecord>>,
}

/// One change in the arbiter.
#[derive(Debug)]
pub enum Change {
    /// Desired state was written.
    Record(Versioned<Record>),
    /// A tombstone was collected.
    Collected {
        /// Of which object.
        key: ObjectKey,
        /// At which revision.
        revision: i64,
    },
    /// Who is active for a group was written.
    Group {
        /// The group.
        name: String,
        /// The record.
        group: Versioned<GroupRecord>,
    },
    /// This site's brake tripped, or a person confirmed that.
    Brake(Versioned<BrakeRecord>),
    /// A site said how an object stands.
    Report {
        /// The site.
        site: String,
        /// The object.
        key: ObjectKey,
        /// What it said.
        report: SiteReport,
    },
}

/// Changes, in order.
#[derive(Debug, Default)]
pub struct Changes {
    /// The changes.
    pub changes: Vec<Change>,
    /// Desired state has been delivered up to here, where that is known.
    pub revision: Option<i64>,
}

/// The arbiter. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub struct Link {
    arbiter: Arbiter<Compared<EtcdStore>>,
    site: String,
    preferred: String,
    actor: Arc<Actor>,
    view: watch::Receiver<View>,
    timing: Timing,
    seen: Arc<AtomicI64>,
    gate: SharedGate,
    board: Arc<Board>,
    wake: Arc<Notify>,
    others: Peers,
    etcd: Arc<(EtcdConfig, EtcdAdmin)>,
    peers: Arc<Mutex<HashMap<String, PeerSeen>>>,
    pause: Pause,
}

/// When a site's heartbeats were last seen to move, on this replica's own clock. That they are there is no movement: they
/// stay when the site is gone.
#[derive(Clone, Copy, Debug)]
struct PeerSeen {
    newest: i64,
    moved: Option<Duration>,
}

async fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    tokio::fs::read(path).await.map_err(|source| LinkError::File { path: path.to_owned(), source })
}

/// What [`Link::connect`] gives beside the link: the heartbeat, to be run for as long as the operator runs.
pub struct Beat {
    store: EtcdStore,
    running: Running,
    sender: watch::Sender<View>,
}

impl Beat {
    /// The same, with each attempt at a heartbeat told.
    #[must_use]
    pub fn told(mut self, attempts: Attempts) -> Self {
        self.running.attempts = attempts;
        self
    }

    /// Sends heartbeats until told to stop, then gives up the lead.
    ///
    /// # Errors
    /// When another process runs under this replica's name, or a record cannot be read.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), MembershipError> {
        let Self { store, running, sender } = self;
        membership::run(store, running, BootClock, sender, stop).await
    }
}

impl Link {
    /// Reads the certificates and sets the connections up. They are made when they are needed, and again when they break.
    ///
    /// # Errors
    /// When a file cannot be read or the configuration cannot be used.
    pub async fn connect(config: &Config, incarnation: String) -> Result<(Self, Beat), LinkError> {
        let ArbiterConfig { endpoints, ca_file, cert_file, key_file } = &config.arbiter;
        let etcd =
            EtcdConfig::new(endpoints.clone(), read(ca_file).await?, read(cert_file).await?, read(key_file).await?);
        let admin = EtcdAdmin::new(etcd.clone()).await?;
        let store = EtcdStore::new(etcd.clone()).await?;
        let timing = Timing::from_heartbeat(config.heartbeat())?;
        CutBudget::usual(timing).check(timing)?;
        let (sender, view) = watch::channel(View::default());
        let gate = SharedGate::new(Gate::new(&config.site, &config.replica, 1, timing));
        let wake = Arc::<Notify>::default();
        let comparison = Comparison::new(Arc::clone(&wake));
        let identity =
            Identity { site: config.site.clone(), replica: config.replica.clone(), incarnation, generation: 1 };
        let link = Self {
            // Longer than a heartbeat takes that was asked for.
            arbiter: Arbiter::new(Compared::new(store.clone(), comparison.clone(), timing.heartbeat()), &config.site),
            site: config.site.clone(),
            preferred: config.preferred_authority.clone(),
            actor: Arc::new(operator(&config.replica)),
            view,
            timing,
            seen: Arc::new(AtomicI64::new(NEVER)),
            gate: gate.clone(),
            board: Arc::default(),
            wake: Arc::clone(&wake),
            others: Peers::new(config.sites.iter().filter(|site| **site != config.site), timing),
            etcd: Arc::new((etcd, admin)),
            peers: Arc::default(),
            pause: Pause::default(),
        };
        let (pins, attempts) = (Some(config.pins_file.clone()), Attempts::default());
        let running = Running { identity, timing, gate, pins, wake, comparison, attempts };
        Ok((link, Beat { store, running, sender }))
    }

    /// A monotonic clock that goes on while the machine sleeps.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        BootClock.now()
    }

    /// The site.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The times that hang on `T`.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// This replica, as the audit chain names it.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whoever acts for this site, where this replica leads it: each transaction made with it writes down, for the site's audit
    /// chain, that this replica did it.
    #[must_use]
    pub fn acting(&self) -> Option<Acting<'_>> {
        let leader = self.leadership()?;
        Some(Acting::new(&self.site, leader.mod_revision).by(Scribe { actor: &self.actor, at: now() }))
    }

    /// The arbiter's operations.
    #[must_use]
    pub fn arbiter(&self) -> &Arbiter<Compared<EtcdStore>> {
        &self.arbiter
    }

    /// How the arbiter is reached.
    #[must_use]
    pub fn etcd(&self) -> &EtcdConfig {
        &self.etcd.0
    }

    /// etcd itself: how its members stand.
    #[must_use]
    pub fn etcd_admin(&self) -> &EtcdAdmin {
        &self.etcd.1
    }

    /// This replica's gate.
    #[must_use]
    pub fn gate(&self) -> &SharedGate {
        &self.gate
    }

    /// Who is active and what moves, as this replica has seen it.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The other sites' heartbeats.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.others
    }

    /// Takes in a group's record, wherever it was seen. Where it is a release by this site, the claimant waits to hear that
    /// this replica has applied it: the next heartbeat goes out at once.
    pub fn saw_group(&self, name: &str, record: &Versioned<GroupRecord>) {
        let now = self.uptime();
        self.gate.with(|gate| gate.apply(now, name, record));
        if self.board.enter_group(now, name, record)
            && record.value.active == self.site
            && record.value.released_to().is_some()
        {
            self.wake.notify_one();
        }
    }

    /// Takes in a journal, wherever it was seen.
    pub fn saw_journal(&self, seen: &JournalSeen) {
        let now = self.uptime();
        self.gate.with(|gate| gate.journal(now, seen));
        self.board.enter_journal(now, seen);
    }

    /// When this site counts as fenced by this replica's heartbeats; `None` before the first that counted.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.gate.with(|gate| gate.deadline())
    }

    /// Whether people let this replica act for its site.
    #[must_use]
    pub fn pause(&self) -> &Pause {
        &self.pause
    }

    /// The lead, where this replica has it at this moment, whether or not people let it act.
    #[must_use]
    pub fn lead(&self) -> Option<LeaderToken> {
        self.view.borrow().leads(self.uptime())
    }

    /// The leadership, where this replica has it at this moment and may act.
    #[must_use]
    pub fn leadership(&self) -> Option<LeaderToken> {
        self.pause.lets(self.lead())
    }

    /// Whether this site is not fenced at this moment, by this replica's heartbeats.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.view.borrow().alive(self.uptime())
    }

    /// Who has authority, by whatever told of it last: a heartbeat, a watch, or this replica's own claim. Between two heartbeats
    /// the gate answers for a group that was just claimed, and people act on that.
    fn authority(&self, view: &View) -> Option<Authority> {
        let held = self.board.group(PLATFORM).map(|held| held.record);
        newest(view.authority(), held)
    }

    /// Who may act at this moment.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let view = self.view.borrow();
        let now = self.uptime();
        // After a restore nobody has authority, and that is not the same as the other site's having it: nothing is put back.
        let authority = self.authority(&view).filter(|authority| view.alive(now) && !is_unconfirmed(authority));
        Standing {
            leads: self.pause.lets(view.leads(now)).is_some(),
            authority: authority.as_ref().map(|authority| authority.record.held_by(&self.site)),
            authority_site: authority.map(|authority| authority.record.active),
        }
    }

    /// Whether the arbiter was restored and who has authority is not confirmed: its records may be from long ago.
    #[must_use]
    pub fn unconfirmed(&self) -> bool {
        self.authority(&self.view.borrow()).as_ref().is_some_and(is_unconfirmed)
    }

    /// Told whenever a heartbeat was answered.
    #[must_use]
    pub fn heartbeats(&self) -> watch::Receiver<View> {
        self.view.clone()
    }

    fn token(&self) -> Result<LeaderToken, LinkError> {
        self.leadership().ok_or(LinkError::MayNotAct)
    }

    /// What this replica relies on when it acts for the site with authority.
    ///
    /// # Errors
    /// When it does not lead its site, or the site has no authority.
    pub(crate) fn mandate(&self) -> Result<Mandate, LinkError> {
        let leader = self.token()?.mod_revision;
        let authority = self.authority(&self.view.borrow());
        authority.and_then(|authority| authority.mandate(&self.site, leader)).ok_or(LinkError::MayNotAct)
    }

    /// Refuses while people do not let this replica act: for what is not held to the lead.
    fn may_act(&self) -> Result<(), LinkError> {
        if self.pause.acts() { Ok(()) } else { Err(LinkError::MayNotAct) }
    }

    /// Says that everything up to a revision has been taken into the index.
    pub fn caught_up(&self, revision: i64) {
        self.seen.fetch_max(revision, Ordering::AcqRel);
    }

    /// The revision up to which everything has been taken into the index; `None` before the first list.
    #[must_use]
    pub fn seen(&self) -> Option<i64> {
        Some(self.seen.load(Ordering::Acquire)).filter(|seen| *seen != NEVER)
    }

    /// The revision under which this site has authority; `None` where it has not.
    #[must_use]
    pub fn claimed(&self) -> Option<i64> {
        let authority = self.authority(&self.view.borrow())?;
        authority.record.held_by(&self.site).then_some(authority.revision)
    }

    /// Whether everything up to this site's claim of authority has been taken in, so that it may publish.
    #[must_use]
    pub fn open_for_writes(&self) -> bool {
        is_open(self.claimed(), self.seen())
    }

    /// What desired state there is, each with its revision, and at which revision of the arbiter.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn spec_revisions(&self) -> Result<(i64, BTreeMap<ObjectKey, i64>), LinkError> {
        let specs = self.arbiter.list_specs().await?;
        // What cannot be read is not held either, and is left alone.
        let readable = |seen: Seen<ObjectKey, Record>| {
            let revision = if seen.value.is_ok() { seen.revision } else { 0 };
            (seen.key, revision)
        };
        Ok((specs.revision, specs.entries.into_iter().map(readable).collect()))
    }

    /// Lists everything that the index holds.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn list(&self, sites: &[String]) -> Result<Start, LinkError> {
        // Reports first: watched from the specifications' revision on, none of theirs is missed.
        let (_, groups) = self.arbiter.read_groups().await?;
        let specs = self.arbiter.list_specs().await?;
        let mut reports = Vec::new();
        for site in sites {
            for seen in self.arbiter.list_status(site).await?.entries {
                match seen.value {
                    Ok(value) => reports.push((site.clone(), seen.key.object, Versioned::new(seen.revision, value))),
                    Err(error) => {
                        tracing::warn!(key = %seen.key.object, of_site = site, %error, "a report cannot be read")
                    }
                }
            }
        }
        let (mut records, mut unreadable) = (Vec::new(), Vec::new());
        for seen in specs.entries {
            match seen.value {
                Ok(value) => records.push(Versioned::new(seen.revision, value)),
                Err(error) => {
                    tracing::error!(key = %seen.key, %error, "a record cannot be read and is left alone");
                    unreadable.push(seen.key);
                }
            }
        }
        records.sort_by_key(|record| record.revision);
        Ok(Start { revision: specs.revision, records, unreadable, reports, groups })
    }

    /// Watches everything that the index holds, from a revision on.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn watch(&self, from: i64) -> Result<Watching, LinkError> {
        Ok(Watching {
            specs: self.arbiter.watch_specs(from).await?,
            status: self.arbiter.watch_status(from).await?,
            brake: self.arbiter.watch_brake(&self.site, from).await?,
            view: self.view.clone(),
            groups: Arc::default(),
        })
    }

    /// Looks whether the other sites' heartbeats moved, and which replicas of this site are heard.
    ///
    /// # Errors
    /// When the arbiter does not answer.
    pub async fn look_around(&self, sites: &[String]) -> Result<(Option<String>, Vec<String>), LinkError> {
        let store = self.arbiter.store();
        let mut members = Vec::new();
        for site in sites {
            let range = store.range(&Key::members(site)).await?;
            let newest = range.kvs.iter().map(|kv| kv.mod_revision).max().unwrap_or(0);
            let now = self.uptime();
            let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = peers.entry(site.clone()).or_insert(PeerSeen { newest, moved: None });
            if newest > seen.newest {
                *seen = PeerSeen { newest, moved: Some(now) };
            }
            if *site == self.site {
                members = range
                    .kvs
                    .iter()
                    .filter_map(|kv| match kv.key.parse() {
                        Ok(Key::Member { replica, .. }) => Some(replica),
                        _ => None,
                    })
                    .collect();
            }
        }
        let leader = store.range(&Key::Leader(self.site.clone()).to_string()).await?;
        let leader =
            leader.kvs.first().and_then(|kv| decode::<LeaderRecord>(&kv.value).ok()).map(|found| found.replica);
        Ok((leader, members))
    }

    /// The sites whose heartbeats have not been seen to move for `T`. One that was never seen is silent.
    #[must_use]
    pub fn silent_sites(&self, sites: &[String]) -> Vec<String> {
        let now = self.uptime();
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = |site: &String| {
            let moved = peers.get(site).and_then(|seen| seen.moved);
            moved.is_some_and(|moved| now.saturating_sub(moved) < self.timing.t())
        };
        sites.iter().filter(|site| !heard(site)).cloned().collect()
    }
}

/// Whether a site that has had authority since one revision may publish, where everything up to the other is taken in.
fn is_open(claimed: Option<i64>, seen: Option<i64>) -> bool {
    claimed.is_some_and(|claimed| seen.is_some_and(|seen| seen >= claimed))
}

/// The newer of what a heartbeat said of `groups/platform` and what was seen of it otherwise.
fn newest(told: Option<Authority>, seen: Option<Versioned<GroupRecord>>) -> Option<Authority> {
    let seen = seen.map(|seen| Authority { revision: seen.revision, record: seen.value });
    told.into_iter().chain(seen).max_by_key(|authority| authority.revision)
}

fn is_unconfirmed(authority: &Authority) -> bool {
    authority.record.phase == Phase::Unconfirmed
}

#[allow(clippy::disallowed_methods)] // an edge: the time is written for people to read, and decides nothing
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::{Authority, GroupRecord, Versioned, is_open, newest};

    #[test]
    fn a_claim_of_authority_counts_before_the_next_heartbeat_tells_of_it() {
        let told = Authority { revision: 4, record: GroupRecord::first("dc-a") };
        let claimed = Versioned::new(9, GroupRecord { epoch: 2, ..GroupRecord::first("dc-b") });
        let site = |authority: Option<Authority>| authority.map(|authority| authority.record.active);
        assert_eq!(site(newest(Some(told.clone()), Some(claimed.clone()))).as_deref(), Some("dc-b"));
        let later = Authority { revision: 12, ..told };
        assert_eq!(site(newest(Some(later), Some(claimed.clone()))).as_deref(), Some("dc-a"), "it moved on");
        assert_eq!(site(newest(None, Some(claimed))).as_deref(), Some("dc-b"));
        assert_eq!(newest(None, None), None);
    }

    #[test]
    fn an_authority_that_has_not_taken_in_what_came_before_it_does_not_publish() {
        assert!(is_open(Some(7), Some(7)) && is_open(Some(7), Some(8)));
        assert!(!is_open(Some(7), Some(6)), "something was published before its claim that it does not know");
        assert!(!is_open(Some(7), None) && !is_open(None, Some(9)));
    }
}
