//! The other sites' heartbeats, as this replica sees them on its own clock.

use crate::link::Link;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tandem_arbiter::membership::Timing;
use tandem_arbiter::peers::{MembersRead, PeerWatch, Silence as Proof};
use tandem_arbiter::records::Key;
use tandem_arbiter::store::{Store, StoreError};
use tandem_core::failover::Silence;
use tandem_logs::Chain;

/// The other sites' heartbeats. Cloning gives another handle to the same.
#[derive(Clone, Debug)]
pub struct Peers {
    timing: Timing,
    sites: Arc<Mutex<BTreeMap<String, Peer>>>,
}

#[derive(Debug)]
struct Peer {
    watch: PeerWatch,
    /// The newest revision of the first read: that heartbeats are there is no movement, they stay when the site is gone.
    first: Option<i64>,
}

impl Peers {
    /// Nothing has been seen yet of these sites.
    #[must_use]
    pub fn new<'a>(sites: impl Iterator<Item = &'a String>, timing: Timing) -> Self {
        let peer = |site: &String| (site.clone(), Peer { watch: PeerWatch::new(site, timing), first: None });
        Self { timing, sites: Arc::new(Mutex::new(sites.map(peer).collect())) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Peer>> {
        self.sites.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sites that are watched.
    #[must_use]
    pub fn sites(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Takes in a linearizable read.
    pub fn read(&self, received: Duration, read: &MembersRead) {
        if let Some(peer) = self.lock().get_mut(&read.site) {
            peer.watch.read(received, read);
            peer.first.get_or_insert(read.newest());
        }
    }

    /// How long a site has been silent; `None` where it was not watched.
    #[must_use]
    pub fn silence(&self, site: &str) -> Option<Silence> {
        let (newest, since) = self.lock().get(site)?.watch.still()?;
        Some(Silence { newest, since })
    }

    /// The proof that a site has been silent for `T`, for the transaction.
    #[must_use]
    pub fn proof(&self, site: &str, now: Duration) -> Option<Proof> {
        self.lock().get(site)?.watch.take_over_ready(now)
    }

    /// Whether a site's heartbeats have been seen to move within `T`.
    #[must_use]
    pub fn heard(&self, site: &str, now: Duration) -> bool {
        self.lock().get(site).is_some_and(|peer| {
            let moved = peer.watch.still().map(|(newest, _)| newest) != peer.first;
            moved && peer.watch.still_for(now).is_some_and(|still| still < self.timing.t())
        })
    }
}

/// Reads one site's heartbeats now.
///
/// # Errors
/// When the arbiter does not answer.
pub(super) async fn read_members(link: &Link, site: &str) -> Result<MembersRead, StoreError> {
    let range = link.arbiter().store().range(&Key::members(site)).await?;
    Ok(MembersRead::new(site, &range))
}

/// Watches the other sites' heartbeats for ever. Every replica does: one that begins to lead must have seen for itself.
pub async fn run_peers(link: Link, sites: Vec<String>) {
    let limit = link.timing().attempt();
    let mut ticks = tokio::time::interval(limit);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for site in sites.iter().filter(|site| *site != link.site()) {
            match tokio::time::timeout(limit, read_members(&link, site)).await {
                Ok(Ok(read)) => link.peers().read(link.uptime(), &read),
                Ok(Err(error)) => {
                    tracing::debug!(of_site = site, error = %Chain(&error), "heartbeats could not be read")
                }
                Err(_) => tracing::debug!(of_site = site, "heartbeats could not be read in time"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_arbiter::peers::MemberSeen;
    use tandem_arbiter::records::MemberRecord;

    fn read(revision: i64, newest: i64) -> MembersRead {
        let record = MemberRecord { seen: 4, generation: 1, incarnation: "first".into(), t_millis: 5_000 };
        let member = MemberSeen { replica: "operator-0".into(), created: 1, revision: newest, record: Some(record) };
        MembersRead { site: "dc-b".into(), revision, members: vec![member] }
    }

    #[test]
    fn what_only_stands_there_is_not_heard() {
        let timing = Timing::from_heartbeat(Duration::from_secs(1)).unwrap();
        let peers = Peers::new(["dc-b".to_owned()].iter(), timing);
        let second = Duration::from_secs;
        assert!(!peers.heard("dc-b", second(1)) && peers.silence("dc-b").is_none());
        peers.read(second(1), &read(10, 5));
        assert!(!peers.heard("dc-b", second(1)), "it may have stood there for days");
        peers.read(second(2), &read(12, 11));
        assert!(peers.heard("dc-b", second(3)));
        assert!(peers.proof("dc-b", second(3)).is_none());
        assert!(!peers.heard("dc-b", second(7)));
        assert_eq!(peers.proof("dc-b", second(7)).unwrap().newest(), 11);
    }
}
