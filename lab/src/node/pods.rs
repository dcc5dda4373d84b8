//! The pods of this node: one task for all, and one more for each that has processes.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::addresses::{Addresses, Range};
use super::isolate::{Drilled, LABEL};
use super::programs::{IMAGE_PREFIX, Programs};
use super::proxy::Known;
use super::publish::{delete, version_of};
use super::worker::{Order, Worker};
use super::{process, simulated, state};

/// Requests under way at once for simulated pods.
const CONCURRENCY: usize = 32;
/// Wait before a failed request is made again.
const RETRY: Duration = Duration::from_secs(1);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// How long ending all processes may take when the node is told to end.
const LAST_GRACE: Duration = Duration::from_secs(10);

/// What all parts of the node share.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) node: String,
    pub(super) dir: PathBuf,
    pub(super) programs: Programs,
    /// The node's own address.
    pub(super) host_ip: Ipv4Addr,
    pub(super) services: watch::Receiver<Known>,
    /// The pods of drills that are kept apart.
    pub(super) isolated: watch::Receiver<Drilled>,
}

/// A pod of this node.
struct Entry {
    pod: Arc<Pod>,
    kind: Kind,
    /// A request is queued, under way or waits to be made again.
    busy: bool,
}

enum Kind {
    Simulated,
    Real(watch::Sender<Order>),
}

/// How a request for a simulated pod ended.
enum Done {
    Patched(Box<Pod>),
    /// Nothing more is to be done for this pod; only a finalizer can still hold its object.
    Deleted,
    /// The pod is gone, or another; the watch will tell.
    Stale,
    Failed,
}

/// All pods of this node.
pub(super) struct Pods {
    context: Arc<Context>,
    addresses: Addresses,
    /// By uid.
    entries: HashMap<String, Entry>,
    queue: VecDeque<String>,
    requests: FuturesUnordered<BoxFuture<'static, (String, Done)>>,
    retries: FuturesUnordered<BoxFuture<'static, String>>,
    workers: JoinSet<String>,
    /// The pods as they are being listed.
    listing: Vec<Pod>,
    real: watch::Sender<BTreeSet<Ipv4Addr>>,
    drilled: watch::Sender<Drilled>,
    brought_up: usize,
}

impl Pods {
    pub(super) fn new(
        context: Arc<Context>,
        range: Range,
        real: watch::Sender<BTreeSet<Ipv4Addr>>,
        drilled: watch::Sender<Drilled>,
    ) -> Self {
        Self {
            context,
            addresses: Addresses::new(range),
            entries: HashMap::new(),
            queue: VecDeque::new(),
            requests: FuturesUnordered::new(),
            retries: FuturesUnordered::new(),
            workers: JoinSet::new(),
            listing: Vec::new(),
            real,
            drilled,
            brought_up: 0,
        }
    }

