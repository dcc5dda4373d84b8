//! `Application`: its workloads and what belongs to them, at active or standby strength by its group's record.

use super::{ProvisionError, applied, environment};
use crate::cluster::{Applied, ObjectName, REQUEST_TIMEOUT};
use crate::context::Context;
use crate::failover::Provisioned;
use crate::index::group_of;
use crate::status::Report;
use kube::api::{ApiResource, PartialObjectMeta};
use kube::core::GroupVersionKind;
use serde_json::json;
use std::collections::BTreeSet;
use tandem_arbiter::records::{GroupRecord, Phase};
use tandem_core::names::LABEL_ID;
use tandem_core::render::{self, AdoptedScale, Manifest, Strength};
use tandem_core::sync::ObjectKey;
use tandem_crds::status::{PodCount, Reason};
use tandem_crds::{Application, Environment, Kind, SecurityProfile};
use tandem_logs::Chain;

const MANAGER: &str = "tandem/application";

struct Observed {
    environment: Environment,
    profile: SecurityProfile,
    strength: Strength,
    epoch: u64,
}

/// Brings one application in line.
pub(super) async fn reconcile(context: &Context, application: &Application) -> Result<Report, ProvisionError> {
    let observed = match observe(context, application) {
        Ok(observed) => observed,
        Err(missing) => return Ok(missing),
    };
    let Observed { environment, profile, strength, epoch } = &observed;
    let rendered = render::application(application, environment, profile, *strength, &context.facts())?;
    let id = application.spec.id.as_deref().unwrap_or_default();
    let namespace = environment.metadata.name.as_deref().unwrap_or_default();
    let secrets = rendered.secrets.clone();
    let adopted = rendered.adopted.clone();
    let (mut keep, mut changed) = (BTreeSet::new(), 0);
    let mut workloads = Vec::new();
    for manifest in rendered.into_manifests() {
        changed += usize::from(context.cluster.apply(MANAGER, id, &manifest).await? != Applied::Unchanged);
        let name = ObjectName {
            kind: manifest.kind().to_owned(),
            namespace: Some(namespace.to_owned()),
            name: manifest.name().to_owned(),
        };
        if let Some(workload) = Workload::rendered(&name, &manifest) {
            workloads.push(workload);
        }
        keep.insert(name);
    }
    let pruned = context.cluster.prune(id, &keep).await?;
    for scale in &adopted {
        changed += usize::from(context.cluster.scale(namespace, scale).await? != Applied::Unchanged);
        workloads.push(Workload::adopted(namespace, scale));
    }
    applied(changed, pruned);
    let missing = missing_secrets(context, namespace, &secrets).await;
    let report = judge(context, &workloads, &missing);
    let name = application.metadata.name.as_deref().unwrap_or_default();
    let key = ObjectKey::namespaced(Kind::Application, namespace, name);
    let provisioned = Provisioned { epoch: *epoch, strength: *strength, ready: report.ready };
    if context.strengths.set(&key, provisioned) {
        context.stirred.notify_one();
    }
    // Under which epoch this is said: what a site says under an earlier one says nothing of what it does now.
    Ok(report.with_detail(json!({"epoch": epoch})))
}

/// What an application is made from beside itself; a report of what is missing where something is not there.
fn observe(context: &Context, application: &Application) -> Result<Observed, Report> {
    let namespace = application.metadata.namespace.as_deref().unwrap_or_default();
    let name = application.metadata.name.as_deref().unwrap_or_default();
    let waits = |message: String| Report::not_ready(Reason::Progressing, message);
    let environment = context
        .index
        .with_world(|world| world.environments.get(namespace).cloned())
        .ok_or_else(|| waits(format!("the environment {namespace} is not published yet")))?;
    let surroundings = environment::observe(context, &environment)?;
    let space = ObjectName { kind: "Namespace".to_owned(), namespace: None, name: namespace.to_owned() };
    let bears =
        context.cluster.rendered.get(&space).and_then(|found| found.metadata.labels.as_ref()?.get(LABEL_ID).cloned());
    if bears.is_none() || bears != environment.spec.id {
        return Err(waits(format!("the namespace {namespace} is not there yet")));
    }
    let group = group_of(application, namespace, name);
    // Who is active is never guessed: without the record nothing is started.
    let record = context
        .index
        .group(&group)
        .ok_or_else(|| waits(format!("the arbiter has no record yet of who is active for the group {group}")))?;
    let strength = strength(context, &record.value).ok_or_else(|| {
        waits(format!("no site holds the group {group} at this moment; what runs here is left as it is"))
    })?;
    Ok(Observed { environment, profile: surroundings.profile, strength, epoch: record.value.epoch })
}

