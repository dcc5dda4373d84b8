//! Looking at a site, each thing for itself: what does not answer hides nothing else.

use super::seen::{ClockSeen, Seen, ServerSeen, SiteSeen, WebhookSeen, WorkloadSeen};
use super::{kinds, rights};
use http::Request;
use http_body_util::BodyExt;
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PodTemplateSpec, Secret};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams};
use kube::client::Body;
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_crds::DataCentre;
use tandem_logs::Chain;
use tokio::time::timeout;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(20);
/// What the chart puts on everything of Tandem's.
pub(crate) const OURS: &str = "app.kubernetes.io/part-of=tandem";
const VERSION: &str = "app.kubernetes.io/version";

/// An error and what caused it, for people.
pub(super) fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => Chain(other).to_string(),
    }
}

/// A look with an end.
async fn within<T>(look: impl Future<Output = Seen<T>>) -> Seen<T> {
    timeout(LOOK, look).await.unwrap_or_else(|_| Err(format!("no answer within {} s", LOOK.as_secs())))
}

#[allow(clippy::disallowed_methods)] // an edge: what is compared with other clocks
fn now() -> Timestamp {
    Timestamp::now()
}

/// The server's version, and its clock by the way.
async fn server(client: &Client) -> Seen<(ServerSeen, Seen<ClockSeen>)> {
    let request = Request::get("/version").body(Body::empty()).map_err(|error| error.to_string())?;
    let sent = now();
    let answer = client.send(request).await.map_err(|error| why(&error))?;
    let received = now();
    let status = answer.status();
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if !status.is_success() {
        return Err(format!("/version is answered with {status}"));
    }
    let said: Value = serde_json::from_slice(&body).map_err(|error| format!("/version: {error}"))?;
    let digits: String = said["minor"].as_str().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    let version = said["gitVersion"].as_str().unwrap_or_default().to_owned();
    let clock = date
        .and_then(|date| jiff::fmt::rfc2822::parse(&date).ok())
        .map(|said| ClockSeen { sent, received, said: said.timestamp() })
        .ok_or_else(|| "its answers bear no time".to_owned());
    Ok((ServerSeen { minor: digits.parse().ok(), version }, clock))
}

async fn defined(client: &Client) -> Seen<BTreeMap<String, Option<CustomResourceDefinition>>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut found = BTreeMap::new();
    for wanted in kinds::wanted() {
        found.insert(wanted.name.clone(), api.get_opt(&wanted.name).await.map_err(|error| why(&error))?);
    }
    Ok(found)
}

/// Whether something of this name is there, by its metadata alone: no Secret's content leaves the server.
async fn there<K>(api: Api<K>, name: &str) -> Seen<bool>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.get_metadata_opt(name).await.map(|found| found.is_some()).map_err(|error| why(&error))
}

/// The Secrets that a pod cannot start without.
fn secrets_of(template: &PodTemplateSpec) -> Vec<String> {
    let volumes = template.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let named = volumes.filter_map(|volume| volume.secret.as_ref()).filter(|secret| secret.optional != Some(true));
    let mut names: Vec<String> = named.filter_map(|secret| secret.secret_name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

async fn workload(
    client: &Client,
    namespace: &str,
    mut seen: WorkloadSeen,
    template: &PodTemplateSpec,
) -> WorkloadSeen {
    let label = template.metadata.as_ref().and_then(|meta| meta.labels.as_ref()).and_then(|labels| labels.get(VERSION));
    seen.version = label.cloned().unwrap_or_default();
    for name in secrets_of(template) {
        let found = there(Api::<Secret>::namespaced(client.clone(), namespace), &name).await;
        seen.secrets.insert(name, found);
    }
    if let Some(class) = template.spec.as_ref().and_then(|spec| spec.priority_class_name.clone()) {
        let found = there(Api::<PriorityClass>::all(client.clone()), &class).await;
        seen.priority = Some((class, found));
    }
    seen
}

async fn workloads(client: &Client, namespace: &str) -> Seen<Vec<WorkloadSeen>> {
    let ours = ListParams::default().labels(OURS);
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for set in sets.list(&ours).await.map_err(|error| why(&error))? {
        let (name, status) = (set.name_any(), set.status.unwrap_or_default());
        let Some(spec) = set.spec else { continue };
        let seen = WorkloadSeen {
            name,
            wanted: spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            ..WorkloadSeen::default()
        };
        found.push(workload(client, namespace, seen, &spec.template).await);
    }
    for deployment in deployments.list(&ours).await.map_err(|error| why(&error))? {
        let (name, status) = (deployment.name_any(), deployment.status.unwrap_or_default());
        let Some(spec) = deployment.spec else { continue };
        let seen = WorkloadSeen {
            name,
            wanted: spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            ..WorkloadSeen::default()
        };
        found.push(workload(client, namespace, seen, &spec.template).await);
    }
    Ok(found)
}

async fn centres(client: &Client) -> Seen<Vec<DataCentre>> {
    let api: Api<DataCentre> = Api::all(client.clone());
    api.list(&ListParams::default()).await.map(|found| found.items).map_err(|error| why(&error))
}

fn concerns_us(rules: &[RuleWithOperations]) -> bool {
    let groups = rules.iter().flat_map(|rule| rule.api_groups.iter().flatten());
    groups.into_iter().any(|group| group == "*" || group == tandem_crds::GROUP)
}

async fn webhooks(client: &Client) -> Seen<Vec<WebhookSeen>> {
    let all = ListParams::default();
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let mut found = Vec::new();
    let mut add = |of: String, name: String, rules: Option<Vec<RuleWithOperations>>, policy: Option<String>| {
        if concerns_us(&rules.unwrap_or_default()) {
            found.push(WebhookSeen { name: format!("{of}/{name}"), refuses: policy.as_deref() != Some("Ignore") });
        }
    };
    for one in validating.list(&all).await.map_err(|error| why(&error))? {
        let of = one.name_any();
        one.webhooks.into_iter().flatten().for_each(|hook| add(of.clone(), hook.name, hook.rules, hook.failure_policy));
    }
    for one in mutating.list(&all).await.map_err(|error| why(&error))? {
        let of = one.name_any();
        one.webhooks.into_iter().flatten().for_each(|hook| add(of.clone(), hook.name, hook.rules, hook.failure_policy));
    }
    Ok(found)
}

/// Everything that can be seen of a site. One that does not say its version is not asked anything else.
pub async fn site(client: &Client, context: &str, namespace: &str) -> SiteSeen {
    let (server, clock) = match within(server(client)).await {
        Ok(found) => found,
        Err(why) => return SiteSeen::silent(context, &why),
    };
    let (definitions, programs, own, workloads, centres, webhooks) = tokio::join!(
        within(defined(client)),
        within(rights::programs(client, namespace)),
        within(rights::own(client)),
        within(workloads(client, namespace)),
        within(centres(client)),
        within(webhooks(client)),
    );
    SiteSeen {
        context: context.to_owned(),
        server: Ok(server),
        clock,
        definitions,
        programs,
        own,
        workloads,
        centres,
        webhooks,
    }
}
