//! The objects by list and watch. Reads are answered from memory: many agencies that look cost the API server nothing, and
//! while it is away what was last seen is still shown.

use super::{Objects, Read};
use crate::health::Readiness;
use crate::problem::Problem;
use futures::StreamExt;
use kube::Resource;
use kube::api::Api;
use kube::runtime::reflector::{Store, store};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_crds::{
    Application, DataCentre, Environment, EnvironmentRequest, Failover, FailoverGroup, SecurityProfile, Unit,
};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Counts changes, for those who wait for one.
type Changed = Arc<watch::Sender<u64>>;

/// One kind's objects.
struct Kept<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    read: Arc<AtomicBool>,
}

impl<K> Kept<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Lists and watches, in a task that runs for ever.
    fn follow(
        client: kube::Client,
        part: &'static str,
        changed: &Changed,
        readiness: &Readiness,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (reader, writer) = store();
        let read = Arc::new(AtomicBool::new(false));
        let (readiness, seen, changed) = (readiness.clone(), Arc::clone(&read), Arc::clone(changed));
        readiness.set(part, false);
        // By list and watch: API servers before 1.27 do not stream lists.
        let events = watcher(Api::<K>::all(client), watcher::Config::default()).default_backoff().modify(|object| {
            // Who set which field is of no use here, and most of an object.
            object.meta_mut().managed_fields = None;
        });
        tasks.spawn(async move {
            let mut events = std::pin::pin!(reflector(writer, events));
            while let Some(event) = events.next().await {
                changed.send_modify(|changes| *changes = changes.wrapping_add(1));
                match event {
                    Ok(watcher::Event::InitDone) => {
                        seen.store(true, Ordering::Release);
                        readiness.set(part, true);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(part, error = %tandem_logs::Chain(&error), "objects cannot be watched")
                    }
                }
            }
        });
        Self { store: reader, read }
    }

    fn all(&self) -> Read<K> {
        if self.read.load(Ordering::Acquire) { Ok(self.store.state()) } else { Err(Problem::NotRead) }
    }
}

/// The objects of this site's cluster.
pub struct Cluster {
    changed: Changed,
    units: Kept<Unit>,
    environments: Kept<Environment>,
    requests: Kept<EnvironmentRequest>,
    applications: Kept<Application>,
    data_centres: Kept<DataCentre>,
    failover_groups: Kept<FailoverGroup>,
    failovers: Kept<Failover>,
    security_profiles: Kept<SecurityProfile>,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// Begins to read. The tasks run for ever; one that ends is a fault.
    #[must_use]
    pub fn follow(client: &kube::Client, readiness: &Readiness, tasks: &mut JoinSet<()>) -> Self {
        let changed = Changed::default();
        let client = || client.clone();
        Self {
            units: Kept::follow(client(), "units", &changed, readiness, tasks),
            environments: Kept::follow(client(), "environments", &changed, readiness, tasks),
            requests: Kept::follow(client(), "requests", &changed, readiness, tasks),
            applications: Kept::follow(client(), "applications", &changed, readiness, tasks),
            data_centres: Kept::follow(client(), "data-centres", &changed, readiness, tasks),
            failover_groups: Kept::follow(client(), "failover-groups", &changed, readiness, tasks),
            failovers: Kept::follow(client(), "failovers", &changed, readiness, tasks),
            security_profiles: Kept::follow(client(), "security-profiles", &changed, readiness, tasks),
            changed,
        }
    }
}

impl Objects for Cluster {
    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
    fn units(&self) -> Read<Unit> {
        self.units.all()
    }
    fn environments(&self) -> Read<Environment> {
        self.environments.all()
    }
    fn requests(&self) -> Read<EnvironmentRequest> {
        self.requests.all()
    }
    fn applications(&self) -> Read<Application> {
        self.applications.all()
    }
    fn data_centres(&self) -> Read<DataCentre> {
        self.data_centres.all()
    }
    fn failover_groups(&self) -> Read<FailoverGroup> {
        self.failover_groups.all()
    }
    fn failovers(&self) -> Read<Failover> {
        self.failovers.all()
    }
    fn security_profiles(&self) -> Read<SecurityProfile> {
        self.security_profiles.all()
    }
}
