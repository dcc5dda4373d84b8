//! What the parts of an operator share.

use crate::audit::Behind;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::controllers::Blocked;
use crate::drills::Drills;
use crate::failover::{GroupNotes, Strengths};
use crate::index::Index;
use crate::link::Link;
use crate::progress::Progress;
use crate::providers::Providers;
use crate::queue::Queue;
use crate::status::{Refusals, Reporter, Settling, SiteNotes};
use crate::sync::HeldBack;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_core::render::Facts;
use tandem_core::sync::ObjectKey;
use tokio::sync::Notify;

/// The three queues of work, all by the same keys.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// Publish, or follow: between this site's objects and the arbiter's records.
    pub sync: Queue<ObjectKey>,
    /// Provision: from the records to what runs here.
    pub provision: Queue<ObjectKey>,
    /// Fold: from what the sites say to the status that people read here.
    pub fold: Queue<ObjectKey>,
}

impl Queues {
    /// Adds a key to all three.
    pub fn add(&self, key: &ObjectKey) {
        self.sync.add(key.clone());
        self.provision.add(key.clone());
        self.fold.add(key.clone());
    }
}

/// Whether work was left because this replica did not lead. A lead that lapses and comes back is not seen as a change, so
/// what was left in between has to be noted.
#[derive(Clone, Debug, Default)]
pub struct Dropped {
    noted: Arc<AtomicBool>,
}

impl Dropped {
    /// Some work was left.
    pub fn note(&self) {
        self.noted.store(true, Ordering::Release);
    }

    /// Whether work was left since this was last asked.
    #[must_use]
    pub fn take(&self) -> bool {
        self.noted.swap(false, Ordering::AcqRel)
    }
}

/// What the parts of an operator share.
#[derive(Clone, Debug)]
pub struct Context {
    /// The configuration.
    pub config: Arc<Config>,
    /// The arbiter.
    pub link: Link,
    /// This site's cluster.
    pub cluster: Cluster,
    /// The arbiter's records.
    pub index: Arc<Index>,
    /// The queues.
    pub queues: Queues,
    /// Where this site's reports go.
    pub reporter: Reporter,
    /// What cannot be published, and why.
    pub refusals: Refusals,
    /// What is on its way to a state that is worth writing down.
    pub settling: Settling,
    /// How strong each application was last provisioned here.
    pub strengths: Strengths,
    /// What is said of each failover group.
    pub group_notes: GroupNotes,
    /// What moves the groups' data here.
    pub providers: Providers,
    /// What this replica made for drills.
    pub drills: Drills,
    /// Told when something happened that may let a group move on.
    pub stirred: Arc<Notify>,
    /// Told when a `Failover` object changed.
    pub asked: Arc<Notify>,
    /// What this site says of itself beside its objects.
    pub site: SiteNotes,
    /// What waits for an object of somebody else's to get out of the way.
    pub blocked: Blocked,
    /// What the mass-change brake holds back.
    pub held: HeldBack,
    /// Whether work was left because this replica did not lead.
    pub dropped: Dropped,
    /// Which records have not been applied here yet.
    pub progress: Progress,
    /// Whether what was done waits for too long for its place in the audit chain.
    pub behind: Behind,
}

impl Context {
    /// Whether this site's workloads are put to rest; see [`at_rest`].
    #[must_use]
    pub fn at_rest(&self) -> bool {
        at_rest(&self.link, &self.config)
    }

    /// What rendering has to know of this site.
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts { site: &self.config.site, server_minor: self.cluster.server_minor }
    }
}

/// Whether this site has been fenced for so long that its workloads are put to rest although nobody took over
/// (`fence.scaleAfter`): an arbiter's short absence does not empty the city, a long one leaves nothing running that nobody
/// may use. A replica that has not been heard since its start knows of no workloads, and rests nothing; nor does one of a site
/// that people have paused.
#[must_use]
pub fn at_rest(link: &Link, config: &Config) -> bool {
    let after = config.failover.policy(None, link.timing().t()).scale_after;
    link.pause().acts() && link.deadline().is_some_and(|deadline| link.uptime().saturating_sub(deadline) >= after)
}