    /// Goes on until `end` resolves; then ends all processes. (If the node is killed instead, they live on, and the next
    /// node takes them over.)
    pub(super) async fn run(mut self, end: impl Future<Output = ()>) {
        let selector = format!("spec.nodeName={}", self.context.node);
        let api: Api<Pod> = Api::all(self.context.client.clone());
        let mut events = watcher(api, watcher::Config::default().fields(&selector)).default_backoff().boxed();
        tokio::pin!(end);
        loop {
            self.fill();
            tokio::select! {
                () = &mut end => break,
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => tracing::warn!(%error, "the watch of pods failed"),
                    None => break,
                },
                Some((uid, done)) = self.requests.next(), if !self.requests.is_empty() => self.done(uid, done),
                Some(uid) = self.retries.next(), if !self.retries.is_empty() => self.queue.push_back(uid),
                Some(ended) = self.workers.join_next(), if !self.workers.is_empty() => match ended {
                    Ok(uid) => self.forget(&uid),
                    Err(error) => tracing::error!(%error, "a pod's worker failed"),
                },
            }
        }
        for entry in self.entries.values() {
            if let Kind::Real(orders) = &entry.kind {
                orders.send_modify(|o| o.gone = true);
            }
        }
        let all = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_GRACE, all).await.is_err() {
            tracing::warn!("some pods' processes have not ended in time");
        }
    }

    fn take(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listing.clear(),
            watcher::Event::InitApply(pod) => self.listing.push(pod),
            watcher::Event::InitDone => self.listed(),
            watcher::Event::Apply(pod) => self.put(pod),
            watcher::Event::Delete(pod) => self.gone(&pod.uid().unwrap_or_default()),
        }
    }

    /// Everything was listed, at the start or after the watch was lost.
    fn listed(&mut self) {
        let pods = std::mem::take(&mut self.listing);
        let uids: HashSet<String> = pods.iter().filter_map(ResourceExt::uid).collect();
        let lost: Vec<String> = self.entries.keys().filter(|uid| !uids.contains(*uid)).cloned().collect();
        for uid in lost {
            self.gone(&uid);
        }
        let records = state::load_all(&self.context.dir);
        // Addresses in use first, so that none is given out twice. A record knows better than a status that was not written.
        for (_, record) in records.iter().filter(|(_, r)| uids.contains(&r.uid)) {
            if let Some(ip) = record.ip {
                self.addresses.recover(&record.uid, ip);
            }
        }
        for pod in &pods {
            if let (Some(uid), Some(ip)) =
                (pod.uid(), pod.status.as_ref().and_then(|s| s.pod_ip.as_ref()?.parse().ok()))
            {
                self.addresses.recover(&uid, ip);
            }
        }
        for (dir, record) in records {
            if !uids.contains(&record.uid) && !self.entries.contains_key(&record.uid) {
                let user = record.ip.map(process::uid_of);
                for process in record.containers.iter().filter_map(|c| c.process.as_ref()) {
                    tracing::info!(pod = record.uid, "ending a process whose pod is gone");
                    process.kill_group(user);
                }
                dir.clear();
            }
        }
        tracing::info!(pods = pods.len(), "listed the pods of this node");
        for pod in pods {
            self.put(pod);
        }
    }

    /// Takes over what the API server says of a pod.
    fn put(&mut self, mut pod: Pod) {
        pod.metadata.managed_fields = None;
        let Some(uid) = pod.uid() else { return };
        let pod = Arc::new(pod);
        if let Some(entry) = self.entries.get_mut(&uid) {
            if version_of(&pod) < version_of(&entry.pod) {
                return; // from before our own patch
            }
            entry.pod = pod.clone();
            match &entry.kind {
                Kind::Real(orders) => {
                    orders.send_replace(Order { pod, gone: false });
                }
                Kind::Simulated => self.enqueue(&uid),
            }
            return;
        }
        let kind = if self.is_real(&pod) {
            let Some(kind) = self.start_worker(&uid, &pod) else { return };
            kind
        } else {
            Kind::Simulated
        };
        self.entries.insert(uid.clone(), Entry { pod, kind, busy: false });
        match self.entries[&uid].kind {
            Kind::Simulated => self.enqueue(&uid),
            Kind::Real(_) => self.tell_real(),
        }
    }

    fn is_real(&self, pod: &Pod) -> bool {
        let containers = pod.spec.iter().flat_map(|s| s.containers.iter().chain(s.init_containers.iter().flatten()));
        let images = containers.filter_map(|c| c.image.as_deref());
        let mut real = false;
        for image in images.filter(|i| i.starts_with(IMAGE_PREFIX)) {
            if self.context.programs.find(image).is_some() {
                real = true;
            } else {
                tracing::warn!(pod = pod.name_any(), image, "no such program here: simulated");
            }
        }
        real
    }

    fn start_worker(&mut self, uid: &str, pod: &Arc<Pod>) -> Option<Kind> {
        let Some(ip) = self.addresses.of(uid) else {
            tracing::error!(pod = pod.name_any(), "no address is left for a pod");
            return None;
        };
        let (orders, receiver) = watch::channel(Order { pod: pod.clone(), gone: false });
        let worker = Worker::new(self.context.clone(), receiver, ip);
        let uid = uid.to_owned();
        self.workers.spawn(async move {
            worker.run().await;
            uid
        });
        Some(Kind::Real(orders))
    }

    /// The pod's object is gone.
    fn gone(&mut self, uid: &str) {
        match self.entries.get(uid).map(|e| &e.kind) {
            Some(Kind::Real(orders)) => orders.send_modify(|o| o.gone = true), // forgotten once its worker has ended
            Some(Kind::Simulated) => self.forget(uid),
            None => {}
        }
    }

    fn forget(&mut self, uid: &str) {
        self.addresses.release(uid);
        if let Some(Entry { kind: Kind::Real(_), .. }) = self.entries.remove(uid) {
            self.tell_real();
        }
    }

    /// Tells which addresses have processes behind them, and which of those are of drills.
    fn tell_real(&mut self) {
        let mut drilled = Drilled::new();
        for (uid, entry) in self.entries.iter().filter(|(_, entry)| matches!(entry.kind, Kind::Real(_))) {
            if let (Some(drill), Some(address)) = (entry.pod.labels().get(LABEL), self.addresses.known(uid)) {
                drilled.insert(address, drill.clone());
            }
        }
        self.drilled.send_if_modified(|known| {
            let changed = *known != drilled;
            *known = drilled;
            changed
        });
        let real: Vec<&String> =
            self.entries.iter().filter(|(_, e)| matches!(e.kind, Kind::Real(_))).map(|(uid, _)| uid).collect();
        let addresses = real.into_iter().filter_map(|uid| self.addresses.known(uid)).collect();
        self.real.send_if_modified(|known| {
            let changed = *known != addresses;
            *known = addresses;
            changed
        });
    }

    fn enqueue(&mut self, uid: &str) {
        if let Some(entry) = self.entries.get_mut(uid)
            && !entry.busy
        {
            entry.busy = true;
            self.queue.push_back(uid.to_owned());
        }
    }

    /// Makes requests as long as there is room.
    fn fill(&mut self) {
        while self.requests.len() < CONCURRENCY {
            let Some(uid) = self.queue.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&uid) else { continue };
            entry.busy = false;
            let pod = &entry.pod;
            let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &pod.namespace().unwrap_or_default());
            let name = pod.name_any();
            let request = if pod.metadata.deletion_timestamp.is_some() {
                let uid = uid.clone();
                async move {
                    match delete(&api, &name, &uid).await {
                        Ok(()) => Done::Deleted,
                        Err(error) => failed(&name, &error),
                    }
                }
                .boxed()
            } else {
                let finished =
                    matches!(pod.status.as_ref().and_then(|s| s.phase.as_deref()), Some("Succeeded" | "Failed"));
                if finished {
                    continue;
                }
                let Some(ip) = self.addresses.of(&uid) else {
                    tracing::error!(pod = name, "no address is left for a pod");
                    entry.busy = true;
                    self.retry(uid);
                    continue;
                };
                let Some(patch) = simulated::patch(pod, ip, self.context.host_ip, Timestamp::now()) else { continue };
                async move {
                    match api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&patch)).await {
                        Ok(pod) => Done::Patched(Box::new(pod)),
                        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Done::Stale,
                        Err(error) => failed(&name, &error),
                    }
                }
                .boxed()
            };
            entry.busy = true;
            let bounded = async move { (uid, tokio::time::timeout(REQUEST, request).await.unwrap_or(Done::Failed)) };
            self.requests.push(bounded.boxed());
        }
    }

    fn done(&mut self, uid: String, done: Done) {
        let Some(entry) = self.entries.get_mut(&uid) else { return };
        match done {
            Done::Patched(mut pod) => {
                entry.busy = false;
                self.brought_up += 1;
                if self.brought_up.is_multiple_of(100) {
                    tracing::info!(written = self.brought_up, "statuses of simulated pods");
                }
                // The answer is newer than what the watch told so far, or that has changed again: look once more.
                if version_of(&pod) >= version_of(&entry.pod) {
                    pod.metadata.managed_fields = None;
                    entry.pod = Arc::from(pod);
                }
                self.enqueue(&uid);
            }
            Done::Deleted => {} // stays busy, so that late news of it do not delete it again
            Done::Stale => entry.busy = false,
            Done::Failed => self.retry(uid),
        }
    }

    fn retry(&mut self, uid: String) {
        self.retries.push(
            async move {
                tokio::time::sleep(RETRY).await;
                uid
            }
            .boxed(),
        );
    }
}

fn failed(pod: &str, error: &kube::Error) -> Done {
    tracing::warn!(%error, pod, "a request for a simulated pod failed");
    Done::Failed
}
