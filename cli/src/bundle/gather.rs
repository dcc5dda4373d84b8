//! What is taken of a site and of the arbiter. Whatever cannot be had is listed as missed, and hides nothing else.

use super::archive::Archive;
use super::fields::{People, Sieve};
use crate::arbiter::access::Access;
use crate::doctor::gather::OURS;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, LogParams};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;
use std::time::Duration;
use tandem_crds::{
    Application, DataCentre, Environment, EnvironmentRequest, Failover, FailoverGroup, SecurityProfile, Unit,
};
use tandem_logs::Chain;
use tokio::time::timeout;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(30);
/// The most of a log, in bytes, and of a list, in objects.
const LOG_BYTES: i64 = 8 << 20;
const MOST: u32 = 5_000;
/// Where the programs serve their metrics.
const PORT: u16 = 8443;

/// What stands in the arbiter, by the beginnings of its keys.
const PREFIXES: [&str; 17] = [
    "attestations/",
    "audit/",
    "conflicts/",
    "drift/",
    "executions/",
    "generation",
    "groups/",
    "holds/",
    "idempotency/",
    "ledger/",
    "replacements",
    "reports/",
    "requests/",
    "sites/",
    "specs/",
    "status/",
    "versions/",
];

/// What one site is asked for.
pub(super) struct Site<'a> {
    pub(super) client: Client,
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) lines: i64,
}

/// Where what is taken goes.
struct Taker<'a> {
    archive: &'a mut Archive,
    people: &'a People,
}

fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => Chain(other).to_string(),
    }
}

async fn within<T>(look: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(LOOK, look).await {
        Ok(answer) => answer.map_err(|error| why(&error)),
        Err(_) => Err(format!("no answer within {} s", LOOK.as_secs())),
    }
}

