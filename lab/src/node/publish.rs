//! Tells the API server about one real pod, apart from its worker: that goes on while the API server is away.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::status::{self, PodView};

/// Wait after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// How long the last status of a pod that ends may take before the pod is deleted without it.
const LAST_WORD: Duration = Duration::from_secs(10);

type Said = Option<(Arc<Pod>, PodView)>;

/// Writes the newest status of a pod.
pub(super) struct Publisher {
    api: Api<Pod>,
    name: String,
    uid: String,
    latest: watch::Sender<Said>,
    task: JoinHandle<()>,
}

impl Publisher {
    pub(super) fn new(client: &Client, namespace: &str, name: &str, uid: &str) -> Self {
        let api = Api::namespaced(client.clone(), namespace);
        let (latest, said) = watch::channel(None);
        let task = tokio::spawn(write(api.clone(), name.to_owned(), said));
        Self { api, name: name.to_owned(), uid: uid.to_owned(), latest, task }
    }

    /// What is to be said now. It is written only if it is news.
    pub(super) fn put(&self, pod: &Arc<Pod>, view: PodView) {
        self.latest.send_if_modified(|said| {
            let same = said.as_ref().is_some_and(|(p, v)| *v == view && Arc::ptr_eq(p, pod));
            if !same {
                *said = Some((pod.clone(), view));
            }
            !same
        });
    }

    /// Says the last word, then deletes the pod for good. Goes on until it is gone.
    pub(super) async fn finish_and_delete(self) {
        drop(self.latest);
        if tokio::time::timeout(LAST_WORD, self.task).await.is_err() {
            tracing::warn!(pod = self.name, "the last status of a pod could not be written");
        }
        while let Err(error) = delete(&self.api, &self.name, &self.uid).await {
            tracing::warn!(%error, pod = self.name, "cannot delete a pod that has ended");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Deletes the pod at once, unless it is another by now. It being gone already is success.
pub(super) async fn delete(api: &Api<Pod>, name: &str, uid: &str) -> kube::Result<()> {
    let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
    let parameters = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
    match api.delete(name, &parameters).await {
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        other => other.map(drop),
    }
}

async fn write(api: Api<Pod>, name: String, mut said: watch::Receiver<Said>) {
    let mut written: Option<(PodView, bool, u64)> = None;
    // Errs when the sender is gone and all it said was seen.
    while said.changed().await.is_ok() {
        loop {
            let newest = said.borrow_and_update().clone();
            let Some((pod, view)) = newest else { break };
            let gates = status::gates_open(&pod);
            if let Some((last, open, version)) = &written
                && *last == view
                && *open == gates
                && (version_of(&pod) <= *version || says(&pod, &view))
            {
                break;
            }
            let patch = status::patch(&pod, &view, Timestamp::now());
            match api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&patch)).await {
                Ok(pod) => {
                    written = Some((view, gates, version_of(&pod)));
                    break;
                }
                // Gone, or another one.
                Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => return,
                Err(error) => {
                    tracing::warn!(%error, pod = name, "cannot write a pod's status");
                    // Whatever is said meanwhile is taken up, as it is read anew.
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Whether the API server still has what was said: the node controller takes `Ready` away from a node it cannot hear.
fn says(pod: &Pod, view: &PodView) -> bool {
    let wanted = if view.ready && status::gates_open(pod) { "True" } else { "False" };
    status::condition(pod, "Ready").is_some_and(|c| c.status == wanted)
}

/// The resource version as a number: later states of an object have greater ones (so in etcd-backed API servers, and
/// promised since Kubernetes 1.35).
pub(super) fn version_of(pod: &Pod) -> u64 {
    pod.resource_version().and_then(|v| v.parse().ok()).unwrap_or_default()
}