/// How strong the applications of a group run here by its record; `None` where they are left as they are: this site has let
/// the group go and nobody has it yet, and an instant without a holder must not empty a city.
fn strength(context: &Context, record: &GroupRecord) -> Option<Strength> {
    if record.active != context.config.site || context.at_rest() {
        return Some(Strength::Standby);
    }
    matches!(record.phase, Phase::Held).then_some(Strength::Active)
}

/// A workload and how many pods of it are wanted here.
struct Workload {
    name: ObjectName,
    wanted: i32,
}

impl Workload {
    fn rendered(name: &ObjectName, manifest: &Manifest) -> Option<Self> {
        if name.kind != "Deployment" {
            return None;
        }
        let replicas = manifest.value().pointer("/spec/replicas").and_then(serde_json::Value::as_i64).unwrap_or(1);
        Some(Self { name: name.clone(), wanted: i32::try_from(replicas).unwrap_or(i32::MAX) })
    }

    fn adopted(namespace: &str, scale: &AdoptedScale) -> Self {
        let name = ObjectName {
            kind: scale.kind.name().to_owned(),
            namespace: Some(namespace.to_owned()),
            name: scale.name.clone(),
        };
        Self { name, wanted: scale.replicas }
    }
}

/// How the application stands, from what the mirrors say of its workloads.
fn judge(context: &Context, workloads: &[Workload], missing: &[String]) -> Report {
    let mut pods = PodCount::default();
    let mut waiting = Vec::new();
    for Workload { name, wanted } in workloads {
        pods.wanted += wanted;
        let Some(found) = context.cluster.rendered.get(name) else {
            waiting.push(format!("{} is not there yet", name.name));
            continue;
        };
        let number = |path: &str| found.data.pointer(path).and_then(serde_json::Value::as_i64).unwrap_or(0);
        let ready = i32::try_from(number("/status/readyReplicas")).unwrap_or(i32::MAX);
        pods.ready += ready.min(*wanted);
        if number("/status/observedGeneration") < found.metadata.generation.unwrap_or(0) {
            waiting.push(format!("{} is being changed", name.name));
        } else if ready < *wanted {
            waiting.push(format!("{}: {ready} of {wanted} pods are ready", name.name));
        } else if number("/status/replicas") > i64::from(*wanted) {
            waiting.push(format!("{}: pods beyond {wanted} are still there", name.name));
        }
    }
    let report = if !missing.is_empty() {
        let message = format!("Secrets are missing in this site: {}; create them here", missing.join(", "));
        Report::not_ready(Reason::SecretMissing, message)
    } else if waiting.is_empty() {
        Report::ready()
    } else {
        Report::not_ready(Reason::PodsNotReady, waiting.join("; "))
    };
    report.with_pods(pods)
}

/// The Secrets that are not in this site. Only their presence is asked, never their content. One that cannot be asked for
/// counts as missing.
pub(crate) async fn missing_secrets(context: &Context, namespace: &str, names: &[String]) -> Vec<String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Secret"));
    let api = context.cluster.api(&resource, Some(namespace));
    let mut missing = Vec::new();
    for name in names {
        let asked = tokio::time::timeout(REQUEST_TIMEOUT, api.get_metadata(name)).await;
        let found: Option<Result<PartialObjectMeta<kube::api::DynamicObject>, _>> = asked.ok();
        match found {
            Some(Ok(_)) => continue,
            Some(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Some(Err(error)) => {
                tracing::warn!(namespace, error = %Chain(&error), "a Secret could not be asked for");
            }
            None => tracing::warn!(namespace, "a Secret could not be asked for in time"),
        }
        missing.push(name.clone());
    }
    missing
}