impl Site<'_> {
    fn file(&self, name: &str) -> String {
        format!("sites/{}/{name}", self.name)
    }

    /// Objects of a kind, of which what is listed is kept.
    async fn objects<K>(&self, taker: &mut Taker<'_>, name: &str, api: Api<K>, which: &ListParams) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    {
        self.some(taker, name, (&ApiResource::erase::<K>(&()), api), which, |_| true).await
    }

    async fn some<K>(
        &self,
        taker: &mut Taker<'_>,
        name: &str,
        (kind, api): (&ApiResource, Api<K>),
        which: &ListParams,
        wanted: fn(&K) -> bool,
    ) -> Vec<K>
    where
        K: Clone + DeserializeOwned + Serialize + Debug,
    {
        let (file, Taker { archive, people }) = (self.file(name), taker);
        let found = match within(api.list(&which.clone().limit(MOST))).await {
            Ok(found) => found,
            Err(why) => {
                archive.miss(file, why);
                return Vec::new();
            }
        };
        if found.metadata.continue_.as_ref().is_some_and(|more| !more.is_empty()) {
            archive.miss(format!("{file}: all beyond {MOST}"), "there are more");
        }
        let items: Vec<K> = found.items.into_iter().filter(wanted).collect();
        let mut kept = Vec::new();
        for item in &items {
            let mut value = serde_json::to_value(item).unwrap_or_default();
            if let Some(map) = value.as_object_mut() {
                // Items of a list do not say what they are.
                map.insert("apiVersion".to_owned(), kind.api_version.clone().into());
                map.insert("kind".to_owned(), kind.kind.clone().into());
            }
            kept.push(Sieve { people, scrubber: &mut archive.scrubber }.object(&value));
        }
        archive.data(file, &kept);
        items
    }

    /// Tandem's own, as they are: what another release wrote is taken as well.
    async fn tandem<K: Resource<DynamicType = ()>>(&self, taker: &mut Taker<'_>) {
        let (name, kind) = (format!("objects/{}.json", K::plural(&())), ApiResource::erase::<K>(&()));
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        self.some(taker, &name, (&kind, api), &ListParams::default(), |_| true).await;
    }

    async fn logs(&self, archive: &mut Archive, pod: &Pod) {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace);
        let name = pod.name_any();
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let again: Vec<&str> =
            statuses.filter(|status| status.restart_count > 0).map(|status| status.name.as_str()).collect();
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str());
        for container in containers {
            for previous in [false, true] {
                if previous && !again.contains(&container) {
                    continue;
                }
                let before = if previous { "-previous" } else { "" };
                let file = self.file(&format!("logs/{name}-{container}{before}.log"));
                let how = LogParams {
                    container: Some(container.to_owned()),
                    tail_lines: Some(self.lines),
                    limit_bytes: Some(LOG_BYTES),
                    timestamps: true,
                    previous,
                    ..LogParams::default()
                };
                match within(api.logs(&name, &how)).await {
                    Ok(text) => archive.text(file, &text),
                    Err(why) => archive.miss(file, why),
                }
            }
        }
    }

    async fn metrics(&self, archive: &mut Archive, pod: &Pod) {
        let name = pod.name_any();
        let file = self.file(&format!("metrics/{name}.prom"));
        let path = format!("/api/v1/namespaces/{}/pods/https:{name}:{PORT}/proxy/metrics", self.namespace);
        let request = match http::Request::get(path).body(Vec::new()) {
            Ok(request) => request,
            Err(error) => return archive.miss(file, error.to_string()),
        };
        match within(self.client.request_text(request)).await {
            Ok(text) => archive.text(file, &text),
            Err(why) => archive.miss(file, why),
        }
    }

    /// Everything of this site. One that does not say its version is not asked anything else.
    pub(super) async fn take(&self, archive: &mut Archive, people: &People) {
        match within(self.client.apiserver_version()).await {
            Ok(version) => archive.data(self.file("version.json"), &version),
            Err(why) => return archive.miss(format!("sites/{}", self.name), why),
        }
        let taker = &mut Taker { archive, people };
        let all = ListParams::default();
        let ours = ListParams::default().labels(OURS);
        let client = || self.client.clone();
        self.objects::<Node>(taker, "nodes.json", Api::all(client()), &all).await;
        let tandems = |definition: &CustomResourceDefinition| definition.spec.group == tandem_crds::GROUP;
        let kind = ApiResource::erase::<CustomResourceDefinition>(&());
        self.some(taker, "definitions.json", (&kind, Api::all(client())), &all, tandems).await;
        self.tandem::<DataCentre>(taker).await;
        self.tandem::<SecurityProfile>(taker).await;
        self.tandem::<Unit>(taker).await;
        self.tandem::<Environment>(taker).await;
        self.tandem::<FailoverGroup>(taker).await;
        self.tandem::<Failover>(taker).await;
        self.tandem::<Application>(taker).await;
        self.tandem::<EnvironmentRequest>(taker).await;
        // Of the cluster's events those that are about Tandem's objects; agencies' own stay where they are.
        let about_us = |event: &Event| {
            event.involved_object.api_version.as_deref().is_some_and(|version| version.starts_with("tandem.dev/"))
        };
        let kind = ApiResource::erase::<Event>(&());
        self.some(taker, "events-of-objects.json", (&kind, Api::all(client())), &all, about_us).await;
        let here = Api::<Event>::namespaced(client(), self.namespace);
        self.objects(taker, "events.json", here, &all).await;
        let sets = Api::<StatefulSet>::namespaced(client(), self.namespace);
        self.objects(taker, "statefulsets.json", sets, &ours).await;
        let deployments = Api::<Deployment>::namespaced(client(), self.namespace);
        self.objects(taker, "deployments.json", deployments, &ours).await;
        let pods = Api::<Pod>::namespaced(client(), self.namespace);
        for pod in self.objects(taker, "pods.json", pods, &ours).await {
            self.logs(taker.archive, &pod).await;
            self.metrics(taker.archive, &pod).await;
        }
    }
}

/// How many keys the arbiter has of each kind: no key and no value.
pub(super) async fn keys(archive: &mut Archive, access: &Access) {
    let mut counts = serde_json::Map::new();
    for prefix in PREFIXES {
        match access.admin.count(&format!("/tandem/v1/{prefix}")).await {
            Ok(count) => drop(counts.insert(prefix.to_owned(), json!(count))),
            Err(error) => archive.miss(format!("arbiter/keys.json: {prefix}"), Chain(&error).to_string()),
        }
    }
    archive.data("arbiter/keys.json", &counts);
}
